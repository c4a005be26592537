// SPDX-License-Identifier: MIT
// The last 24 hours, from the history: today's energy, whether the rest lasts for tonight, and the power as a small curve; hidden without
// a history. Everywhere on this page, today begins at midnight in the time zone of the gateway.
import { draw, el, setAttribute, setText } from './dom.js';
import { clock, dayOf, energy, facts, hourOf, watts } from './numbers.js';
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

/** The sum of the known values of all packs; `night` are the points to judge the night by: none if a pack lacks one of them. */
export function houseToday() {
  const all = singles().map(p => todayOf(p.pack)), known = all.filter(Boolean), power = new Map();
  const sum = key => known.some(d => d[key] != null) ? known.reduce((so_far, d) => so_far + (d[key] ?? 0), 0) : null;
  for (const d of known) for (const [time, watt] of d.power_w || []) power.set(time, (power.get(time) ?? 0) + watt);
  const power_w = [...power].sort((a, b) => a[0] - b[0]), night = all.every(d => d && tonight(d.power_w)) ? power_w : [];
  return known.length ? { charged_wh: sum('charged_wh'), discharged_wh: sum('discharged_wh'), gap_s: gapOf(all), power_w, night } : null;
}

// Draws charging above zero and discharging below, in their colours; nothing, not even the zero line, where the power is unknown.
function curve() {
  const paths = ['zero', 'into', 'out'].map(name => draw('path', { class: name })), range = el('small');
  const plot = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, ...paths);
  const node = el('div', { class: 'curve' }, plot, range);
  node.show = points => {
    node.hidden = !points?.length;
    if (node.hidden) return;
    const step = stepOf(points);
    // A step that has only begun is no mean yet.
    if (points.length > 1 && gatewayTime() - points.at(-1)[0] < step / 3) points = points.slice(0, -1);
    const all = points.map(p => p[1]), high = Math.max(0, ...all), low = Math.min(0, ...all), scale = HEIGHT / (high - low || 1), zero = high * scale;
    const begin = gatewayTime() - DAY_S, wide = step / DAY_S * WIDTH;
    const place = time => `M${((time - begin) / DAY_S * WIDTH).toFixed(1)} ${zero.toFixed(1)}h${wide.toFixed(1)}`;
    const bars = sign => points.filter(p => p[1] * sign > 0).map(([time, watt]) => `${place(time)}v${(-watt * scale).toFixed(1)}h${(-wide).toFixed(1)}z`).join('');
    [points.map(p => place(p[0])).join(''), bars(1), bars(-1)].forEach((d, i) => setAttribute(paths[i], 'd', d || null));
    // A moment's power may well be outside.
    const words = `${t('means')} ${[low, high].map(w => watts(w).join('\u202f')).join(' … ')}`;
    setText(range, `${t('r24h')} · ${words}`);
    setAttribute(plot, 'aria-label', `${t('power')}, ${t('r24h')}: ${words}`);
  };
  return node;
}

const stepOf = points => Math.min(3600, ...points.slice(1).map((p, i) => p[0] - points[i][0]));

// Hours of the clock. Any 24 hours contain the hours of one night.
const NIGHT_FROM = 22, NIGHT_TO = 7, NIGHT_HOURS = 24 - NIGHT_FROM + NIGHT_TO;
const isNight = time => hourOf(time) >= NIGHT_FROM || hourOf(time) < NIGHT_TO;
const SPARE = 1.25;   // a BMS may switch off before its pack is empty

/** What the coming night, or the rest of this one, takes if it is like the night hours of the last 24 hours: {wh, from, to}; null if one of
 *  them is unknown. */
function tonight(points) {
  if (!points?.length) return null;
  const step = stepOf(points), now = gatewayTime(), last = points.at(-1)[0];
  const night = points.filter(([time]) => time > last - DAY_S && isNight(time));
  if (now - last > 2 * step + RENEW_S || night.length * step !== NIGHT_HOURS * 3600) return null;
  const next = hour => Math.round((now + (hour - hourOf(now) + 24) % 24 * 3600) / 60) * 60, to = next(NIGHT_TO), from = isNight(now) ? now : to - NIGHT_HOURS * 3600;
  const watt = night.reduce((so_far, [, watt]) => so_far + Math.max(0, -watt), 0) / night.length;
  return { wh: watt * (to - from) / 3600, from, to };
}

/** The Wh that remain in a fresh pack; null: unknown; undefined: it may stop before it is empty, as its switch or an alarm says. */
export function leftIn({ values: v, capacity, alarms }) {
  if (v.discharge_mos === 0 || alarms.some(a => a.name.endsWith('under_voltage'))) return undefined;
  const wh = (v.remaining_ah ?? capacity * v.soc_percent / 100) * v.voltage_v;
  return Number.isFinite(wh) ? wh : null;
}

/** The same of all packs. */
export function houseLeft() {
  const all = singles().map(p => isOld(p) ? null : leftIn(p));
  return all.includes(undefined) ? undefined : all.includes(null) ? null : all.reduce((a, b) => a + b, 0);
}

/** The W that a pack gives at present, as smooth as its forecast; negative: it charges. */
export const drawOf = p => p.values.time_to_empty_s > 0 ? leftIn(p) / p.values.time_to_empty_s * 3600 : -p.values.power_w;
export const houseDraw = () => singles().reduce((so_far, p) => so_far + drawOf(p), 0);

// The energy in a gap is unknown, so the sum is at least the recorded one.
function recorded(wh, gap_s) {
  if (wh == null) return [null];
  const [text, unit] = energy(wh);
  return [gap_s > GAP_S ? `≥\u202f${text}` : text, unit];
}

/** Today's energy, the curve of 24 hours, and whether `left` Wh (null: unknown) last for tonight, also at the present `draw`; without `left`
 *  nothing of the night, and without a day nothing at all. `isQuiet`: what is unknown is said elsewhere. */
export function today(isQuiet) {
  const f = facts('in_today', 'out_today'), power = curve(), verdict = el('b'), why = el('span'), night = el('p', { class: 'night' }, verdict, ' ', why);
  const node = el('div', { class: 'day' }, f.node, power, night);
  node.show = (d, left, draw) => {
    node.hidden = !d;
    if (!d) return;
    f.in_today.show(...recorded(d.charged_wh, d.gap_s));
    f.out_today.show(...recorded(d.discharged_wh, d.gap_s));
    power.show(d.power_w);
    const need = tonight(d.night || d.power_w), isKnown = need && left != null;
    night.hidden = left === undefined || (isQuiet && !isKnown);
    const lasts = draw > 0 ? gatewayTime() + left / draw * 3600 : Infinity;
    setText(verdict, isKnown ? t(need.wh > left ? 'night_no' : lasts < need.to ? 'night_if' : need.wh * SPARE > left ? 'night_just' : 'night_yes') : '');
    setText(why, isKnown ? t('night', clock(need.from), clock(need.to), ...[need.wh, left].map(wh => energy(wh).join('\u202f'))) : t('night_unknown'));
  };
  return node;
}
