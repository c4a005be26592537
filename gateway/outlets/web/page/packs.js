// SPDX-License-Identifier: MIT
// The state of all packs: read once, then updated by the stream of events. A stale value never looks like a fresh one: the
// gateway reports that a pack is stale, and a missing beat shows that the gateway itself is silent.
import { $, setText } from './dom.js';
import { about as aboutHours, clock, setZone, span } from './numbers.js';
import { t } from './words.js';

const LIVE_S = 25;       // the gateway sends a beat every 10 s; without one for this long it counts as away
const KEEP_FULL_S = 5;   // s for which values beyond the seven of an overview stay valid without an update
const ASK_S = 10;        // s between two requests for values while there is no stream
const QUIET_S = 12;      // s without a beat after which a proxy is assumed to buffer the stream
const DAY_S = 86400;
const LATE_S = 5;        // s of delay after which the stream counts as buffered, too
const isBehind = time => sentAt != null && time < sentAt.time + since(sentAt.at) - LATE_S;   // `time` is of the gateway's clock
const BRIEF = ['soc_percent', 'power_w', 'voltage_v', 'current_a', 'cell_delta_mv', 'temp_max_c', 'alarm_level'];

/** name → {pack, kind, state, values, alarms, lastAlarms, shape, members}. Unless state is "fresh", `values` are the last known ones;
 *  `lastAlarms` are those of the last fresh report. The order is that of the configuration, so that each pack keeps its place. */
export const packs = new Map();

/** The title of the gateway. */
export let gatewayName = 'packgate';

let loggedInUntil = 0;
/** Whether this browser has a session; each answer to load() contains how long it lasts. */
export const hasSession = () => Date.now() < loggedInUntil;

let stream = null, detail = [], beat = null, answered = false, refused = false, asked = null, skew = 0;
let heard = null, isLate = false;   // of the stream
let sentAt = null;   // of the last answer to load(): `time` by the gateway's clock, `at` when it came
const watchers = { drawn() {}, reshaped() {} };

// performance.now() may stop while a laptop sleeps, and the wall clock may be set back: the longer time counts.
const mark = (ago = 0) => ({ monotonic: performance.now() - ago, wall: Date.now() - ago });
const since = at => Math.max(performance.now() - at.monotonic, Date.now() - at.wall) / 1000;

/** The gateway's clock, Unix seconds. */
export const gatewayTime = () => Date.now() / 1000 + skew;
export const isOffline = () => answered && since(beat) > LIVE_S;
export const hasAnswered = () => answered;
export const silence = () => since(beat);
// The gateway sends only changes: for a fresh pack, each beat confirms the values that were sent last.
export const ageOf = p => p.age + (p.state === 'fresh' ? Math.min(since(p.seen), since(beat)) : since(p.seen));
export const isBank = p => p.kind === 'bank';
export const isOld = p => p.state !== 'fresh' || isOffline();
export const singles = () => [...packs.values()].filter(p => !isBank(p));
export const banked = () => new Set([...packs.values()].flatMap(p => p.members));

/** The title of a pack; its name if the pack is unknown. */
export const titleOf = name => packs.get(name)?.title ?? name;

/** "protection", "warning" or null. */
export function levelOf(p) {
  if (p.alarms.some(a => a.level === 'protection')) return 'protection';
  return p.alarms.length ? 'warning' : null;
}

/** Calls drawn() after every change, and reshaped() when the list of packs, or the cells of one, have changed. */
export const watch = callbacks => Object.assign(watchers, callbacks);

const worstFirst = alarms => [...alarms].sort((a, b) => (b.level === 'protection') - (a.level === 'protection'));

/** Applies a report. `ago`: milliseconds since it was received. */
function applyReport(report, isFull, ago = 0) {
  const { pack, name = pack, state, age_s, time, alarms = [], last = {}, ...values } = report, { alarms: lastAlarms, ...lastValues } = last;
  const old = packs.get(pack), p = old || { pack, values: {}, shape: {}, members: [], alarms: [], lastAlarms: [], full: null };
  if (old) announce(old, report);
  if (isFull) {
    p.full = mark(ago);
    p.kind = report.kind || p.kind || 'pack';
    p.members = report.members || p.members;
    // The identity stays known while the pack is silent.
    const known = { ...lastValues, ...values };
    p.capacity = known.full_ah ?? known.rated_ah ?? known.capacity_ah ?? p.capacity;
    p.shape = {
      cells: known.cell_count ?? p.shape.cells ?? 0, temps: known.temp_count ?? p.shape.temps ?? 0,
      texts: { ...p.shape.texts, ...Object.fromEntries(['protocol', 'model', 'serial', 'firmware', 'line', 'address', 'unit', 'writable']
        .filter(k => known[k] != null).map(k => [k, known[k]])) },
    };
  }
  if (state !== 'fresh') p.values = { ...p.values, ...lastValues, ...values };
  else p.values = isFull || p.state !== 'fresh' || !p.full || since(p.full) > KEEP_FULL_S ? values : { ...p.values, ...values };
  p.title = name;
  p.state = state;
  p.age = age_s || 0;
  p.seen = mark(ago);
  p.alarms = worstFirst(alarms);
  p.lastAlarms = state === 'fresh' ? p.alarms : worstFirst(lastAlarms || p.lastAlarms);
  packs.set(pack, p);
}

