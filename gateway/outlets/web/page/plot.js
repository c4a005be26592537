// SPDX-License-Identifier: MIT
// One chart: uPlot with visible gaps, zoom by drag, pinch, wheel and keys, and the values at the cursor.
import uPlot from './uplot.js';
import { el, setAttribute } from './dom.js';
import { dated, day, num, number, signed } from './numbers.js';
import { outermost } from './spread.js';
import { t } from './words.js';

const sync = uPlot.sync('packgate');
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];   // so that lines differ not only by colour
const DENSE = 1600;   // steps; with more, lines are thin, because thick ones would merge
const AXIS_END = 28;  // px: half the width of the widest label of the time axis
const SHADES = ['c1', 'c2', 'c3', 'c4'];

let palette = null;

/** A colour of the theme. All lines that are drawn in one go share what was read: to ask the browser for each takes longer than to draw it. */
export function colour(name) {
  if (!palette) {
    palette = {};
    queueMicrotask(() => { palette = null; });
  }
  return palette[name] ??= getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}

// Draws a hatched band with the words "no data" where values are missing.
function drawGaps(u, times, known) {
  const { ctx, bbox } = u, ratio = devicePixelRatio, step = times.length > 1 ? times[1] - times[0] : 60;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (let i = 0; i < times.length; i++) {
    if (known[i] != null) continue;
    let j = i;
    while (j + 1 < times.length && known[j + 1] == null) j++;
    const a = Math.max(bbox.left, u.valToPos(times[i] - (i ? step : 0), 'x', true));
    const b = Math.min(bbox.left + bbox.width, u.valToPos(times[j] + step, 'x', true));
    i = j;
    if (b <= a) continue;
    ctx.fillStyle = colour('gap');
    ctx.fillRect(a, bbox.top, b - a, bbox.height);
    ctx.strokeStyle = colour('line');
    ctx.lineWidth = ratio;
    ctx.beginPath();
    for (let x = a - bbox.height; x < b; x += 9 * ratio) {
      ctx.moveTo(Math.max(a, x), bbox.top + Math.max(0, a - x));
      ctx.lineTo(Math.min(b, x + bbox.height), bbox.top + Math.min(bbox.height, b - x));
    }
    ctx.stroke();
    ctx.font = `${12 * ratio}px system-ui`;
    if (ctx.measureText(t('no_data')).width + 8 * ratio > b - a) continue;
    ctx.fillStyle = colour('dim');
    ctx.textAlign = 'center';
    ctx.fillText(t('no_data'), (a + b) / 2, bbox.top + 16 * ratio);
  }
  ctx.restore();
}

// Marks the times of alarms on the time axis: protections twice as high as warnings, all at least 3 px wide.
function drawAlarms(u, alarms) {
  const { ctx, bbox } = u, ratio = devicePixelRatio, { max } = u.scales.x;
  for (const { since, until, level } of alarms) {
    const a = Math.max(bbox.left, u.valToPos(since, 'x', true)), b = Math.min(bbox.left + bbox.width, u.valToPos(until ?? max, 'x', true));
    const height = (level === 'protection' ? 10 : 5) * ratio;
    if (b < bbox.left || a > bbox.left + bbox.width) continue;
    ctx.fillStyle = colour(level === 'protection' ? 'prot' : 'warn');
    ctx.fillRect(a, bbox.top + bbox.height - height, Math.max(3 * ratio, b - a), height);
  }
}

// Two fingers zoom, and so does ctrl with the wheel, which touch pads send; one finger moves the cursor sideways and scrolls
// the page up and down.
function followFingers(u, zoom) {
  let start = null;
  const spread = e => Math.abs(e.touches[0].clientX - e.touches[1].clientX);
  const left = x => x - u.over.getBoundingClientRect().left;
  u.over.addEventListener('touchstart', e => {
    if (e.touches.length !== 2) return;
    const { min, max } = u.scales.x;
    start = { at: u.posToVal(left((e.touches[0].clientX + e.touches[1].clientX) / 2), 'x'), spread: spread(e), min, max };
  }, { passive: true });
  u.over.addEventListener('touchmove', e => {
    if (e.touches.length === 1 && !start) u.setCursor({ left: left(e.touches[0].clientX), top: 20 }, true, true);
    if (!start || e.touches.length !== 2) return;
    e.preventDefault();
    const k = start.spread / Math.max(20, spread(e));
    zoom(start.at - (start.at - start.min) * k, start.at + (start.max - start.at) * k);
  }, { passive: false });
  u.over.addEventListener('touchend', e => { if (!e.touches.length) start = null; });
  u.over.addEventListener('wheel', e => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    const at = u.posToVal(e.offsetX, 'x'), k = Math.exp(e.deltaY / 200), { min, max } = u.scales.x;
    zoom(at - (at - min) * k, at + (max - at) * k);
  }, { passive: false });
}

