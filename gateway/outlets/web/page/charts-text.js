// SPDX-License-Identifier: MIT
// Words that only the charts use, so the first view need not load them; the form is that of text.js.
export const TEXT = {
  span: ['difference', 'Differenz', 'écart', 'differenza', 'diferencia', 'różnica', 'verschil'],
  until_day: ['Last day', 'Letzter Tag', 'Dernier jour', 'Ultimo giorno', 'Último día', 'Ostatni dzień', 'Laatste dag'],
  back_to: ['Back to {0}', 'Zurück zu {0}', 'Retour à {0}', 'Torna a {0}', 'Volver a {0}', 'Wróć do {0}', 'Terug naar {0}'],
  alarms: ['Alarms', 'Alarme', 'Alarmes', 'Allarmi', 'Alarmas', 'Alarmy', 'Alarmen'],
  lit_low: ['Lowest in this period: cell {0}, {1} from the mean.', 'Niedrigste in diesem Zeitraum: Zelle {0}, {1} vom Mittel.', 'La plus basse de la période : cellule {0}, {1} de la moyenne.', 'La più bassa del periodo: cella {0}, {1} dalla media.', 'La más baja del periodo: celda {0}, {1} respecto a la media.', 'Najniższe w tym okresie: ogniwo {0}, {1} od średniej.', 'Laagste in deze periode: cel {0}, {1} van het gemiddelde.'],
  lit_high: ['Highest: cell {0}, {1}.', 'Höchste: Zelle {0}, {1}.', 'La plus haute : cellule {0}, {1}.', 'La più alta: cella {0}, {1}.', 'La más alta: celda {0}, {1}.', 'Najwyższe: ogniwo {0}, {1}.', 'Hoogste: cel {0}, {1}.'],
  heat: ['Cells by day, from the mean', 'Zellen nach Tagen, vom Mittel', 'Cellules par jour, écart à la moyenne', 'Celle per giorno, scarto dalla media', 'Celdas por día, respecto a la media', 'Ogniwa według dni, odchylenie od średniej', 'Cellen per dag, afwijking van het gemiddelde'],
  heat_help: ['Choose a square to see that cell on that day. Arrow keys move, Enter chooses.', 'Ein Feld zeigt diese Zelle an diesem Tag. Pfeiltasten bewegen, Eingabe wählt.', 'Un carré montre cette cellule ce jour-là. Les flèches déplacent, Entrée choisit.', 'Un riquadro mostra quella cella in quel giorno. Le frecce spostano, Invio sceglie.', 'Un recuadro muestra esa celda en ese día. Las flechas desplazan, Intro elige.', 'Pole pokazuje to ogniwo w tym dniu. Strzałki przesuwają, Enter wybiera.', 'Een vakje toont die cel op die dag. Pijltjes verplaatsen, Enter kiest.'],
  compare: ['Compare with', 'Vergleichen mit', 'Comparer avec', 'Confronta con', 'Comparar con', 'Porównaj z', 'Vergelijken met'],
  remove: ['Remove {0}', '{0} entfernen', 'Retirer {0}', 'Togli {0}', 'Quitar {0}', 'Usuń {0}', '{0} verwijderen'],
  not_known: ['Unknown in this address: {0}', 'Unbekannt in dieser Adresse: {0}', 'Inconnu dans cette adresse : {0}', 'Sconosciuto in questo indirizzo: {0}', 'Desconocido en esta dirección: {0}', 'Nieznane w tym adresie: {0}', 'Onbekend in dit adres: {0}'],
  report: ['Report', 'Bericht', 'Rapport', 'Rapporto', 'Informe', 'Raport', 'Rapport'],
  values: ['Values', 'Werte', 'Valeurs', 'Valori', 'Valores', 'Wartości', 'Waarden'],
  from_first: ['From {0}', 'Zu {0}', 'Écart à {0}', 'Da {0}', 'Respecto a {0}', 'Względem {0}', 'Ten opzichte van {0}'],
  cell_difference: ['Difference of cells', 'Differenz der Zellen', 'Écart des cellules', 'Differenza delle celle', 'Diferencia entre celdas', 'Różnica ogniw', 'Verschil tussen cellen'],
};
