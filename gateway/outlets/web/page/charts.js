// SPDX-License-Identifier: MIT
// Charts: what a pack or a bank did over hours to years. Coarse rows first; zooming in fetches the finer ones that there are.
import { el, setAttribute, setText, store } from './dom.js';
import { clock, day } from './numbers.js';
import { gatewayTime, isBank, listen, packs, titleOf } from './packs.js';
import { copyable } from './copy.js';
import { healthCards } from './health.js';
import { t } from './words.js';

const DAY_S = 86400;
const RANGES = { r6h: 21600, r24h: DAY_S, r7d: 7 * DAY_S, r30d: 30 * DAY_S, r186d: 186 * DAY_S, r366d: 366 * DAY_S, rall: 3660 * DAY_S };
// As many steps as show what there is: ten seconds for six hours, minutes for a day, hours for half a year, then days.
const POINTS = { r6h: 2200, r24h: 1500, r7d: 1500, r30d: 1500, r186d: 4500, r366d: 1500, rall: 4000 };
const EXTREMES_FROM_S = 2 * DAY_S;   // hours and days have a band of their lowest and highest values
const ENERGY_DAYS = 7;               // at least
const SHORTEST_S = 120;
const MOVE_ON_S = 60;
const TRY_AGAIN_S = 5;

let library = null;

function loadLibrary() {
  library ??= new Promise((done, failed) => {
    const sheet = el('link', { rel: 'stylesheet', href: new URL('uplot.css', import.meta.url).href });
    document.head.append(sheet);
    import('./plot.js').then(done, failed);
  }).catch(wrong => {
    library = null;
    throw wrong;
  });
  return library;
}

const some = column => !!column && column.some(v => v != null);
const scaled = (column, factor) => column.map(v => v == null ? null : v * factor);

/** What to draw of the columns that came. */
function specs(p, data, fromMean, setFromMean) {
  const out = [], count = p.shape.cells && !isBank(p) ? p.shape.cells : 0;
  const cells = Array.from({ length: count }, (_, i) => data[`cell_mv.${i + 1}`]).filter(Boolean);
  if (cells.some(some)) {
    const mean = fromMean ? data.t.map((_, i) => {
      const known = cells.map(c => c[i]).filter(v => v != null);
      return known.length ? known.reduce((s, v) => s + v, 0) / known.length : null;
    }) : null;
    const choose = (value, words) => el('button', { type: 'button', 'aria-pressed': String(fromMean === value), onclick: () => setFromMean(value) }, t(words));
    out.push({
      kind: 'cells', heading: t('cells'), unit: fromMean ? 'mV' : 'V', decimals: fromMean ? 0 : 3, isMany: true, names: cells.map((_, i) => String(i + 1)),
      columns: fromMean ? cells.map(c => c.map((v, i) => v == null ? null : v - mean[i])) : cells.map(c => scaled(c, .001)),
      tools: el('div', { class: 'seg', role: 'group', 'aria-label': t('cells') }, choose(false, 'cells_volt'), choose(true, 'cells_dev')),
    });
  }
  const add = (kind, unit, decimals, keys, factor = 1) => {
    const lines = keys.filter(([key]) => some(data[key]));
    if (!lines.length) return;
    const [first] = lines[0], edge = side => data[`${first}_${side}`];
    out.push({
      kind, heading: t(kind), unit, decimals, names: lines.map(([, words]) => t(words)), columns: lines.map(([key]) => scaled(data[key], factor)),
      bands: kind !== 'soc' && some(edge('max')) ? [scaled(edge('max'), factor), scaled(edge('min'), factor)] : null,
    });
  };
  if (isBank(p) || !cells.length) add('difference', 'mV', 0, [['cell_delta_mv', 'difference']]);
  add('soc', '%', 0, [['soc_percent', 'soc']]);
  add('power', 'kW', 2, [['power_w', 'power']], .001);
  if (!cells.length) add('voltage', 'V', 2, [['voltage_v', 'voltage']]);
  add('temperature', '°C', 1, [['temp_avg_c', 'temp_cells'], ['mos_temp_c', 'mos']]);
  return out;
}

