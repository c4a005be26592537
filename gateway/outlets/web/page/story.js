// SPDX-License-Identifier: MIT
// The history of one pack, on its page: today's extremes, health findings, and when alarms were active.
import { el, icon } from './dom.js';
import { sentence } from './health.js';
import { clock, facts, number, span } from './numbers.js';
import { gatewayTime } from './packs.js';
import { alarmWords, chartsOf } from './parts.js';
import { todayOf } from './today.js';
import { t } from './words.js';

const DAYS = 30;
const MARGIN_S = 600;
const SHOWN = 8;   // alarms; older ones are folded

const range = (low, high, decimals) => low == null || high == null ? null : `${number(low, decimals)}…${number(high, decimals)}`;

function extremes(d) {
  const f = facts('soc', 'cells');
  f.soc.show(range(d?.soc_min_percent, d?.soc_max_percent, 0), '%');
  f.cells.show(range(d?.cell_min_mv && d.cell_min_mv / 1000, d?.cell_max_mv / 1000, 3), 'V');
  for (const name of ['soc', 'cells']) f[name].row.hidden = f[name].textContent === '–';
  return f.soc.row.hidden && f.cells.row.hidden ? null : el('section', {}, el('h2', {}, t('today')), f.node);
}

// An alarm as a link to the charts at its time, of its pack and with its cell, where the cells show its cause.
function spell(name, alarm) {
  const { level, since, until, pack = name, cell } = alarm;
  const words = until ? `${clock(since, true)}, ${span(until - since)}` : `${clock(since, true)}, ${t('no_end')}`;
  const now = Math.round(gatewayTime()), end = until ?? now, margin = Math.max(MARGIN_S, Math.round((end - since) / 4));
  return el('li', {}, el('a', { href: `${chartsOf(pack)}/30d/${since - margin}-${Math.min(now, end + margin)}${cell ? `/cell-${cell}` : ''}` },
    el('span', { class: level }, icon(level), alarmWords(alarm)), el('span', {}, words)));
}

function spells(pack, list) {
  const rows = [...list].sort((a, b) => b.since - a.since).map(one => spell(pack, one)), rest = rows.slice(SHOWN);
  return el('section', { 'data-section': 'alarms' }, el('h2', {}, t('alarms_days', DAYS)), rows.length ? el('ul', { class: 'spells' }, ...rows.slice(0, SHOWN)) : el('p', {}, t('no_alarms')),
    rest.length ? el('details', {}, el('summary', {}, t('more', rest.length)), el('ul', { class: 'spells' }, ...rest)) : null);
}

/** A card; null: nothing is known. */
export async function story(name) {
  const ask = path => fetch(`api/v1/packs/${encodeURIComponent(name)}/${path}`).then(r => r.ok ? r.json() : null).catch(() => null);
  const [health, alarms] = await Promise.all([ask(`health?days=${DAYS}`), ask(`alarms?from=${Math.round(gatewayTime()) - DAYS * 86400}`)]);
  const parts = [extremes(todayOf(name)),
    health?.t.length ? el('section', { 'data-section': 'health' }, el('h2', {}, t('health')), ...health.findings.map(f => el('p', {}, sentence(f))),
      health.findings.length ? null : el('p', {}, t('health_fine', health.t.length))) : null,
    alarms && spells(name, alarms)].filter(Boolean);
  return parts.length ? el('section', { class: 'card all', 'data-section': 'story' }, ...parts) : null;
}
