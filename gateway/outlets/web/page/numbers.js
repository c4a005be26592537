// SPDX-License-Identifier: MIT
// Numbers and times as the browser writes them: its decimal sign, its clock, tabular figures, small units. What is not
// known is "–", never 0.
import { el, setText } from './dom.js';
import { locale, t } from './words.js';

const formats = {};

/** 1234.5 with that many decimals; a real minus sign. */
export function number(value, decimals = 0) {
  formats[decimals] ??= new Intl.NumberFormat(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const text = formats[decimals].format(value);
  return /[1-9]/.test(text) ? text.replace('-', '−') : text.replace('-', '');   // never "−0"
}

export const signed = (value, decimals) => {
  const text = number(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? '+' + text : text;
};

/** [text, unit] for num().show. */
export const watts = w =>
  Math.abs(w) < 999.5 ? [signed(w, 0), 'W'] : [signed(w / 1000, Math.abs(w) < 9995 ? 2 : 1), 'kW'];
export const energy = wh => wh < 1e6 ? [number(wh / 1000, 1), 'kWh'] : [number(wh / 1e6, 2), 'MWh'];

// To make a format takes longer than to use it a hundred times.
const dates = {};
const dated = (key, options) => dates[key] ??= new Intl.DateTimeFormat(locale, options);

let zone = {}, east = 0;

/** Seconds east of UTC where the gateway is: in another zone, times say theirs. */
export function setZone(seconds) {
  east = seconds;
  zone = east === -60 * new Date().getTimezoneOffset() ? {} : { timeZoneName: 'short' };
}

/** The day of the gateway that a moment lies in, "2026-11-22". */
export const dayOf = at => new Date(1000 * (at + east)).toISOString().slice(0, 10);

/** Hours since midnight, by the clock of the gateway. */
export const hourOf = at => (at + east) % 86400 / 3600;

/** Unix seconds as a time of day, or with the day in front. */
export const clock = (at, withDay) => dated(`${withDay ? 'moment' : 'time'} ${zone.timeZoneName}`,
  { ...zone, ...withDay ? { month: 'short', day: 'numeric' } : {}, hour: 'numeric', minute: '2-digit' }).format(at * 1000);
/** A day of the gateway, "2026-11-22": the browser may be in another zone, where its midnight lies in another day. */
export const day = (text, withWeekday = true) => dated(withWeekday ? 'weekday' : 'day',
  { weekday: withWeekday ? 'short' : undefined, day: 'numeric', month: 'short', timeZone: 'UTC' }).format(new Date(text));

/** How long something has lasted: "40 s", "3 min", "2 h 5 min", "3 d"; a unit stays with its number. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 60) return `${Math.round(s)}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}\u00a0min`;
  if (s < 36000) return `${Math.floor(s / 3600)}\u00a0h ${Math.floor(s % 3600 / 60)}\u00a0min`;
  return s < 172800 ? `${Math.floor(s / 3600)}\u00a0h` : `${Math.floor(s / 86400)}\u00a0${t('days')}`;
}

/** A forecast follows the load, so it is never more exact than five minutes or half an hour. */
export function about(hours) {
  if (hours < 1) return `${Math.max(5, Math.round(hours * 12) * 5)}\u00a0min`;
  const halves = Math.round(hours * 2) / 2;
  return `${hours < 10 ? number(halves, halves % 1 ? 1 : 0) : Math.round(hours)}\u00a0h`;
}

/** A number with its unit, to be changed by show(text, unit); show(null) says unknown. */
export function num(classes = '') {
  const value = document.createTextNode('–'), unit = el('small'), node = el('span', { class: ('num ' + classes).trim() }, value, unit);
  node.show = (text, u = '', space = '\u202f') => {
    if (value.data !== (text ?? '–')) value.data = text ?? '–';
    setText(unit, text == null || !u ? '' : space + u);
  };
  /** A value of a pack, which may be unknown. */
  node.put = (v, decimals, u, space) => node.show(v == null ? null : number(v, decimals), u, space);
  return node;
}

/** Small headings with a value each; facts('voltage').voltage is the num() of it. */
export function facts(...names) {
  const list = el('dl', { class: 'facts' }), out = { node: list };
  for (const name of names) {
    out[name] = num();
    out[name].row = el('div', {}, el('dt', {}, t(name)), el('dd', {}, out[name]));
    list.append(out[name].row);
  }
  return out;
}
