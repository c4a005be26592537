// SPDX-License-Identifier: MIT
// What the last 24 hours brought, from the history: today's energy, what last night took, and the power as a small curve. Where there is no
// history there is nothing of it. Today begins at midnight by the clock of the gateway, everywhere on this page.
import { draw, el, setAttribute, setText } from './dom.js';
import { dayOf, energy, facts, hourOf, watts } from './numbers.js';
import { gatewayTime, isBank, isOld, packs, singles } from './packs.js';
import { t } from './words.js';

const DAY_S = 86400;
const RENEW_S = 300;   // the curve has a point each half hour
const EARLY_S = 15;
const GAP_S = 600;     // a restart takes less
const WIDTH = 240, HEIGHT = 40;

let days = {}, at = 0, asked = 0, coming = null;   // by pack; when it was true; when it was asked for

async function ask(now) {
  try {
    const response = await fetch('api/v1/today');
    if (!response.ok) return;
    const got = await response.json();
    for (const b of packs.values()) if (isBank(b) && got[b.pack]) got[b.pack] = ofBank(got[b.pack], b.members.map(name => got[name]));
    days = got;
    at = now;
  } catch { /* asked again later */ }
}

// Where no energy is known, all of the day is a gap.
const gapOf = all => Math.max(...all.map(d => d?.charged_wh == null ? DAY_S : d.gap_s));

// A bank may go on without a pack that does not answer: what that one did is not known.
function ofBank(day, members) {
  const times = members.filter(d => d?.power_w.length).map(d => new Set(d.power_w.map(([time]) => time)));
  return { ...day, gap_s: gapOf([day, ...members]), power_w: day.power_w.filter(([time]) => times.every(known => known.has(time))) };
}

// The gateway's clock may be set, also back.
const isNew = (moment, seconds) => Math.abs(gatewayTime() - moment) < seconds && dayOf(moment) === dayOf(gatewayTime());

// Shortly after midnight or a start: what is known is from before the first poll of a pack.
const isEarly = () => singles().some(p => !isOld(p) && p.values.power_w != null && days[p.pack] && days[p.pack].charged_wh == null);

/** Asks for it where it is not known, or not any more, and calls drawn() then. Whether there is a history. */
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

/** Of a pack or a bank; null where nothing is known. What is old is not shown as today's. */
export const todayOf = name => isNew(at, 2 * RENEW_S) ? days[name] : null;

/** Of all packs: the sum of what is known. */
export function houseToday() {
  const all = singles().map(p => todayOf(p.pack)), known = all.filter(Boolean), power = new Map();
  const sum = key => known.some(d => d[key] != null) ? known.reduce((so_far, d) => so_far + (d[key] ?? 0), 0) : null;
  for (const d of known) for (const [time, watt] of d.power_w || []) power.set(time, (power.get(time) ?? 0) + watt);
  return known.length ? { charged_wh: sum('charged_wh'), discharged_wh: sum('discharged_wh'), gap_s: gapOf(all), power_w: [...power].sort((a, b) => a[0] - b[0]) } : null;
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

// From evening to morning, both within the 24 hours of the curve for as long as it is day.
const NIGHT_FROM = 22, NIGHT_TO = 7;
const isNight = time => hourOf(time) >= NIGHT_FROM || hourOf(time) < NIGHT_TO;

/** Wh that went out last night; null at night, and unless every step of it is known. */
function lastNight(points) {
  if (!points?.length || isNight(gatewayTime())) return null;
  const step = stepOf(points), night = points.filter(([time]) => isNight(time));
  if (night.length * step !== (24 - NIGHT_FROM + NIGHT_TO) * 3600) return null;
  return night.reduce((wh, [, watt]) => wh + Math.max(0, -watt) * step / 3600, 0);
}

/** What a fresh pack still has, Wh; null where that is not known. */
export function leftIn({ values: v, capacity }) {
  const wh = (v.remaining_ah ?? capacity * v.soc_percent / 100) * v.voltage_v;
  return Number.isFinite(wh) ? wh : null;
}

// Nobody knows what flowed in a gap, so it is at least what was recorded.
function recorded(wh, gap_s) {
  if (wh == null) return [null];
  const [text, unit] = energy(wh);
  return [gap_s > GAP_S ? `≥\u202f${text}` : text, unit];
}

/** Today's energy, the curve of 24 hours, and beside what is left what last night took; show(null) shows nothing. */
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