const timeLabels = (_, at) => at.map(s => new Date(s * 1000)).map(d => (d.getHours() || d.getMinutes()) && at[1] - at[0] < 86400
  ? dated('minute', { hour: '2-digit', minute: '2-digit' }).format(d)
  : (at[1] - at[0] > 26 * 86400 ? dated('month', { month: 'short', year: '2-digit' }) : dated('date', { day: 'numeric', month: 'short' })).format(d));

function fit(u, { clientWidth }) {
  if (clientWidth && clientWidth !== u.width) u.setSize({ width: Math.max(200, clientWidth), height: u.height });
}

// As many decimals as the figures of the axis differ by: 17.5 is not 18, and 0.05 not 0.1.
const figuresOf = of => (_, at, _axis, _space, step) => at.map(v => number(of(v), (String(step).split('.')[1] ?? '').length));

const axis = () => ({ stroke: () => colour('dim'), grid: { stroke: () => colour('line'), width: 1 }, ticks: { show: false }, font: '12px system-ui' });

/** A fill with the colour of charging above zero, and that of discharging below. */
function aboutZero(u) {
  const { top, height } = u.bbox, gradient = u.ctx.createLinearGradient(0, top, 0, top + height);
  const zero = Math.min(1, Math.max(0, (u.valToPos(0, 'y', true) - top) / height)) || 0;
  gradient.addColorStop(0, colour('in-soft'));
  gradient.addColorStop(zero, colour('in-soft'));
  gradient.addColorStop(zero, colour('out-soft'));
  gradient.addColorStop(1, colour('out-soft'));
  return gradient;
}

// The range of power, limited to twice the 99th percentile on each side of zero, so that a spike does not flatten the rest.
function powerRange([times, ...columns], [from, to], least, most) {
  const sides = [[], []];
  for (const column of columns)
    column.forEach((v, i) => { if (v && times[i] >= from && times[i] <= to) sides[v > 0 ? 1 : 0].push(Math.abs(v)); });
  const [below, above] = sides.map(side => 2 * (Float64Array.from(side).sort()[Math.floor(side.length * .99)] ?? 0));
  return [-Math.min(below, Math.max(0, -least)) * 1.08, Math.max(.1, Math.min(above, most)) * 1.08];
}

// Half the height of a chart in which all values are the same.
const about = value => Math.max(.02, Math.abs(value) / 100);

const yScale = (kind, during) => ({
  soc: { range: [0, 100] },
  percent: { range: [0, 100] },
  difference: { range: (_, a, b) => [0, Math.max(10, b ?? 0) * 1.08] },
  power: { range: (u, a, b) => powerRange(u.data, during(), a ?? 0, b ?? 0) },
}[kind] || { range: (_, a, b) => a == null ? [0, 1] : b > a ? uPlot.rangeNum(a, b, .1, true) : [a - about(a), a + about(a)] });

// Values between two gaps, of which there is no line: they are drawn as points.
function alone({ data }, n) {
  const column = data[n], found = [];
  column.forEach((v, i) => { if (v != null && column[i - 1] == null && column[i + 1] == null) found.push(i); });
  return found;
}

