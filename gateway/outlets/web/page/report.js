// SPDX-License-Identifier: MIT
// A month of a bank or a pack on two sheets of paper: energy and state of charge by day, a row for each pack, the worst cell and what
// to do. #/report/NAME/2026-11. Days are in the time zone of the gateway.
import { copyable } from './copy.js';
import { draw, el } from './dom.js';
import { sentence } from './health.js';
import { alarmWords, nothingOf, silentView } from './parts.js';
import { clock, dayOf, energy, number, signed } from './numbers.js';
import { gatewayName, gatewayTime, isBank, listen, packs, titleOf } from './packs.js';
import { cellsOf, fromMean } from './spread.js';
import { COLON, addWords, locale, t } from './words.js';

const ROWS_MOST = 16, ALARMS_MOST = 10, SENTENCES_MOST = 8;   // as many as fit on two sheets
const NARROW = matchMedia('(max-width: 37.4rem)');
const FAR_MV = 10;            // as in the rules of health: smaller distances do not matter
const HEALTH_DAYS = 400;
const LEFT = 52, HEIGHT = 150, BELOW = 18, LABEL = 12;

let loaded = null;
const load = () => loaded ??= Promise.all([addWords('charts-text'), addWords('report-text'), new Promise((done, failed) => document.head.append(
  el('link', { rel: 'stylesheet', href: new URL('report.css', import.meta.url).href, onload: done, onerror: failed })))]).catch(wrong => {
  loaded = null;
  throw wrong;
});

const mean = list => list.reduce((s, v) => s + v, 0) / list.length;
const known = column => (column || []).filter(v => v != null);
const sum = column => known(column).length ? known(column).reduce((s, v) => s + v, 0) : null;
const most = column => known(column).length ? Math.max(...known(column)) : null;
const least = column => known(column).length ? Math.min(...known(column)) : null;
const text = (v, decimals, unit) => v == null ? '–' : `${number(v, decimals)}\u202f${unit}`;
const charged = days => least(days.soc_percent_min) == null ? '–' : `${number(least(days.soc_percent_min))}…${text(most(days.soc_percent_max), 0, '%')}`;
const wh = v => v == null ? '–' : energy(v).join('\u202f');
const monthAfter = (month, n) => new Date(Date.UTC(+month.slice(0, 4), +month.slice(5) - 1 + n, 1)).toISOString().slice(0, 7);
const monthName = month => new Date(month + '-01').toLocaleDateString(locale, { month: 'long', year: 'numeric', timeZone: 'UTC' });

async function get(path) {
  const response = await fetch('api/v1/packs/' + path);
  if (!response.ok) throw response.status;
  return response.json();
}

/** A heading and bars by day as SVG, which prints well. `columns`: a list of {bars: [from, to] or null for each day, looks, inset, name}; named ones
 *  are explained beside the heading. `top`: the scale reaches at least so far. */
function byDay(tag, label, days, unit, columns, top = 0) {
  const all = columns.flatMap(c => c.bars.flatMap(b => b || [])), high = Math.max(...all, top), low = Math.min(...all, 0), span = high - low || 1;
  // About as wide as the screen, so that its text has the usual size; on a phone only every fourth day is labelled.
  const isNarrow = NARROW.matches, width = isNarrow ? 340 : 700, every = isNarrow ? 4 : 2;
  const y = v => 6 + (high - v) / span * (HEIGHT - 12), step = (width - LEFT) / days.length, svg = draw('svg', { viewBox: `0 0 ${width} ${HEIGHT + BELOW}`, role: 'img', 'aria-label': label });
  for (const v of [...new Set([low, 0, high])].filter(v => v === 0 || Math.abs(y(v) - y(0)) > LABEL)) {
    svg.append(draw('path', { d: `M${LEFT} ${y(v)}H${width}`, class: 'grid' }), draw('text', { x: LEFT - 5, y: y(v) + 4, 'text-anchor': 'end' }, number(v, v && Math.abs(high) < 10 ? 1 : 0)));
  }
  for (const { bars, looks, inset = .12 } of columns)
    bars.forEach((bar, i) => {
      if (bar) svg.append(draw('rect', { x: LEFT + (i + inset) * step, width: (1 - 2 * inset) * step, y: y(Math.max(...bar)), height: Math.max(1, Math.abs(y(bar[0]) - y(bar[1]))), class: looks }));
    });
  days.forEach((name, i) => {
    if (i % every === 0) svg.append(draw('text', { x: LEFT + (i + .5) * step, y: HEIGHT + 14, 'text-anchor': 'middle' }, String(+name.slice(8))));
  });
  return [el(tag, {}, label, ' ', el('small', {}, unit), ...columns.filter(c => c.name).map(c => el('small', { class: 'key ' + c.looks }, c.name))), svg];
}

