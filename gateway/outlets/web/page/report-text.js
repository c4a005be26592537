// SPDX-License-Identifier: MIT
// Words of the report alone; as in text.js.
export const TEXT = {
  made: ['Made by packgate on {0}', 'Von packgate erstellt am {0}', 'Établi par packgate le {0}', 'Redatto da packgate il {0}'],
  print: ['Print', 'Drucken', 'Imprimer', 'Stampa'],
  month: ['Month', 'Monat', 'Mois', 'Mese'],
  month_before: ['Month before', 'Monat davor', 'Mois précédent', 'Mese precedente'],
  month_after: ['Month after', 'Monat danach', 'Mois suivant', 'Mese successivo'],
  days_known: ['Days with values', 'Tage mit Werten', 'Jours avec valeurs', 'Giorni con valori'],
  soc_by_day: ['State of charge, lowest to highest of each day', 'Ladestand, niedrigster bis höchster jedes Tages', 'État de charge, du plus bas au plus haut de chaque jour', 'Stato di carica, dal minimo al massimo di ogni giorno'],
  lowest_cell: ['Lowest cell', 'Niedrigste Zelle', 'Cellule la plus basse', 'Cella più bassa'],
  highest_cell: ['Highest cell', 'Höchste Zelle', 'Cellule la plus haute', 'Cella più alta'],
  at_most: ['Difference, at most', 'Differenz, höchstens', 'Écart, au plus', 'Differenza, al massimo'],
  worst: ['The lowest cell of all: {0}, cell {1}, by {2} in the mean of the month.', 'Die niedrigste Zelle von allen: {0}, Zelle {1}, um {2} im Mittel des Monats.', 'La cellule la plus basse de toutes : {0}, cellule {1}, de {2} en moyenne sur le mois.', 'La cella più bassa di tutte: {0}, cella {1}, di {2} in media nel mese.'],
  under_load: ['Measured under load, from the middle cell.', 'Gemessen unter Last, von der mittleren Zelle aus.', 'Mesuré en charge, par rapport à la cellule médiane.', 'Misurato sotto carico, rispetto alla cella mediana.'],
  all_day: ['Measured all day, from the mean of the cells.', 'Gemessen den ganzen Tag, vom Mittel der Zellen aus.', 'Mesuré toute la journée, par rapport à la moyenne des cellules.', 'Misurato tutto il giorno, rispetto alla media delle celle.'],
  worst_by_day: ['{0}, cell {1} by day, and the range of its other cells', '{0}, Zelle {1} nach Tagen, und der Bereich der anderen Zellen', '{0}, cellule {1} par jour, et la plage de ses autres cellules', '{0}, cella {1} per giorno, e l’intervallo delle altre celle'],
  to_do: ['What to do', 'Was zu tun ist', 'Que faire', 'Che cosa fare'],
  to_do_nothing: ['Nothing: no cell is far from the others.', 'Nichts: keine Zelle liegt weit von den anderen.', 'Rien : aucune cellule n’est loin des autres.', 'Niente: nessuna cella è lontana dalle altre.'],
  to_do_look: ['Look at {0}, cell {1}: tighten and clean its connections, and compare this report with that of the next month.', '{0}, Zelle {1} ansehen: Verbindungen festziehen und reinigen, und diesen Bericht mit dem des nächsten Monats vergleichen.', 'Examiner {0}, cellule {1} : resserrer et nettoyer ses connexions, puis comparer ce rapport à celui du mois suivant.', 'Controllare {0}, cella {1}: stringere e pulire i collegamenti, e confrontare questo rapporto con quello del mese successivo.'],
  no_cells: ['No cells were recorded in this month.', 'In diesem Monat wurden keine Zellen aufgezeichnet.', 'Aucune cellule enregistrée ce mois-ci.', 'Nessuna cella registrata in questo mese.'],
};