export async function charts(wanted) {
  listen([]);
  const p = packs.get(wanted) || packs.values().next().value;
  if (!p) return { title: t('charts'), node: el('p', { class: 'empty' }, t('no_packs')) };
  const { plot, energyBars } = await loadLibrary(), name = p.pack;
  const cellKeys = isBank(p) ? [] : Array.from({ length: p.shape.cells }, (_, i) => `cell_mv.${i + 1}`);
  const valueKeys = ['soc_percent', 'power_w', 'voltage_v', 'cell_delta_mv', 'temp_avg_c', 'mos_temp_c'];

  let range = store.get('range', 'r24h'), from = 0, to = 0, isLive = true, zoomed = null, data = null, failed = false, loadedAt = 0, timer = 0, dead = false, asked = 0;
  if (!RANGES[range]) range = 'r24h';
  let plots = [], energy = null, health = null, picked = null, fromMean = store.get('fromMean') === '1';

  const message = el('div', { role: 'status' }, el('p', { class: 'empty' }, t('loading')));
  const area = el('div', { class: 'charts' }), spoken = el('p', { class: 'vh', 'aria-live': 'polite' });
  const now = () => gatewayTime();
  const address = (what, a, b, values, more) =>
    `api/v1/packs/${encodeURIComponent(name)}/${what}?from=${Math.floor(a)}&to=${Math.ceil(b)}&values=${values.join(',')}${more}`;

  async function get(url) {
    const response = await fetch(url);
    if (!response.ok) throw response.status;
    return response.json();
  }

  async function fetchRows(a, b) {
    const points = zoomed ? 1500 : POINTS[range], mine = ++asked;
    loadedAt = now();
    area.setAttribute('aria-busy', 'true');
    try {
      const extremes = b - a > EXTREMES_FROM_S ? '&extremes=1' : '';
      const [values, cells] = await Promise.all([get(address('history', a, b, valueKeys, `&points=${points}${extremes}`)),
        cellKeys.length ? get(address('history', a, b, cellKeys, `&points=${points}`)) : null]);
      if (dead || mine !== asked) return false;
      // Between the two a step may have begun: the shorter one decides.
      const length = Math.min(values.t.length, cells ? cells.t.length : Infinity);
      data = { ...cells, ...values };
      for (const [key, column] of Object.entries(data)) if (Array.isArray(column)) data[key] = column.slice(0, length);
      csv.href = address('history.csv', a, b, [...valueKeys, ...cellKeys], `&level=${data.level}`);
      setAttribute(csv, 'aria-disabled', null);
      failed = false;
      return true;
    } catch (status) {
      if (dead || mine !== asked) return false;
      fail(status);
      return false;
    } finally {
      if (mine === asked) area.removeAttribute('aria-busy');
    }
  }

  function fail(status) {
    clear();
    failed = status !== 404;
    message.replaceChildren(el('p', { class: 'empty' }, t(failed ? 'offline' : 'no_history')), ...failed ? [] : [copyable('[history]\n')]);
  }

  const known = () => data.t.map((_, i) => data.soc_percent?.[i] ?? data.voltage_v?.[i] ?? data.power_w?.[i] ?? null);

  async function period(end) {
    isLive = end == null || end >= now() - MOVE_ON_S;
    to = isLive ? now() : end;
    from = to - RANGES[range];
    zoomed = null;
    for (const b of buttons) setAttribute(b, 'aria-pressed', String(b.value === range));
    whole.hidden = true;
    later.disabled = isLive;
    if (!await fetchRows(from, to)) return;
    if (range === 'rall') {
      // The beginning is not known before the first look; from there on finer rows may fit.
      const first = known().findIndex(v => v != null);
      if (first > 0) {
        from = data.t[first];
        if (!await fetchRows(from, to)) return;
      }
    }
    show(true);
    await fetchEnergy();
    await fetchHealth();
  }

  function zoom(a, b) {
    if (b - a < SHORTEST_S) return;
    if (a <= from && b >= to) return reset();
    zoomed = [Math.max(from, a), Math.min(to, b)];
    whole.hidden = false;
    for (const c of plots) c.setRange(...zoomed);
    // Then with all the detail there is.
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const at = zoomed;
      if (at && await fetchRows(...at)) show(false);
    }, 250);
  }

  function reset() {
    if (!zoomed) return;
    clearTimeout(timer);
    period(isLive ? null : to);
  }

  async function fetchEnergy() {
    const days = Math.max(ENERGY_DAYS, Math.ceil((to - from) / DAY_S));
    let got = null;
    area.setAttribute('aria-busy', 'true');
    try {
      got = await get(address('history', to - days * DAY_S, to, ['charged_wh', 'discharged_wh'], '&level=day'));
    } catch { /* the other charts are there */ }
    area.removeAttribute('aria-busy');
    if (dead) return;
    energy?.destroy();
    energy?.node.remove();
    energy = null;
    if (!got || got.step !== DAY_S || !some(got.charged_wh)) return;
    energy = energyBars(got, {
      day(at) {
        range = 'r24h';
        period(Math.min(at + DAY_S, now()));
      },
    });
    area.append(energy.node);
    energy.resize();
  }

  async function fetchHealth() {
    let got = null;
    if (health || isBank(p)) return;
    try {
      got = await get(`api/v1/packs/${encodeURIComponent(name)}/health`);
    } catch { /* the other charts are there */ }
    if (dead || health || !got) return;
    health = healthCards(got, plot);
    if (health) area.append(...health.nodes);
    health?.resize();
  }

  function clear() {
    for (const c of plots) c.destroy();
    energy?.destroy();
    health?.destroy();
    energy = health = null;
    plots = [];
    area.replaceChildren();
  }

  // The same lines get other data; other lines (a pack that has reported its cells, another unit) are built anew.
  function show(isPeriod) {
    const list = specs(p, data, fromMean, value => {
      fromMean = value;
      store.set('fromMean', value ? '1' : '0');
      show(false);
    });
    const shape = s => JSON.stringify([s.kind, s.unit, s.names, !!s.bands]), ends = zoomed || [from, to], have = known();
    message.replaceChildren(...list.length ? [] : [el('p', { class: 'empty' }, t('no_rows'))]);
    if (plots.length && plots.map(c => c.shape).join() === list.map(shape).join())
      plots.forEach((c, i) => c.setData(list[i], data.t, have));
    else {
      const kept = [energy?.node, ...health?.nodes || []].filter(Boolean);
      for (const c of plots) c.destroy();
      plots = list.map(spec => Object.assign(plot(spec, data.t, have, ends, {
        zoom, whole: reset, cursor: showAt, pick: i => pick(picked === i ? null : i),
        say(i, words) { setText(spoken, `${clock(data.t[i], true)}: ${words}`); },
      }), { shape: shape(spec) }));
      area.replaceChildren(...plots.map(c => c.node), ...kept);
      for (const c of plots) c.resize();
      pick(picked);
    }
    if (isPeriod) for (const c of plots) c.setRange(...ends);
    showAt(null);
  }

  function pick(i) {
    picked = i;
    plots.find(c => c.kind === 'cells')?.pick(i);
  }

  // The values at the cursor, or the latest that are known.
  function showAt(i) {
    if (!data || !data.t.length) return;
    const have = known();
    let at = i;
    if (at == null) for (at = data.t.length - 1; at > 0 && have[at] == null;) at--;
    const text = t('at', data.step >= DAY_S ? day(data.day[at]) : clock(data.t[at], to - from >= DAY_S));
    for (const c of plots) c.showAt(at, text);
  }

  const buttons = Object.keys(RANGES).map(key => el('button', {
    type: 'button', value: key, 'aria-pressed': 'false', onclick() {
      range = key;
      store.set('range', key);
      period();
    },
  }, t(key)));
  const step = () => Math.min(to - from, RANGES[range]);
  const earlier = el('button', { type: 'button', 'aria-label': t('earlier'), onclick: () => period(to - step()) }, '‹');
  const later = el('button', { type: 'button', 'aria-label': t('later'), onclick: () => period(to + step()) }, '›');
  const whole = el('button', { type: 'button', hidden: true, onclick: reset }, t('zoom_out'));
  const csv = el('a', { class: 'button', download: `${name}.csv`, 'aria-disabled': true }, '⤓ ', t('csv'));
  const choice = el('select', { 'aria-label': t('pack'), onchange() { location.hash = '#/charts/' + encodeURIComponent(choice.value); } },
    ...[...packs.keys()].map(key => el('option', { value: key, selected: key === name }, titleOf(key))));
  const resize = new ResizeObserver(() => {
    for (const c of plots) c.resize();
    energy?.resize();
    health?.resize();
  });
  resize.observe(area);
  period();
  return {
    title: `${t('charts')}: ${p.title}`,
    node: el('div', {}, el('h1', { class: 'vh' }, `${t('charts')}: ${p.title}`),
      el('div', { class: 'bar' }, choice, el('div', { class: 'seg', role: 'group', 'aria-label': t('range') }, ...buttons),
        el('div', { class: 'steps' }, earlier, later), whole, el('span', { class: 'push' }), csv),
      message, area, el('p', { class: 'hint' }, t('chart_help')), spoken),
    // The end moves on by itself, unless somebody looks at the past or into the detail.
    show() {
      if (failed && now() - loadedAt > TRY_AGAIN_S) period(isLive ? null : to);
      else if (data && isLive && !zoomed && plots.every(c => c.cursorIndex() == null) && now() - loadedAt > MOVE_ON_S) period();
    },
    retheme() {
      for (const c of [...plots, energy, health]) c?.redraw();
      if (data) show(false);
    },
    close() {
      dead = true;
      clearTimeout(timer);
      resize.disconnect();
      clear();
    },
  };
}
