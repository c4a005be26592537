// SPDX-License-Identifier: MIT
// Words of the charts alone, which the first view does not wait for; as in text.js.
export const TEXT = {
  span: ['difference', 'Differenz', 'écart', 'differenza'],
  until_day: ['Last day', 'Letzter Tag', 'Dernier jour', 'Ultimo giorno'],
  back_to: ['Back to {0}', 'Zurück zu {0}', 'Retour à {0}', 'Torna a {0}'],
  alarms: ['Alarms', 'Alarme', 'Alarmes', 'Allarmi'],
  going_on: ['not ended', 'nicht beendet', 'non terminée', 'non terminato'],
  lit_low: ['Lowest in this period: cell {0}, {1} from the mean.', 'Niedrigste in diesem Zeitraum: Zelle {0}, {1} vom Mittel.', 'La plus basse de la période : cellule {0}, {1} de la moyenne.', 'La più bassa del periodo: cella {0}, {1} dalla media.'],
  lit_high: ['Highest: cell {0}, {1}.', 'Höchste: Zelle {0}, {1}.', 'La plus haute : cellule {0}, {1}.', 'La più alta: cella {0}, {1}.'],
  heat: ['Cells by day, from the mean', 'Zellen nach Tagen, vom Mittel', 'Cellules par jour, écart à la moyenne', 'Celle per giorno, scarto dalla media'],
  heat_help: ['Choose a square to see that cell on that day. Arrow keys move, Enter chooses.', 'Ein Feld zeigt diese Zelle an diesem Tag. Pfeiltasten bewegen, Eingabe wählt.', 'Un carré montre cette cellule ce jour-là. Les flèches déplacent, Entrée choisit.', 'Un riquadro mostra quella cella in quel giorno. Le frecce spostano, Invio sceglie.'],
  compare: ['Compare with', 'Vergleichen mit', 'Comparer avec', 'Confronta con'],
  remove: ['Remove {0}', '{0} entfernen', 'Retirer {0}', 'Togli {0}'],
  report: ['Report', 'Bericht', 'Rapport', 'Rapporto'],
  values: ['Values', 'Werte', 'Valeurs', 'Valori'],
  from_first: ['From {0}', 'Zu {0}', 'Écart à {0}', 'Da {0}'],
  cell_difference: ['Difference of cells', 'Differenz der Zellen', 'Écart des cellules', 'Differenza delle celle'],
};
