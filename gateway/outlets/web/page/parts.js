// SPDX-License-Identifier: MIT
// The parts that views share: battery, cells, alarms. Each has show(), which updates it.
import { el, icon, setAttribute, setText } from './dom.js';
import { num, number, span, watts } from './numbers.js';
import { ageOf, balancedCells, gatewayTime, isBank, isOld, packs, row, titleOf } from './packs.js';
import { t } from './words.js';

/** A battery lying on its side, filled to its state of charge; in three sizes for cards, banks and tiles. */
export function battery() {
  const fill = el('i', { class: 'fill' }), soc = num('soc'), power = num('power'), word = el('span'), sign = icon('resting');
  const node = el('div', { class: 'bat' }, fill, soc, el('div', { class: 'flow' }, power, el('span', { class: 'word' }, sign, '\u2060', word)));
  node.power = power;
  node.show = (p, state, short) => {
    const { soc_percent: percent, power_w: w } = p.values;
    setAttribute(node, 'data-flow', state.kind);
    fill.style.width = `${Math.max(0, Math.min(100, percent ?? 0))}%`;
    soc.put(percent == null ? null : Math.round(percent), 0, '%', '');
    power.show(...(state.kind === 'stale' ? [''] : w == null ? [null] : watts(state.kind === 'resting' ? 0 : w)));
    setText(word, short && state.kind === 'stale' && !state.never ? span(ageOf(p)) : state.word);
    sign.shape(state.kind);
  };
  return node;
}

// Bars of the cells around their mean. Each pack has its own scale, so that a low cell in one does not flatten the others. There are few
// scales, so that similar packs have the same one and healthy packs look flat. A scale grows at once and shrinks after half a minute.
const SCALES = [20, 50, 100, 200, 500, 1000];

function rescale(scale, { values: v }) {
  const now = performance.now() / 1000;
  if (!v.cell_avg_mv) return;
  const most = Math.max(v.cell_max_mv - v.cell_avg_mv, v.cell_avg_mv - v.cell_min_mv), fits = SCALES.find(mv => mv >= most) || SCALES.at(-1);
  if (fits >= scale.mv) scale.until = now + 30;
  if (fits > scale.mv || now > scale.until) scale.mv = fits;
}

export function cells(count, heading) {
  const plot = el('div', { class: 'bars', role: 'img' }), rows = Math.ceil(count / 24), scale = { mv: SCALES[0], until: 0 };
  plot.style.setProperty('--n', Math.ceil(count / rows));
  const columns = Array.from({ length: count }, () => {
    const bar = el('i'), tag = el('b'), column = el('span', {}, bar, tag);
    plot.append(column);
    return { bar, tag, column };
  });
  const delta = num('delta'), range = el('span', { class: 'range' }), low = num(), mean = num(), high = num();
  const end = (sign, word, value) => el('span', {}, sign, el('span', { class: 'wide-only' }, t(word) + ' '), value);
  const node = el('section', { class: 'cells' },
    el(heading, {}, t('cells'), el('span', { class: 'lead' }, t('difference') + ' ', delta), range), plot,
    el('p', { class: 'ends' }, end('▼ ', 'lowest', low), el('span', {}, t('mean') + ' ', mean), end('▲ ', 'highest', high)));
  node.show = p => {
    const v = p.values, on = new Set(balancedCells(p));
    rescale(scale, p);
    row(p, 'cell_mv', count).forEach((mv, i) => {
      const { bar, tag, column } = columns[i], n = i + 1;
      const off = mv == null || v.cell_avg_mv == null ? null : Math.max(-1, Math.min(1, (mv - v.cell_avg_mv) / scale.mv));
      bar.hidden = off == null;
      bar.style.setProperty('--d', Math.max(.02, Math.abs(off || 0)).toFixed(3));
      setAttribute(bar, 'class', off < 0 ? 'below' : 'above');
      const mark = n === v.cell_max_index ? 'max' : n === v.cell_min_index ? 'min' : on.has(n) ? 'bal' : '';
      setAttribute(column, 'class', (mark + (on.has(n) ? ' balancing' : '')).trim() || null);
      setText(tag, mark === 'max' ? `▲${n}` : mark === 'min' ? `▼${n}` : mark === 'bal' ? `${n}` : off == null ? '–' : '');
    });
    const volts = mv => mv == null ? null : mv / 1000;
    delta.put(v.cell_delta_mv, 0, 'mV');
    low.put(volts(v.cell_min_mv), 3, 'V');
    mean.put(volts(v.cell_avg_mv), 3, 'V');
    high.put(volts(v.cell_max_mv), 3, 'V');
    setText(range, `±${scale.mv}\u202fmV`);
    const say = mv => mv == null ? '–' : `${number(mv / 1000, 3)} V`;
    setAttribute(plot, 'aria-label', [`${t('cells')}: ${count}`, `${t('mean')} ${say(v.cell_avg_mv)}`,
      `${t('lowest')} ${v.cell_min_index ?? '–'}: ${say(v.cell_min_mv)}`, `${t('highest')} ${v.cell_max_index ?? '–'}: ${say(v.cell_max_mv)}`,
      on.size ? t('balancing_cells', [...on].join(', ')) : null].filter(Boolean).join(', '));
  };
  return node;
}

