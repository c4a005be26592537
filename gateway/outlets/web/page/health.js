// SPDX-License-Identifier: MIT
// A pack's health from the history: findings as sentences, the latest figures, and the cells under load by day.
import { el } from './dom.js';
import { day, number } from './numbers.js';
import { COLON, hasText, t } from './words.js';

const last = column => (column || []).filter(v => v != null).at(-1);

/** A finding in the language of the page, or as the gateway words it. */
export function sentence(finding) {
  const key = 'health_' + finding.kind, figure = finding.kind === 'silent' ? number(finding.number / 3600, 1)
    : number(finding.number, finding.kind.startsWith('resistance') ? 1 : 0);
  return hasText(key) ? t(key, finding.cell, figure, finding.days) : finding.text;
}

/** A card, and a chart if there are days with cells. `plot` is that of plot.js. null: nothing is known. */
export function healthCards(got, plot) {
  const figures = [['efficiency_percent', '%', 1], ['capacity_seen_ah', 'Ah', 1]].map(([key, unit, decimals]) => [key, last(got[key]), unit, decimals])
    .filter(([, value]) => value != null);
  const names = Array.from({ length: 48 }, (_, i) => String(i + 1)).filter(n => got['load_mv.' + n]);
  if (!got.findings.length && !figures.length && !names.length) return null;
  const card = el('section', { class: 'card', 'data-kind': 'health' }, el('div', { class: 'head' }, el('h2', {}, t('health'))),
    ...got.findings.map(finding => el('p', {}, sentence(finding))), got.findings.length ? null : el('p', {}, t('health_fine', got.t.length)),
    ...figures.map(([key, value, unit, decimals]) => el('p', {}, `${t(key)}${COLON} ${number(value, decimals)}\u00a0${unit}`)));
  let picked = null;
  const chart = names.length && got.t.length > 1 ? plot({
    kind: 'cells', heading: t('health_load'), unit: 'mV', decimals: 0, isMany: true, isSigned: true, names, columns: names.map(n => got['load_mv.' + n]),
  }, got.t, got['load_mv.' + names[0]], [got.t[0], got.t.at(-1)], {
    zoom() {}, whole() {}, say() {}, cursor(i) { chart?.showAt(i ?? got.t.length - 1, day(got.day[i ?? got.t.length - 1])); },
    pick(i) { chart.pick(picked = picked === i ? null : i); },
  }) : null;
  chart?.node.setAttribute('data-kind', 'health-cells');
  chart?.showAt(got.t.length - 1, day(got.day.at(-1)));
  return { nodes: chart ? [card, chart.node] : [card], destroy() { chart?.destroy(); }, resize() { chart?.resize(); }, redraw() { chart?.redraw(); } };
}
