// SPDX-License-Identifier: MIT
// How far cells are apart.

const mean = list => list.length ? list.reduce((s, v) => s + v, 0) / list.length : null;

/** Which of many columns is the lowest and which the highest on the whole, and their means; none where all are alike. */
export function outermost(columns) {
  const means = columns.map(c => mean(c.filter(v => v != null))), known = means.filter(v => v != null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return most > least ? { low: means.indexOf(least), high: means.indexOf(most), least, most } : {};
}

/** Columns of cells as distances from the mean of each moment. */
export function fromMean(cells) {
  const means = (cells[0] || []).map((_, i) => mean(cells.map(c => c[i]).filter(v => v != null)));
  return cells.map(c => c.map((v, i) => v == null ? null : v - means[i]));
}

/** The columns of so many cells, cell_mv.1 and on; a cell without one is unknown. */
export const cellsOf = (rows, count) => Array.from({ length: count }, (_, i) => rows[`cell_mv.${i + 1}`] || rows.t.map(() => null));
