// SPDX-License-Identifier: MIT
// What the history has of one pack, on the pack's page: today's extremes, sentences of its health, when alarms were active.
import { el, icon } from './dom.js';
import { sentence } from './health.js';
import { clock, facts, number, span } from './numbers.js';
import { gatewayTime } from './packs.js';
import { todayOf } from './today.js';
import { t } from './words.js';

const DAYS = 30;
const SHOWN = 8;   // alarms; older ones are folded

const range = (low, high, decimals) => low == null || high == null ? null : `${number(low, decimals)}…${number(high, decimals)}`;

function extremes(d) {
  const f = facts('soc', 'cells');
  f.soc.show(range(d?.soc_min_percent, d?.soc_max_percent, 0), '%');
  f.cells.show(range(d?.cell_min_mv && d.cell_min_mv / 1000, d?.cell_max_mv / 1000, 3), 'V');
  for (const name of ['soc', 'cells']) f[name].row.hidden = f[name].textContent === '–';
  return f.soc.row.hidden && f.cells.row.hidden ? null : el('section', {}, el('h2', {}, t('today')), f.node);
}

function spell({ name, level, since, until }) {
  const end = until ? `${clock(since, true)}, ${span(until - since)}` : `${clock(since, true)}, ${t('goes_on')}`;
  return el('li', {}, el('span', { class: level }, icon(level), t(name)), el('span', {}, end));
}

function spells(list) {
  const rows = [...list].sort((a, b) => b.since - a.since).map(spell), rest = rows.slice(SHOWN);
  return el('section', { 'data-section': 'alarms' }, el('h2', {}, t('alarms_days', DAYS)), rows.length ? el('ul', { class: 'spells' }, ...rows.slice(0, SHOWN)) : el('p', {}, t('no_alarms')),
    rest.length ? el('details', {}, el('summary', {}, t('more', rest.length)), el('ul', { class: 'spells' }, ...rest)) : null);
}

/** A card; null where nothing is known. */
export async function story(name) {
  const ask = path => fetch(`api/v1/packs/${encodeURIComponent(name)}/${path}`).then(r => r.ok ? r.json() : null).catch(() => null);
  const [health, alarms] = await Promise.all([ask(`health?days=${DAYS}`), ask(`alarms?from=${Math.round(gatewayTime()) - DAYS * 86400}`)]);
  const parts = [extremes(todayOf(name)),
    health?.t.length ? el('section', { 'data-section': 'health' }, el('h2', {}, t('health')), ...health.findings.map(f => el('p', {}, sentence(f))),
      health.findings.length ? null : el('p', {}, t('health_fine'))) : null,
    alarms && spells(alarms)].filter(Boolean);
  return parts.length ? el('section', { class: 'card all', 'data-section': 'story' }, ...parts) : null;
}