// Series are drawn in this order: the band first, so that the line is on top of it.
function seriesOf({ kind, names, columns, isMany, bands }) {
  const isPlain = bands || names.length > 1;
  const lines = names.map((label, i) => ({
    label, spanGaps: false, points: { show: true, size: 5, filter: alone }, width: isMany || columns[0].length > DENSE ? 1 : 2, dash: isMany ? null : DASHES[i % 4], alpha: isMany ? .55 : 1,
    stroke: () => colour(isMany ? 'cell' : kind === 'power' && names.length === 1 ? 'ink' : SHADES[i % 4]),
    fill: isPlain ? null : kind === 'power' ? aboutZero : kind === 'soc' ? () => colour('soc-soft') : null,
    fillTo: kind === 'power' ? 0 : null,
  }));
  const edges = bands ? [0, 1].map(() => ({ spanGaps: false, points: { show: false }, width: 0, stroke: 'transparent' })) : [];
  return [{}, ...edges, ...lines];
}

/** The lowest and highest value of columns within a time range; null: unknown. */
function extremes(columns, times, [from, to]) {
  let low = null, high = null;
  for (const column of columns)
    column.forEach((v, i) => {
      if (v == null || times[i] < from || times[i] > to) return;
      if (low == null || v < low) low = v;
      if (high == null || v > high) high = v;
    });
  return { low, high };
}

/** A card with one chart. `spec`: kind, heading, unit, decimals, names and columns of its lines; `isMany`: lines are grey, except the lowest
 *  and the highest, until one is picked; `isSigned`: with a plus sign; `isCompared`: values with their distance from the first line; `bands`:
 *  [highest, lowest] columns for the first line; `tools`: elements beside the heading; `alarms`: [{since, until, level}].
 *  `on`: zoom(from, to), whole(), cursor(index), say(index), pick(i). */