/** The data of a month for one pack, with each cell's mean distance from the others, under load if that is known. */
async function monthOf(p, month) {
  const path = encodeURIComponent(p.pack), count = isBank(p) ? 0 : p.shape.cells, cells = Array.from({ length: count }, (_, i) => `cell_mv.${i + 1}`);
  const between = `from=${month}-01&to=${monthAfter(month, 1)}-01`;
  const [days, alarms, health] = await Promise.all([
    get(`${path}/history?${between}&level=day&extremes=1&values=${['charged_wh', 'discharged_wh', 'soc_percent', 'cell_delta_mv', ...cells].join(',')}`),
    get(`${path}/alarms?${between}`), isBank(p) ? null : get(`${path}/health?days=${HEALTH_DAYS}`).catch(() => null)]);
  const load = cells.map((_, i) => health?.[`load_mv.${i + 1}`] && days.day.map(name => health[`load_mv.${i + 1}`][health.day.indexOf(name)] ?? null));
  const isLoad = load.some(c => c && known(c).length), off = isLoad ? load.map(c => c || []) : fromMean(cellsOf(days, count));
  const means = off.map(c => known(c).length ? mean(known(c)) : null), at = v => v == null ? -1 : means.indexOf(v), lowest = at(least(means)), highest = at(most(means));
  return { p, days, alarms, findings: health?.findings || [], off, isLoad, means, lowest, highest, farthest: means[highest] > -means[lowest] ? highest : lowest };
}

const far = m => Math.abs(m.means[m.farthest] ?? 0);
const farthestFirst = (a, b) => far(b) - far(a);

/** The month of the pack whose cell is farthest from the others; null: no cells are known. */
const worstOf = months => months.filter(m => m.farthest >= 0).sort(farthestFirst)[0] || null;

function toDo(months, worst, isNow) {
  // Health findings describe today, so reports of earlier months have none.
  const sentences = isNow ? months.flatMap(m => m.findings.map(f => `${m.p.title}${COLON} ${sentence(f)}`)) : [];
  if (worst && far(worst) > FAR_MV && !sentences.length) sentences.push(t('to_do_look', worst.p.title, worst.farthest + 1));
  sentences.push(...months.filter(m => m.farthest < 0).map(m => `${m.p.title}${COLON} ${t('no_cells')}`));
  if (!sentences.length) sentences.push(t('to_do_nothing'));
  const rest = sentences.length - SENTENCES_MOST;
  return [...sentences.slice(0, SENTENCES_MOST).map(words => el('li', {}, words)), rest > 0 ? el('li', {}, t('more', rest)) : null];
}

function packTable(months) {
  const head = ['pack', 'energy_in', 'energy_out', 'soc', 'lowest_cell', 'highest_cell', 'at_most', 'alarms'];
  const cell = (m, i) => m.means[i] == null ? '–' : `${i + 1} (${signed(m.means[i], 1)}\u202fmV)`;
  const rest = months.length - ROWS_MOST;
  return el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, ...head.map(key => el('th', { scope: 'col' }, t(key))))),
    el('tbody', {}, ...months.slice(0, ROWS_MOST).map(m => el('tr', {}, el('th', { scope: 'row' }, m.p.title), ...[wh(sum(m.days.charged_wh)), wh(sum(m.days.discharged_wh)),
      charged(m.days), cell(m, m.lowest), cell(m, m.highest),
      text(most(m.days.cell_delta_mv_max), 0, 'mV'), String(m.alarms.length)].map((value, i) => el('td', { 'data-head': t(head[i + 1]) }, value)))))),
  rest > 0 ? el('p', { class: 'hint' }, t('more', rest)) : null);
}

