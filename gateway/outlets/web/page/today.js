// SPDX-License-Identifier: MIT
// The last 24 hours, from the history: today's energy, last night's consumption, and the power as a small curve; hidden without a
// history. Everywhere on this page, today begins at midnight in the time zone of the gateway.
import { draw, el, setAttribute, setText } from './dom.js';
import { dayOf, energy, facts, hourOf, watts } from './numbers.js';
import { gatewayTime, isBank, isOld, packs, singles } from './packs.js';
import { t } from './words.js';

const DAY_S = 86400;
const RENEW_S = 300;   // the curve has a point each half hour
const EARLY_S = 15;
const GAP_S = 600;     // a restart takes less
const WIDTH = 240, HEIGHT = 40;

let days = {}, at = 0, asked = 0, coming = null;   // by pack; time of the answer; time of the request

async function ask(now) {
  try {
    const response = await fetch('api/v1/today');
    if (!response.ok) return;
    const got = await response.json();
    for (const b of packs.values()) if (isBank(b) && got[b.pack]) got[b.pack] = ofBank(got[b.pack], b.members.map(name => got[name]));
    days = got;
    at = now;
  } catch { /* renewToday retries */ }
}

// If the energy is unknown, the whole day is a gap.
const gapOf = all => Math.max(...all.map(d => d?.charged_wh == null ? DAY_S : d.gap_s));

// A bank may continue without a silent pack: what that pack did is unknown.
function ofBank(day, members) {
  const times = members.filter(d => d?.power_w.length).map(d => new Set(d.power_w.map(([time]) => time)));
  return { ...day, gap_s: gapOf([day, ...members]), power_w: day.power_w.filter(([time]) => times.every(known => known.has(time))) };
}

// The gateway's clock may be set, even back.
const isNew = (moment, seconds) => Math.abs(gatewayTime() - moment) < seconds && dayOf(moment) === dayOf(gatewayTime());

// Shortly after midnight or a start: the values are from before the first poll of a pack.
const isEarly = () => singles().some(p => !isOld(p) && p.values.power_w != null && days[p.pack] && days[p.pack].charged_wh == null);

/** Requests the values if they are unknown or outdated, then calls drawn(). Resolves to whether there is a history. */
export async function renewToday(drawn) {
  const now = gatewayTime();
  if (!document.hidden && !isNew(asked, isEarly() ? EARLY_S : RENEW_S)) {
    asked = now;
    coming = ask(now);
    coming.then(drawn);
  }
  await coming;
  return Object.keys(days).length > 0;
}

/** The values of a pack or a bank; null if unknown or outdated. */
export const todayOf = name => isNew(at, 2 * RENEW_S) ? days[name] : null;

/** The sum of the known values of all packs. */
export function houseToday() {
  const all = singles().map(p => todayOf(p.pack)), known = all.filter(Boolean), power = new Map();
  const sum = key => known.some(d => d[key] != null) ? known.reduce((so_far, d) => so_far + (d[key] ?? 0), 0) : null;
  for (const d of known) for (const [time, watt] of d.power_w || []) power.set(time, (power.get(time) ?? 0) + watt);
  return known.length ? { charged_wh: sum('charged_wh'), discharged_wh: sum('discharged_wh'), gap_s: gapOf(all), power_w: [...power].sort((a, b) => a[0] - b[0]) } : null;
}

// Draws charging above zero and discharging below, in their colours; nothing, not even the zero line, where the power is unknown.
function curve() {
  const paths = ['zero', 'into', 'out'].map(name => draw('path', { class: name })), range = el('small');
  const plot = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, ...paths);
  const node = el('div', { class: 'curve' }, plot, range);
  node.show = points => {
    node.hidden = !points?.length;
    if (node.hidden) return;
    const all = points.map(p => p[1]), high = Math.max(0, ...all), low = Math.min(0, ...all), scale = HEIGHT / (high - low || 1), zero = high * scale;
    const step = stepOf(points), begin = gatewayTime() - DAY_S, wide = step / DAY_S * WIDTH;
    const place = time => `M${((time - begin) / DAY_S * WIDTH).toFixed(1)} ${zero.toFixed(1)}h${wide.toFixed(1)}`;
    const bars = sign => points.filter(p => p[1] * sign > 0).map(([time, watt]) => `${place(time)}v${(-watt * scale).toFixed(1)}h${(-wide).toFixed(1)}z`).join('');
    [points.map(p => place(p[0])).join(''), bars(1), bars(-1)].forEach((d, i) => setAttribute(paths[i], 'd', d || null));
    // A moment's power may well be outside.
    const words = `${t('mean')} ${[low, high].map(w => watts(w).join('\u202f')).join(' … ')}`;
    setText(range, `${t('r24h')} · ${words}`);
    setAttribute(plot, 'aria-label', `${t('power')}, ${t('r24h')}: ${words}`);
  };
  return node;
}

const stepOf = points => Math.min(3600, ...points.slice(1).map((p, i) => p[0] - points[i][0]));

// Hours of the clock. During the day, the whole last night is within the 24 hours of the curve.
const NIGHT_FROM = 22, NIGHT_TO = 7;
const isNight = time => hourOf(time) >= NIGHT_FROM || hourOf(time) < NIGHT_TO;

/** The Wh that were discharged last night; null at night, and if a step is unknown. */
function lastNight(points) {
  if (!points?.length || isNight(gatewayTime())) return null;
  const step = stepOf(points), night = points.filter(([time]) => isNight(time));
  if (night.length * step !== (24 - NIGHT_FROM + NIGHT_TO) * 3600) return null;
  return night.reduce((wh, [, watt]) => wh + Math.max(0, -watt) * step / 3600, 0);
}

/** The Wh that remain in a fresh pack; null: unknown. */
export function leftIn({ values: v, capacity }) {
  const wh = (v.remaining_ah ?? capacity * v.soc_percent / 100) * v.voltage_v;
  return Number.isFinite(wh) ? wh : null;
}

// The energy in a gap is unknown, so the sum is at least the recorded one.
function recorded(wh, gap_s) {
  if (wh == null) return [null];
  const [text, unit] = energy(wh);
  return [gap_s > GAP_S ? `≥\u202f${text}` : text, unit];
}

/** Today's energy, the curve of 24 hours, and last night's consumption next to the remaining energy; show(null) hides it. */
export function today() {
  const f = facts('in_today', 'out_today'), power = curve(), night = el('p', { class: 'night' }), node = el('div', { class: 'day' }, f.node, power, night);
  node.show = (d, left) => {
    node.hidden = !d;
    if (!d) return;
    f.in_today.show(...recorded(d.charged_wh, d.gap_s));
    f.out_today.show(...recorded(d.discharged_wh, d.gap_s));
    power.show(d.power_w);
    const took = left == null ? null : lastNight(d.power_w);
    night.hidden = took == null;
    if (took != null) setText(night, t('night', ...[took, left].map(wh => energy(wh).join('\u202f'))));
  };
  return node;
}