export function plot(spec, times, known, range, on) {
  const { kind, heading, unit, decimals, names, isMany, isSigned } = spec;
  let columns = spec.columns, picked = null;
  const box = el('div', { class: 'plot', tabindex: 0, role: 'application', 'aria-label': `${heading}. ${t('chart_help')} ${t('chart_keys')}` });
  const when = el('span', { class: 'when' }), list = el('ul', { class: isMany ? 'legend' : names.length > 1 ? 'legend few' : 'legend few lone' });
  const written = v => v == null ? null : isSigned ? signed(v, decimals) : number(v, decimals);
  // Differences are those of the figures beside them; a half is rounded as they are.
  const isFine = isMany && unit === 'V', parts = 10 ** (isFine ? 3 : decimals);
  const shown = value => Math.sign(value) * Math.round(Math.abs(value) * parts + 1e-9) / parts;
  const values = names.map((name, i) => {
    const value = num(), entry = isMany
      ? el('button', { type: 'button', 'aria-pressed': 'false', onclick: () => on.pick(i) }, el('span', { class: 'vh' }, t('cell') + ' '), el('b', {}, name), value)
      : el('span', { class: 's' + i % 4 }, names.length > 1 ? el('b', {}, name) : null, value);
    list.append(el('li', {}, entry));
    return { value, entry };
  });
  const isLone = names.length === 1;   // a single value is shown beside the heading
  // The extremes: with many lines those at the cursor, else those of the visible range.
  const ends = ['lowest', 'highest', 'difference'].map(key => ({ which: el('b'), value: num(), key }));
  const figures = el('p', { class: 'figures' }, ...ends.map(({ which, value, key }) => el('span', {}, t(key === 'difference' ? 'span' : key) + ' ', which, value)));
  const node = el('section', { class: 'card', 'data-kind': kind },
    el('div', { class: 'head' }, el('h2', {}, heading, ' ', el('small', {}, unit)), spec.tools, isLone ? list : null, when), box, figures, isLone ? null : list);

  function putEnds(low, high, lowName = '', highName = '') {
    const off = low == null ? null : shown(high) - shown(low);
    ends[0].which.textContent = lowName;
    ends[1].which.textContent = highName;
    ends[0].value.show(written(low), unit);
    ends[1].value.show(written(high), unit);
    ends[2].value.put(isFine && off != null ? off * 1000 : off, isFine ? 0 : decimals, isFine ? 'mV' : unit);
  }
  const putPeriod = () => {
    const { low, high } = extremes([...columns, ...spec.bands || []], times, range);
    putEnds(low, high);
  };

  const data = () => [times, ...spec.bands || [], ...columns], firstLine = spec.bands ? 3 : 1;
  const u = new uPlot({
    width: 300, height: isMany ? 260 : 160, legend: { show: false }, padding: [8, AXIS_END, 0, 0],
    cursor: { sync: { key: sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 7, show: !isMany } },
    scales: { x: { time: true, range: (_, a, b) => [a, b] }, y: yScale(kind, () => range) },
    axes: [{ ...axis(), size: 26, gap: 6, space: 64, values: timeLabels },
      { ...axis(), size: 54, values: figuresOf(v => v) }],
    series: seriesOf(spec),
    bands: spec.bands ? [{ series: [1, 2], fill: kind === 'power' ? aboutZero : () => colour('soc-soft') }] : null,
    hooks: {
      drawAxes: [u => drawGaps(u, times, known)],
      draw: [u => drawAlarms(u, spec.alarms || [])],
      setSelect: [u => {
        const { left, width } = u.select;
        if (width <= 8) return;
        on.zoom(u.posToVal(left, 'x'), u.posToVal(left + width, 'x'));
        u.setSelect({ left: 0, width: 0 }, false);
      }],
      setCursor: [u => on.cursor(u.cursor.idx)],
    },
  }, data(), box);
  u.setScale('x', { min: range[0], max: range[1] });
  u.over.addEventListener('dblclick', on.whole);
  followFingers(u, on.zoom);

  function key(e) {
    const last = times.length - 1, at = u.cursor.idx ?? last, { min, max } = u.scales.x;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -last, End: last }[e.key];
    if (e.key === 'Escape') return on.whole();
    if (e.key === '+' || e.key === '-') {
      const half = (max - min) * (e.key === '+' ? .25 : 1), middle = times[at];
      return on.zoom(middle - half, middle + half);
    }
    if (!step) return;
    e.preventDefault();
    const i = Math.max(0, Math.min(last, at + step * (e.shiftKey ? 10 : 1)));
    // The first and the last step may begin outside of the visible range.
    const left = Math.max(0, Math.min(u.over.clientWidth - 1, u.valToPos(times[i], 'x')));
    u.setCursor({ left, top: u.over.clientHeight / 2 }, true, true);
    const each = columns.map((c, n) => (names.length > 1 ? names[n] + ' ' : '') + (c[i] == null ? t('no_data') : `${written(c[i])} ${unit}`));
    on.say(i, isMany ? figures.textContent : each.join(', '));
  }
  box.addEventListener('keydown', key);

  function style() {
    const { low, high } = outermost(columns);
    u.series.forEach((line, n) => {
      const i = n - firstLine, isPicked = i === picked, isLit = picked == null && (i === low || i === high);
      if (i >= 0) Object.assign(line, { alpha: isPicked || isLit ? 1 : picked == null ? .55 : .13, width: isPicked ? 2.5 : isLit ? 2 : 1,
        stroke: () => colour(isPicked || (isLit && i === high) ? 'in' : isLit ? 'out' : 'cell') });
    });
    values.forEach(({ entry }, i) => {
      setAttribute(entry, 'aria-pressed', String(i === picked));
      setAttribute(entry, 'data-lit', i === low ? 'low' : i === high ? 'high' : null);
    });
  }
  if (isMany) style();
  else putPeriod();

  return {
    node, kind,
    /** Replaces the data of the same lines. */
    setData(next, nextTimes, nextKnown) {
      ({ columns } = next);
      Object.assign(spec, { bands: next.bands, alarms: next.alarms });
      times = nextTimes;
      known = nextKnown;
      u.setData(data(), false);
      if (isMany) style();
      u.redraw();
    },
    setRange(min, max) {
      range = [min, max];
      u.setScale('x', { min, max });
      if (!isMany) putPeriod();
    },
    cursorIndex: () => u.cursor.idx,
    /** Shows the values at one index, and marks the highest and the lowest of them. */
    showAt(i, text) {
      when.textContent = text;
      const moment = columns.map(c => c[i]), known = moment.filter(v => v != null);
      const low = moment.indexOf(Math.min(...known)), high = moment.indexOf(Math.max(...known));
      values.forEach(({ value, entry }, n) => {
        const off = spec.isCompared && n && moment[n] != null && moment[0] != null ? ` (${signed(shown(moment[n]) - shown(moment[0]), decimals)})` : '';
        value.show(moment[n] == null ? null : written(moment[n]) + off, unit);
        if (isMany) setAttribute(entry, 'class', !known.length ? null : n === high ? 'max' : n === low ? 'min' : null);
      });
      if (isMany) putEnds(moment[low], moment[high], names[low] && `${names[low]}: `, names[high] && `${names[high]}: `);
    },
    /** Highlights one of many lines; null: only the lowest and the highest. */
    pick(i) {
      picked = i;
      style();
      u.redraw(false);
    },
    resize: () => fit(u, box),
    redraw: () => u.redraw(),
    destroy: () => u.destroy(),
  };
}