/** The cell or sensor of an alarm; empty: it has none. */
export const alarmPlace = ({ cell, sensor }) => cell ? t('at_cell', cell) : sensor ? t('at_sensor', sensor) : '';

/** The text of an alarm, with its pack in a bank, or the number of packs, and its cell or sensor. */
export const alarmWords = alarm => [t(alarm.name), alarm.pack && titleOf(alarm.pack), alarm.count && t('n_packs', alarm.count), alarmPlace(alarm)].filter(Boolean).join(', ');

/** "Warning for 3 min", or "Warning" if it began before the gateway. */
export const lasting = ({ level, since }) => since ? `${t(level)} ${t('since', span(gatewayTime() - since))}` : t(level);

// Where a bank has an alarm: in one of its packs, with the cell or sensor, or in several.
function placeIn(bank, { name }) {
  const where = bank.members.map(member => packs.get(member)).filter(Boolean).flatMap(p => {
    if (isOld(p) && name === 'communication_fault') return [{ pack: p.pack }];
    return (isOld(p) ? p.lastAlarms : p.alarms).filter(a => a.name === name).map(({ cell, sensor }) => ({ pack: p.pack, cell, sensor }));
  });
  return where.length > 1 ? { count: where.length } : where[0];
}

/** The alarms of one pack as bands across its card, the worst on top. Those of a silent pack are marked as old. */
export function bands() {
  const node = el('ul', { class: 'bands' });
  let shown = '', spans = [];
  node.show = (p, old) => {
    const list = (old ? p.lastAlarms : p.alarms).map(a => isBank(p) ? { ...a, ...placeIn(p, a) } : a), key = JSON.stringify([list, old]);
    node.hidden = !list.length;
    if (key !== shown) {
      shown = key;
      spans = list.map(() => el('span'));
      fold(node, list.map((a, i) => el('li', { class: a.level }, icon(a.level), el('b', {}, alarmWords(a)), spans[i])));
    }
    list.forEach((a, i) => setText(spans[i], old ? `${t(a.level)}, ${t('before_silence')}` : lasting(a)));
  };
  return node;
}

const LOOK_AGAIN_MS = 5000;
const BARS_MOST = 3;   // bars of alarms in a row: more would leave no room for values

/** Fills the list with bars; those after the first few are folded. */
export function fold(list, bars) {
  const rest = bars.slice(BARS_MOST), isOpen = list.querySelector(':scope > .rest > details')?.open;
  list.replaceChildren(...bars.slice(0, BARS_MOST), ...rest.length ? [el('li', { class: 'rest' },
    el('details', { open: isOpen }, el('summary', {}, t('more', rest.length)), el('ul', {}, ...rest)))] : []);
}

/** The view of a name that nothing has; `words` say what has none. */
export const nothingOf = (name, words, ...ways) => ({ title: name, node: el('div', {}, el('h1', {}, name), el('p', { class: 'empty' }, words), ...ways) });

/** Replaces a view while the gateway does not answer: what that means, and what to do. `title` is a heading for readers of the screen alone. */
export const noAnswer = title => el('div', { class: 'empty' }, title ? el('h1', { class: 'vh' }, title) : null, el('p', {}, t('offline')), el('p', { class: 'hint' }, t('offline_what', 'systemctl status packgate')));

/** The same as a view that retries by itself. */
export function silentView(title) {
  let begun = performance.now();
  return { title, node: noAnswer(title), show() {
    if (performance.now() - begun < LOOK_AGAIN_MS) return;
    begun = performance.now();
    dispatchEvent(new HashChangeEvent('hashchange'));
  } };
}

export const hrefOf = name => '#' + encodeURIComponent(name);
export const chartsOf = name => '#/charts/' + encodeURIComponent(name);