// Announces changes once, for screen readers. Alarms of a silent pack are not announced as ended, because that is unknown.
function announce(p, report) {
  if (isBank(p)) return;
  const words = [], was = new Map(p.lastAlarms.map(a => [a.name, a.level])), is = new Set((report.alarms || []).map(a => a.name));
  for (const a of report.alarms || [])
    if (!was.has(a.name) || (was.get(a.name) === 'warning' && a.level === 'protection')) words.push(`${p.title}: ${t(a.name)}, ${t(a.level)}`);
  if (report.state === 'fresh') for (const name of was.keys()) if (!is.has(name)) words.push(`${p.title}: ${t(name)}, ${t('ended')}`);
  if (p.state === 'fresh' && report.state !== 'fresh') words.push(`${p.title}: ${t('f_stale')}`);
  if (words.length) say(words.join('. '));
}

export const say = words => setText($('say'), words);

const shapes = () => JSON.stringify([...packs.values()].map(p => [p.pack, p.title, p.kind, p.shape, p.members]));
let shape = '';

function changed() {
  const now = shapes();
  if (now !== shape) {
    shape = now;
    watchers.reshaped();
  }
  watchers.drawn();
}

/** Requests all packs with all values. */
export async function load() {
  const begun = mark(), response = await fetch('api/v1/packs');
  if (!response.ok) throw new Error(response.statusText);
  const list = await response.json();
  // page.html preloads this request before any script runs. `came`: ms since the answer came; `ago`: since the request, as the answer may
  // have been on its way for all of that time.
  const early = answered ? null : performance.getEntriesByName(response.url)[0], came = early ? performance.now() - early.responseEnd : 0;
  const ago = early ? performance.now() - early.startTime : 1000 * since(begun), names = new Set(list.map(p => p.pack));
  for (const name of packs.keys()) if (!names.has(name)) packs.delete(name);
  loggedInUntil = Date.now() + 1000 * response.headers.get('x-packgate-session');
  setZone(Number(response.headers.get('x-packgate-zone')));
  const sent = Number(response.headers.get('x-packgate-time'));   // not Date, which a proxy may replace
  gatewayName = decodeURIComponent(response.headers.get('x-packgate-name') || 'packgate');
  sentAt = sent ? { time: sent, at: mark(came) } : null;
  if (sent) skew = sent - (Date.now() - came) / 1000;
  // Removed and inserted again, so that the order is the gateway's.
  for (const report of list) {
    applyReport(report, true, ago);
    const p = packs.get(report.pack);
    packs.delete(report.pack);
    packs.set(report.pack, p);
  }
  // The page's process answers, but the gateway behind it may be silent: this counts as a missing beat.
  if (response.headers.get('x-packgate') !== 'silent') beat = mark(ago);
  else if (!beat) countAsSilent();
  answered = true;
  changed();
}

/** Opens the stream with all values of the named packs, which are on the screen, and seven values of the others. */
export function listen(names) {
  if (stream && stream.readyState !== EventSource.CLOSED && names.join() === detail.join()) return;
  for (const name of names) if (!detail.includes(name)) dropDetails(packs.get(name));
  detail = names;
  closeStream();
  if (document.hidden) return;
  const full = new Set(names);
  let dropped = false, beaten = false;
  const opened = stream = new EventSource('api/v1/events?detail=' + names.map(encodeURIComponent).join(','));
  refused = false;
  heard = mark();
  isLate = false;
  stream.addEventListener('pack', event => {
    const report = JSON.parse(event.data);
    isLate ||= isBehind(report.time + report.age_s);   // when it was sent
    if (isLate || !packs.has(report.pack)) return;   // the pack may be of a configuration that this page has not read yet
    applyReport(report, full.has(report.pack));
    if (!beaten) startSilent();
    changed();
  });
  stream.addEventListener('beat', event => {
    const { time, zone } = JSON.parse(event.data);
    beaten = true;
    isLate = isBehind(time);
    if (isLate) return;
    beat = heard = mark();
    if (time) skew = time - Date.now() / 1000;
    if (zone != null) setZone(zone);   // summer time may begin meanwhile
    watchers.drawn();
  });
  // After a reconnect, the configuration may be another one.
  stream.addEventListener('open', () => {
    if (dropped) load().catch(() => {});
    dropped = false;
  });
  stream.addEventListener('error', () => {
    dropped = true;
    if (stream === opened && stream.readyState === EventSource.CLOSED) refused = true;
    watchers.drawn();
  });
}

// Before all values of a pack are shown: drops those that the stream has not updated.
function dropDetails(p) {
  if (p?.state === 'fresh' && since(p.full) > KEEP_FULL_S)
    p.values = Object.fromEntries(BRIEF.filter(key => p.values[key] != null).map(key => [key, p.values[key]]));
}

// A stream begins with a beat, unless the gateway is silent: this shows it at once rather than after LIVE_S.
function startSilent() {
  if (!isOffline()) countAsSilent();
}