/** A pair of bars per day: energy in and out. `days`: {t, day, charged_wh, discharged_wh}; on.day(name) is called when a day is chosen. */
export function energyBars(days, on) {
  const box = el('div', { class: 'plot bars-by-day', role: 'img' }), when = el('span', { class: 'when' });
  const into = num(), out = num(), sum = list => list.some(v => v != null) ? list.reduce((s, v) => s + (v || 0), 0) / 1000 : null;
  const node = el('section', { class: 'card', 'data-kind': 'energy' },
    el('div', { class: 'head' }, el('h2', {}, t('energy_day'), ' ', el('small', {}, 'kWh')), when), box,
    el('ul', { class: 'legend few' }, el('li', {}, el('span', { class: 'into' }, el('b', {}, t('energy_in')), into)),
      el('li', {}, el('span', { class: 'out' }, el('b', {}, t('energy_out')), out))));
  const kwh = (list, sign) => list.map(v => v == null ? null : v / 1000 * sign);
  const middle = days.t.map(at => at + 43200);
  const bars = () => uPlot.paths.bars({ size: [.8, 48], radius: [.12, 0], align: 0 });
  const known = days.t.map((_, i) => i).filter(i => days.charged_wh[i] != null);
  function showAt(i = known.length === 1 ? known[0] : null) {
    const one = i != null && days.t[i] != null;
    when.textContent = one ? day(days.day[i]) : t('sum_days', known.length);
    const pick = list => one ? (list[i] == null ? null : list[i] / 1000) : sum(list);
    into.put(pick(days.charged_wh), 1, 'kWh');
    out.put(pick(days.discharged_wh), 1, 'kWh');
  }
  // The bars with a date below them: as many as there is room for.
  const named = u => middle.filter((_, i) => (middle.length - 1 - i) % Math.ceil(middle.length * 64 / Math.max(64, u.bbox.width / devicePixelRatio)) === 0);
  const shortDay = at => day(days.day[middle.indexOf(at)], false);
  const u = new uPlot({
    width: 300, height: 160, legend: { show: false }, padding: [8, AXIS_END, 0, 0], cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: [days.t[0], days.t.at(-1) + 86400] }, y: { range: (_, a, b) => [Math.min(-.1, a ?? 0) * 1.08, Math.max(.1, b ?? 0) * 1.08] } },
    axes: [{ ...axis(), size: 26, gap: 6, splits: named, values: (_, at) => at.map(shortDay), grid: { show: false } },
      { ...axis(), size: 54, values: figuresOf(Math.abs) }],
    series: [{}, { paths: bars(), fill: () => colour('in'), stroke: () => colour('in'), width: 0, points: { show: false } },
      { paths: bars(), fill: () => colour('out'), stroke: () => colour('out'), width: 0, points: { show: false } }],
    hooks: { setCursor: [u => showAt(u.cursor.idx ?? undefined)] },
  }, [middle, kwh(days.charged_wh, 1), kwh(days.discharged_wh, -1)], box);
  u.over.addEventListener('click', () => u.cursor.idx != null && on.day(days.day[u.cursor.idx]));
  showAt();
  const newest = known.slice(-31);
  setAttribute(box, 'aria-label', `${t('energy_day')}: ` + newest.map(i => `${day(days.day[i])} ${number(days.charged_wh[i] / 1000, 1)} / ${number(days.discharged_wh[i] / 1000, 1)} kWh`).join('; '));
  return {
    node, resize: () => fit(u, box), redraw: () => u.redraw(),
    destroy: () => u.destroy(),
    /** Shows the values of the day of a moment; null: the sum. */
    showTime: at => showAt(at == null ? undefined : days.t.findLastIndex(from => from <= at)),
  };
}