function sheets(p, month, heading, whole, months) {
  const { days } = whole, kwh = (list, sign) => (list || days.t.map(() => null)).map(v => v == null ? null : [0, sign * v / 1000]);
  const worst = worstOf(months), isNow = month >= monthAfter(dayOf(gatewayTime()).slice(0, 7), -1);
  const count = new Date(Date.UTC(+month.slice(0, 4), +month.slice(5), 0)).getUTCDate();
  const fact = (key, value) => el('div', {}, el('dt', {}, t(key)), el('dd', {}, value));
  const made = el('p', { class: 'hint' }, `${gatewayName} · ${t('made', new Date(gatewayTime() * 1000).toLocaleDateString(locale, { dateStyle: 'long' }))}`);
  const alarms = months.flatMap(m => m.alarms.map(a => ({ ...a, title: m.p.title }))).sort((a, b) => b.since - a.since), more = alarms.length - ALARMS_MOST;
  const off = worst?.off, others = off && days.t.map((_, d) => {
    const list = off.filter((_, c) => c !== worst.farthest).map(c => c[d]).filter(v => v != null);
    return list.length ? [Math.min(...list), Math.max(...list)] : null;
  });
  return [el('section', { class: 'sheet card' }, heading, made,
    el('dl', { class: 'facts' }, fact('energy_in', wh(sum(days.charged_wh))), fact('energy_out', wh(sum(days.discharged_wh))),
      fact('soc', charged(days)),
      fact('days_known', `${known(days.soc_percent).length} ${t('of')} ${count}`), fact('alarms', String(alarms.length))),
    ...byDay('h2', t('energy_day'), days.day, 'kWh', [{ bars: kwh(days.charged_wh, 1), looks: 'into', name: t('energy_in') }, { bars: kwh(days.discharged_wh, -1), looks: 'out', name: t('energy_out') }]),
    ...byDay('h2', t('soc_by_day'), days.day, '%', [{ bars: days.t.map((_, d) => days.soc_percent_min?.[d] == null ? null : [days.soc_percent_min[d], days.soc_percent_max[d]]), looks: 'into' }], 100),
    ...isBank(p) ? [packTable(months), el('p', { class: 'hint' }, t('between_packs', p.title))] : []),
  el('section', { class: 'sheet card' }, el('h2', {}, t('cells')),
    ...worst ? [el('p', { class: 'worst' }, t('worst', worst.p.title, worst.farthest + 1, `${signed(worst.means[worst.farthest], 1)}\u202fmV`)), el('p', { class: 'hint' }, t(worst.isLoad ? 'under_load' : 'all_day')),
      ...byDay('h3', t('worst_by_day', worst.p.title, worst.farthest + 1), days.day, 'mV', [{ bars: others, looks: 'others' },
        { bars: days.t.map((_, d) => off[worst.farthest][d] == null ? null : [0, off[worst.farthest][d]]), looks: 'out', inset: .3 }])] : [],
    isBank(p) ? null : packTable(months), el('h2', {}, t('to_do')), el('ul', { class: 'to-do' }, ...toDo(months, worst, isNow)),
    alarms.length ? el('h2', {}, t('alarms')) : null, el('ul', {}, ...alarms.slice(0, ALARMS_MOST).map(a => el('li', {}, `${clock(a.since, true)}${COLON} ${a.title}, ${alarmWords(a)}, ${t(a.level)}`)),
      more > 0 ? el('li', {}, t('more', more)) : null))];
}

export async function report(wanted, [asked]) {
  listen([]);
  await load();
  const p = packs.get(wanted);
  if (!p) return nothingOf(wanted || t('report'), t('unknown_pack'));
  const now = dayOf(gatewayTime()).slice(0, 7), isMonth = /^\d{4}-(0[1-9]|1[0-2])$/.test(asked), month = isMonth ? asked : now;
  let silent = null, draw = () => {};
  const title = `${p.title}, ${monthName(month)}`, heading = el('h1', {}, title);
  const area = el('div', { class: 'report' }, heading, el('p', { class: 'empty', role: 'status' }, t('loading')));
  const at = (name, when) => `#/report/${encodeURIComponent(name)}/${when}`, go = address => { location.hash = address; };
  const choice = el('select', { 'aria-label': t('pack'), onchange: () => go(at(choice.value, month)) }, ...[...packs.keys()].map(key => el('option', { value: key, selected: key === p.pack }, titleOf(key))));
  const field = el('input', { type: 'month', 'aria-label': t('month'), value: month, max: now, onchange: () => field.value && go(at(p.pack, field.value)) });
  const beside = (n, sign, words) => el('button', { type: 'button', 'aria-label': t(words), disabled: n > 0 && month >= now, onclick: () => go(at(p.pack, monthAfter(month, n))) }, sign);
  (async () => {
    const members = isBank(p) ? p.members.map(name => packs.get(name)).filter(Boolean) : [p];
    try {
      const [whole, ...months] = await Promise.all([p, ...members].map(one => monthOf(one, month)));
      // The worst first if not all fit; else in the order of the configuration.
      if (months.length > ROWS_MOST) months.sort(farthestFirst);
      draw = () => area.replaceChildren(...known(whole.days.soc_percent).length ? sheets(p, month, heading, whole, months) : [heading, el('p', { class: 'empty' }, t('no_rows'))]);
      draw();
    } catch (status) {
      silent = status === 404 ? null : silentView();
      area.replaceChildren(heading, ...silent ? [silent.node] : [el('p', { class: 'empty' }, t('no_history')), copyable('[history]\n')]);
    }
  })();
  const redraw = () => draw();
  NARROW.addEventListener('change', redraw);   // a phone that is turned
  return {
    title,
    show() { silent?.show(); },
    close() { NARROW.removeEventListener('change', redraw); },
    node: el('div', {}, el('div', { class: 'bar' }, choice, el('div', { class: 'steps' }, beside(-1, '‹', 'month_before'), field, beside(1, '›', 'month_after')), el('span', { class: 'push' }),
      el('button', { type: 'button', class: 'primary', onclick: () => print() }, t('print'))),
    asked && !isMonth ? el('p', { class: 'hint', role: 'status' }, t('not_known', asked)) : null, area),
  };
}
