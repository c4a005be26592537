// SPDX-License-Identifier: MIT
// What the last 24 hours brought, from the history: today's energy and the power as a small curve. Where there is no history there is
// nothing of it.
import { draw, el, setAttribute, setText } from './dom.js';
import { energy, facts, watts } from './numbers.js';
import { gatewayTime, singles } from './packs.js';
import { t } from './words.js';

const DAY_S = 86400;
const RENEW_S = 300;   // the curve has a point each half hour
const WIDTH = 240, HEIGHT = 40;

let days = {}, at = -Infinity, asked = -Infinity, coming = null;   // by pack; when it was true; when it was asked for

async function ask(now) {
  try {
    const response = await fetch('api/v1/today');
    if (!response.ok) return;
    days = await response.json();
    at = now;
  } catch { /* asked again later */ }
}

/** Asks for it where it is not known, or not any more, and calls drawn() then. Whether there is a history. */
export async function renewToday(drawn) {
  const now = gatewayTime();
  if (now - asked >= RENEW_S && !document.hidden) {
    asked = now;
    coming = ask(now);
    coming.then(drawn);
  }
  await coming;
  return Object.keys(days).length > 0;
}

/** Of a pack or a bank; null where nothing is known. What is old is not shown as today's. */
export const todayOf = name => gatewayTime() - at < 2 * RENEW_S ? days[name] : null;

/** Of all packs: the sum of what is known. */
export function houseToday() {
  const known = singles().map(p => todayOf(p.pack)).filter(Boolean), power = new Map();
  const sum = key => known.some(d => d[key] != null) ? known.reduce((so_far, d) => so_far + (d[key] ?? 0), 0) : null;
  for (const d of known) for (const [time, watt] of d.power_w || []) power.set(time, (power.get(time) ?? 0) + watt);
  return known.length ? { charged_wh: sum('charged_wh'), discharged_wh: sum('discharged_wh'), power_w: [...power].sort((a, b) => a[0] - b[0]) } : null;
}

// Charging above zero, discharging below, in their colours. Where nothing is known there is no line either.
function curve() {
  const paths = ['zero', 'into', 'out'].map(name => draw('path', { class: name })), range = el('small');
  const plot = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, ...paths);
  const node = el('div', { class: 'curve' }, plot, range);
  node.show = points => {
    node.hidden = !points?.length;
    if (node.hidden) return;
    const all = points.map(p => p[1]), high = Math.max(0, ...all), low = Math.min(0, ...all), scale = HEIGHT / (high - low || 1), zero = high * scale;
    const step = Math.min(3600, ...points.slice(1).map((p, i) => p[0] - points[i][0])), begin = gatewayTime() - DAY_S, wide = step / DAY_S * WIDTH;
    const place = time => `M${((time - begin) / DAY_S * WIDTH).toFixed(1)} ${zero.toFixed(1)}h${wide.toFixed(1)}`;
    const bars = sign => points.filter(p => p[1] * sign > 0).map(([time, watt]) => `${place(time)}v${(-watt * scale).toFixed(1)}h${(-wide).toFixed(1)}z`).join('');
    [points.map(p => place(p[0])).join(''), bars(1), bars(-1)].forEach((d, i) => setAttribute(paths[i], 'd', d || null));
    const words = [low, high].map(w => watts(w).join('\u202f')).join(' … ');
    setText(range, `${t('r24h')} · ${words}`);
    setAttribute(plot, 'aria-label', `${t('power')}, ${t('r24h')}: ${words}`);
  };
  return node;
}

/** Today's energy and the curve of 24 hours; show(null) shows nothing. */
export function today() {
  const f = facts('in_today', 'out_today'), power = curve(), node = el('div', { class: 'day' }, f.node, power);
  node.show = d => {
    node.hidden = !d;
    if (!d) return;
    f.in_today.show(...d.charged_wh == null ? [null] : energy(d.charged_wh));
    f.out_today.show(...d.discharged_wh == null ? [null] : energy(d.discharged_wh));
    power.show(d.power_w);
  };
  return node;
}
