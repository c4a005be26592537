// SPDX-License-Identifier: MIT
// Distances between cells.

const mean = list => list.length ? list.reduce((s, v) => s + v, 0) / list.length : null;

/** The columns with the lowest and the highest mean, and these means; {} if all are equal. */
export function outermost(columns) {
  const means = columns.map(c => mean(c.filter(v => v != null))), known = means.filter(v => v != null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return most > least ? { low: means.indexOf(least), high: means.indexOf(most), least, most } : {};
}

/** Converts columns of cells to distances from the mean at each moment. */
export function fromMean(cells) {
  const means = (cells[0] || []).map((_, i) => mean(cells.map(c => c[i]).filter(v => v != null)));
  return cells.map(c => c.map((v, i) => v == null ? null : v - means[i]));
}

/** The columns of `count` cells, from cell_mv.1 on; null for cells without a column. */
export const cellsOf = (rows, count) => Array.from({ length: count }, (_, i) => rows[`cell_mv.${i + 1}`] || rows.t.map(() => null));
