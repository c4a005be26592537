// SPDX-License-Identifier: MIT
// Numbers and times in the format of the browser: its decimal sign, its clock, tabular figures, small units. An unknown
// value is "–", never 0.
import { el, setText } from './dom.js';
import { locale, t } from './words.js';

const formats = {};

/** A number with so many decimals and a typographic minus sign. */
export function number(value, decimals = 0) {
  const format = formats[locale + decimals] ??= new Intl.NumberFormat(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const text = format.format(value);
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

const dates = {};
/** A format of times; `key` names its options. Formats are kept: creating one takes longer than using it a hundred times. */
export const dated = (key, options) => dates[locale + key] ??= new Intl.DateTimeFormat(locale, options);

let zone = {}, east = 0;

/** Sets the gateway's offset from UTC in seconds. If the browser's differs, times show their zone. */
export function setZone(seconds) {
  east = seconds;
  zone = east === -60 * new Date().getTimezoneOffset() ? {} : { timeZoneName: 'short' };
}

/** The date of a moment in the time zone of the gateway, "2026-11-22". */
export const dayOf = at => new Date(1000 * (at + east)).toISOString().slice(0, 10);

/** Hours since midnight in the time zone of the gateway. */
export const hourOf = at => (at + east) % 86400 / 3600;

/** Unix seconds as a time of day, optionally with the date. */
export const clock = (at, withDay) => dated(`${withDay ? 'moment' : 'time'} ${zone.timeZoneName}`,
  { ...zone, ...withDay ? { month: 'short', day: 'numeric' } : {}, hour: 'numeric', minute: '2-digit' }).format(at * 1000);
/** Formats a date of the gateway, "2026-11-22", in UTC: in the zone of the browser it could become another day. */
export const day = (text, withWeekday = true) => dated(withWeekday ? 'weekday' : 'day',
  { weekday: withWeekday ? 'short' : undefined, day: 'numeric', month: 'short', timeZone: 'UTC' }).format(new Date(text));

/** A duration: "40 s", "3 min", "2 h 5 min", "3 d", with non-breaking spaces. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 60) return `${Math.round(s)}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}\u00a0min`;
  if (s < 36000) return `${Math.floor(s / 3600)}\u00a0h ${Math.floor(s % 3600 / 60)}\u00a0min`;
  return s < 172800 ? `${Math.floor(s / 3600)}\u00a0h` : `${Math.floor(s / 86400)}\u00a0${t('days')}`;
}

/** A forecast, rounded to five minutes or half an hour, because it changes with the load. */
export function about(hours) {
  if (hours < 1) return `${Math.max(5, Math.round(hours * 12) * 5)}\u00a0min`;
  const halves = Math.round(hours * 2) / 2;
  return `${hours < 10 ? number(halves, halves % 1 ? 1 : 0) : Math.round(hours)}\u00a0h`;
}

/** A number with its unit; show(text, unit) changes it, show(null) shows it as unknown. */
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

/** A list of small headings with a value each; facts('voltage').voltage is its num(). */
export function facts(...names) {
  const list = el('dl', { class: 'facts' }), out = { node: list };
  for (const name of names) {
    out[name] = num();
    out[name].row = el('div', {}, el('dt', {}, t(name)), el('dd', {}, out[name]));
    list.append(out[name].row);
  }
  return out;
}