function countAsSilent() {
  const youngest = Math.min(...[...packs.values()].map(p => p.age + since(p.seen)));
  beat = mark(1000 * Math.max(LIVE_S + 1, Number.isFinite(youngest) ? youngest : 0));
}

function closeStream() {
  if (stream) stream.close();
  stream = null;
}

// A hidden tab closes its connection; when shown again, it loads everything before it counts as live.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return closeStream();
  watchers.drawn();
  load().catch(() => {});
  listen(detail);
});

// Updates ages each second, and requests the values if the gateway refuses a stream or a proxy buffers it.
setInterval(() => {
  if (document.hidden || !answered) return;
  const quiet = refused || (stream && since(heard) > QUIET_S);
  if (quiet && (!asked || since(asked) > ASK_S)) {
    asked = mark();
    load().then(() => refused && listen(detail)).catch(() => {});
  }
  watchers.drawn();
}, 1000);

// ---- the state of a pack in words

// The power below which a pack counts as resting: 3 W, 0.15 A, or 1/500 of the capacity.
const restOf = p => Math.max(3, Math.abs(p.values.voltage_v || 0) * Math.max(.15, (p.capacity || 0) * .002));
const flowOf = (power, rest) => Math.abs(power ?? 0) < rest ? 'resting' : power > 0 ? 'charging' : 'discharging';

/** All fresh packs as one, with its state. A sum is unknown if a part of it is. */
export function house() {
  const all = singles(), heard = all.filter(p => !isOld(p));
  const sum = of => heard.reduce((so_far, p) => so_far + (of(p) ?? NaN), 0), known = number => Number.isFinite(number) ? number : null;
  const power_w = heard.length ? known(sum(p => p.values.power_w)) : null, size = p => p.capacity * p.values.voltage_v;
  const values = { power_w, soc_percent: known(sum(p => p.values.soc_percent * size(p)) / sum(size)) };
  const kinds = heard.map(p => stateOf(p).kind), up = kinds.filter(k => k === 'charging').length, down = kinds.filter(k => k === 'discharging').length;
  const kind = heard.length ? flowOf(power_w, sum(restOf)) : 'stale', word = kind === 'stale' ? 'f_stale' : power_w == null ? 'power_unknown' : kind;
  // Both directions are counted: a sum would hide a pack that discharges into the others.
  return { values, state: { kind, word: t(word), more: [t('packs_fresh', heard.length, all.length), up && down ? t('both', up, down) : null].filter(Boolean) } };
}

// Rounded down, so that it promises too little rather than too much; with the date if it may be tomorrow.
function endOf(seconds) {
  const now = gatewayTime(), step = seconds < 3600 ? 300 : 1800;
  return clock(Math.max(now, Math.floor((now + seconds) / step) * step), seconds > DAY_S / 2);
}

/** {kind: charging | discharging | resting | stale, word, more: […], isOff: whether a switch is open} */
export function stateOf(p) {
  const v = p.values;
  if (isOld(p)) {
    const never = p.state === 'never' || (p.state === 'no_line' && v.soc_percent == null && v.voltage_v == null);
    return { kind: 'stale', word: never || (p.state === 'no_line' && !isOffline()) ? t(p.state) : t('stale', span(ageOf(p))), never, more: [] };
  }
  const kind = flowOf(v.power_w, restOf(p)), more = [];
  // Of a bank: in one of its packs, of which the others may go on.
  for (const way of ['charge', 'discharge']) if (v[way + '_mos'] === 0) more.push(p.members.length > 1 ? t('bank_off', t(way + '_off')) : t(way + '_off'));
  const isOff = more.length > 0;
  const full = v.time_to_full_s, empty = v.time_to_empty_s;
  // No forecast for a direction whose switch is open.
  if (kind === 'charging' && v.charge_mos !== 0 && full > 100 && full < DAY_S) more.push(t('full_in', aboutHours(full / 3600)));
  // No forecast while a cell is too low: the pack stops before it is empty.
  if (kind === 'discharging' && v.discharge_mos !== 0 && empty > 100 && !p.alarms.some(a => a.name.endsWith('under_voltage'))) more.push(empty < DAY_S ? t('lasts_until', endOf(empty)) : t('lasts_long'));
  const on = balancedCells(p);
  if (on.length) more.push(t('balancing_cells', on.slice(0, 4).join(', ') + (on.length > 4 ? ' …' : '')));
  else if (v.balancing) more.push(t('balancing'));
  return { kind, word: v.power_w == null ? t('power_unknown') : t(kind), more, isOff };
}

/** Numbers of the cells that are being balanced. */
export function balancedCells(p) {
  let mask;
  try { mask = BigInt(p.values.balance_mask || 0); } catch { return []; }
  return Array.from({ length: p.shape.cells }, (_, i) => i + 1).filter(n => mask >> BigInt(n - 1) & 1n);
}

/** The values "cell_mv.1", "cell_mv.2", …; null where unknown. */
export const row = (p, name, count) => Array.from({ length: count || 0 }, (_, i) => p.values[`${name}.${i + 1}`] ?? null);
