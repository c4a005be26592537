// SPDX-License-Identifier: MIT
// Charts: the values of a pack or a bank over hours to years, or of several side by side. Coarse rows are fetched first, and finer
// ones when zooming in. The address contains everything that is shown, so that Back works and a link shows the same:
// #/charts/NAME[+NAME…][/30d][/2026-11-22 or seconds: where it ends][/FROM-TO: zoom][/cell-7].
import { el, icon, setAttribute, setText, store } from './dom.js';
import { clock, day, dayOf, signed, span } from './numbers.js';
import { gatewayTime, isBank, listen, packs, titleOf } from './packs.js';
import { copyable } from './copy.js';
import { healthCards } from './health.js';
import { alarmWords, noAnswer, nothingOf } from './parts.js';
import { cellsOf, fromMean, outermost } from './spread.js';
import { COLON, addWords, t } from './words.js';

const DAY_S = 86400;
const RANGES = { r6h: 21600, r24h: DAY_S, r7d: 7 * DAY_S, r30d: 30 * DAY_S, r186d: 186 * DAY_S, r366d: 366 * DAY_S, rall: 3660 * DAY_S };
// Steps per range, for the finest rows: ten seconds for six hours, minutes for a day, hours for half a year, then days.
const POINTS = { r6h: 2200, r24h: 1500, r7d: 1500, r30d: 1500, r186d: 4500, r366d: 1500, rall: 4000 };
const EXTREMES_FROM_S = 2 * DAY_S;   // hours and days have a band of their lowest and highest values
const FROM_MEAN_FROM_S = 7 * DAY_S;  // in longer ranges the daily rise and fall of the cells hides how they differ
const ENERGY_DAYS = 7;               // at least so many bars
const SHORTEST_S = 120;
const MOVE_ON_S = 60;
const TRY_AGAIN_S = 5;
const ALARMS_MOST = 30;
const STEPS_APART = 3;
const COMPARED_MOST = 4;             // more lines could not be told apart
const VALUES = ['soc_percent', 'power_w', 'voltage_v', 'cell_delta_mv', 'temp_avg_c', 'mos_temp_c'];

let loaded = null;

const sheet = name => new Promise((done, failed) => document.head.append(
  el('link', { rel: 'stylesheet', href: new URL(name, import.meta.url).href, onload: done, onerror: failed })));

function loadLibrary() {
  loaded ??= Promise.all([import('./plot.js'), import('./heat.js'), addWords('charts-text'), sheet('uplot.css'), sheet('charts.css')]).catch(wrong => {
    loaded = null;
    throw wrong;
  });
  return loaded;
}

const some = column => !!column && column.some(v => v != null);
const scaled = (column, factor) => column.map(v => v == null ? null : v * factor);
const nameOf = range => range.slice(1);

/** The date so many days later: "2026-11-22". */
const dayAfter = (text, days) => new Date(Date.parse(text) + days * DAY_S * 1000).toISOString().slice(0, 10);

/** Parses the parts of an address, each recognized by its form. `count`: number of cells; 0: unknown. */
function understand(parts, count) {
  const wanted = { range: null, day: null, end: null, zoom: null, cell: null, unknown: [] };
  for (const part of parts) {
    const zoom = /^(\d+)-(\d+)$/.exec(part), cell = /^cell-(\d+)$/.exec(part);
    if (RANGES['r' + part]) wanted.range = 'r' + part;
    else if (/^\d{4}-\d\d-\d\d$/.test(part) && Date.parse(part)) wanted.day = part;
    else if (zoom && +zoom[1] < +zoom[2]) wanted.zoom = [+zoom[1], +zoom[2]];
    else if (/^\d+$/.test(part)) wanted.end = +part;
    else if (cell && cell[1] >= 1 && !(count && cell[1] > count)) wanted.cell = +cell[1];
    else if (part) wanted.unknown.push(part);
  }
  return wanted;
}

const addressOf = (names, { range, day, end, zoom, cell }) => ['#/charts', names.map(encodeURIComponent).join('+'), range && nameOf(range), day || end,
  zoom && zoom.map(Math.round).join('-'), cell && `cell-${cell}`].filter(Boolean).join('/');

function segment(label, chosen, choices) {
  return el('div', { class: 'seg', role: 'group', 'aria-label': label },
    ...choices.map(([value, words, choose]) => el('button', { type: 'button', 'aria-pressed': String(value === chosen), onclick: choose }, words)));
}

/** The chart of the cells, with the cells that were lowest and highest on average. */
function cellSpec(data, count, isFromMean, choose) {
  const cells = cellsOf(data, count);
  if (!cells.some(some)) return null;
  const off = fromMean(cells);
  const { low, high, least, most } = outermost(off), mv = v => `${signed(v, 1)}\u202fmV`;
  return {
    kind: 'cells', heading: t('cells'), unit: isFromMean ? 'mV' : 'V', decimals: isFromMean ? 0 : 3, isMany: true, isSigned: isFromMean, names: cells.map((_, i) => String(i + 1)),
    columns: isFromMean ? off : cells.map(c => scaled(c, .001)), lead: low == null ? '' : `${t('lit_low', low + 1, mv(least))} ${t('lit_high', high + 1, mv(most))}`,
    tools: segment(t('cells'), isFromMean, [[false, t('cells_volt'), () => choose(false)], [true, t('cells_dev'), () => choose(true)]]),
  };
}

/** The charts to draw from the columns of one pack or bank. */
function specs(p, data, alarms, isFromMean, choose) {
  const out = [], cells = isBank(p) ? null : cellSpec(data, p.shape.cells, isFromMean, choose);
  if (cells) out.push(cells);
  const add = (kind, unit, decimals, keys, factor = 1) => {
    const lines = keys.filter(([key]) => some(data[key]));
    if (!lines.length) return;
    const [first] = lines[0], edge = side => data[`${first}_${side}`];
    out.push({
      kind, heading: t(kind), unit, decimals, isSigned: kind === 'power', names: lines.map(([, words]) => t(words)), columns: lines.map(([key]) => scaled(data[key], factor)),
      bands: kind !== 'soc' && some(edge('max')) ? [scaled(edge('max'), factor), scaled(edge('min'), factor)] : null,
    });
  };
  if (!cells) add('difference', 'mV', 0, [['cell_delta_mv', 'difference']]);
  add('soc', '%', 0, [['soc_percent', 'soc']]);
  add('power', 'kW', 2, [['power_w', 'power']], .001);
  if (!cells) add('voltage', 'V', 2, [['voltage_v', 'voltage']]);
  add('temperature', '°C', 1, [['temp_avg_c', 'temp_cells'], ['mos_temp_c', 'mos']]);
  return out.map(spec => ({ ...spec, alarms }));
}

/** The charts of several packs: one for each value, or the differences of the others from the first. */
function compared(list, data, isFromFirst, choose) {
  const kinds = [['soc_percent', 'soc', '%', 0, 1], ['power_w', 'power', 'kW', 2, .001], ['voltage_v', 'voltage', 'V', 2, 1],
    ['cell_delta_mv', 'cell_difference', 'mV', 0, 1], ['temp_avg_c', 'temperature', '°C', 1, 1]];
  return kinds.map(([key, words, unit, decimals, factor], n) => {
    const all = data.all.map(one => scaled(one[key] || data.t.map(() => null), factor));
    const columns = isFromFirst ? all.slice(1).map(c => c.map((v, i) => v == null || all[0][i] == null ? null : v - all[0][i])) : all;
    return {
      kind: isFromFirst ? 'from-first' : words === 'soc' ? 'percent' : words, heading: t(words), unit, decimals, isSigned: isFromFirst, columns,
      names: (isFromFirst ? list.slice(1) : list).map(p => p.title), isCompared: true,
      tools: n ? null : segment(t('compare'), isFromFirst, [[false, t('values'), () => choose(false)], [true, t('from_first', list[0].title), () => choose(true)]]),
    };
  }).filter(spec => spec.columns.some(some));
}

export async function charts(wanted, parts = []) {
  listen([]);
  const first = packs.values().next().value, names = wanted ? wanted.split('+') : first ? [first.pack] : [];
  const list = names.map(name => packs.get(name)).slice(0, COMPARED_MOST), [p] = list;
  if (!names.length) return { title: t('charts'), node: el('div', { class: 'empty' }, el('h1', { class: 'vh' }, t('charts')), el('p', {}, t('no_packs')), el('a', { class: 'button primary', href: '#/setup/ports' }, t('setup'))) };
  if (!list.every(Boolean)) {
    return nothingOf(names.filter(name => !packs.has(name)).join(', '), t('unknown_pack'), el('a', { class: 'button', href: '#/charts' }, '‹ ', t('charts')));
  }
  const [{ plot, energyBars }, { heatMap }] = await loadLibrary(), isOne = list.length === 1, count = isOne && !isBank(p) ? p.shape.cells : 0;
  const cellKeys = Array.from({ length: count }, (_, i) => `cell_mv.${i + 1}`);

  let ask = {}, from = 0, to = 0, zoomed = null, data = null, alarms = [], failed = false, loadedAt = 0, timer = 0, dead = false, asked = 0;
  let plots = [], daily = [], health = null, chosenMean = null, fromFirst = false, cameFrom = null;

  const message = el('div', { role: 'status' }, el('p', { class: 'empty' }, t('loading')));
  const area = el('div', { class: 'charts' }), spoken = el('p', { class: 'vh', 'aria-live': 'polite' }), lead = el('p', { class: 'hint' }), remark = el('p', { class: 'hint', role: 'status' });
  const now = () => gatewayTime(), today = () => dayOf(now());
  const rangeOf = () => ask.range || (RANGES[store.get('range')] ? store.get('range') : 'r24h');
  const isLive = () => !ask.day && !ask.end;
  const below = (name, what) => `api/v1/packs/${encodeURIComponent(name)}/${what}`;
  const history = (name, what, a, b, values, more) => below(name, `${what}?from=${a}&to=${b}&values=${values.join(',')}${more}`);

  async function get(url) {
    const response = await fetch(url);
    if (!response.ok) throw response.status;
    return response.json();
  }

  // Goes to another address of the same charts; `quietly`: without a new entry in the browser's history.
  function visit(change, quietly) {
    const address = addressOf(names, { ...ask, range: rangeOf(), ...change });
    if (address === location.hash) return;
    window.history[quietly ? 'replaceState' : 'pushState'](null, '', address);
    go({ name: 'charts', pack: names.join('+'), parts: address.split('/').slice(3) });
  }

  // Where a day begins, and where it ends if it is over; only the gateway knows its time zone.
  const startsOf = async text => (await get(history(p.pack, 'history', text, dayAfter(text, 2), ['charged_wh'], '&level=day'))).t;

  async function fetchRows(a, b) {
    const points = zoomed ? 1500 : POINTS[rangeOf()], mine = ++asked;
    [a, b] = [Math.floor(a), Math.ceil(b)];
    loadedAt = now();
    area.setAttribute('aria-busy', 'true');
    try {
      const extremes = b - a > EXTREMES_FROM_S && isOne ? '&extremes=1' : '';
      const [values, cells, spells, ...others] = await Promise.all([get(history(p.pack, 'history', a, b, VALUES, `&points=${points}${extremes}`)),
        count ? get(history(p.pack, 'history', a, b, cellKeys, `&points=${points}`)) : null,
        isOne ? get(below(p.pack, `alarms?from=${a}&to=${b}`)) : [],
        ...list.slice(1).map(other => get(history(other.pack, 'history', a, b, VALUES, `&points=${points}`)))]);
      if (dead || mine !== asked) return false;
      // Another pack may have rows of another level for the same time.
      for (const [i, other] of others.entries())
        if (other.level !== values.level) others[i] = await get(history(list[i + 1].pack, 'history', a, b, VALUES, `&level=${values.level}`));
      if (dead || mine !== asked) return false;
      // A step may have begun between the answers: all are cut to the shortest one.
      const all = [{ ...cells, ...values }, ...others], length = Math.min(...[values, cells, ...others].filter(Boolean).map(one => one.t.length));
      for (const one of all) for (const [key, column] of Object.entries(one)) if (Array.isArray(column)) one[key] = column.slice(0, length);
      data = { ...all[0], all };
      alarms = spells;
      csv.href = history(p.pack, 'history.csv', a, b, [...VALUES, ...cellKeys], `&level=${data.level}`);
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
    message.replaceChildren(...failed ? [noAnswer()] : [el('p', { class: 'empty' }, t('no_history')), copyable('[history]\n')]);
  }

  const at = (one, i) => one.soc_percent?.[i] ?? one.voltage_v?.[i] ?? one.power_w?.[i] ?? null;
  const known = () => data.t.map((_, i) => data.all.map(one => at(one, i)).find(v => v != null) ?? null);
  // The newest step with values; of several packs one of the last few with those of all, because one may be polled before the others.
  function newest() {
    const have = known(), last = have.findLastIndex(v => v != null);
    for (let i = last; i > last - STEPS_APART; i--) if (data.all.every(one => at(one, i) != null)) return i;
    return last;
  }

  async function load() {
    const range = rangeOf(), mine = ++asked;
    for (const b of buttons) setAttribute(b, 'aria-pressed', String(b.value === range));
    date.value = ask.day || today();
    later.disabled = isLive();
    back.hidden = !(cameFrom && ask.day);
    if (!back.hidden) setText(back, `‹ ${t('back_to', t(cameFrom.range))}`);
    area.setAttribute('aria-busy', 'true');
    let start, end;
    try {
      [start, end] = ask.day ? await startsOf(ask.day) : [];
      to = ask.day ? end ?? now() : ask.end ? Math.min(ask.end, now()) : now();
    } catch (status) {
      if (!dead && mine === asked) fail(status);
      return;
    }
    if (dead || mine !== asked) return;
    from = range === 'r24h' && end ? start : to - RANGES[range];   // a day may have 23 or 25 hours
    paper.href = `#/report/${encodeURIComponent(p.pack)}/${(end ? ask.day : dayOf(to - 1)).slice(0, 7)}`;
    zoomed = ask.zoom && [Math.max(from, ask.zoom[0]), Math.min(to, ask.zoom[1])];
    if (zoomed && zoomed[0] >= zoomed[1]) zoomed = null;
    whole.hidden = !zoomed;
    if (!await fetchRows(...zoomed || [from, to])) return;
    if (range === 'rall' && !zoomed) {
      // Only the first answer shows where the data begin; from there, finer rows may fit.
      const first = known().findIndex(v => v != null);
      if (first > 0) {
        from = data.t[first];
        if (!await fetchRows(from, to)) return;
      }
    }
    show();
    if (!isOne) return;
    await fetchDays();
    await fetchHealth();
  }

  function zoom(a, b) {
    if (b - a < SHORTEST_S) return;
    if (a <= from && b >= to) return reset();
    zoomed = [Math.max(from, a), Math.min(to, b)];
    for (const c of plots) c.setRange(...zoomed);
    // Then fetches the finest rows; Back leads to the whole period.
    clearTimeout(timer);
    timer = setTimeout(() => visit({ zoom: zoomed }, !!ask.zoom), 250);
  }

  function reset() {
    clearTimeout(timer);
    if (ask.zoom) visit({ zoom: null });
    else if (zoomed) {
      zoomed = null;
      for (const c of plots) c.setRange(from, to);
    }
  }

  function choose(text, cell = null) {
    cameFrom = { address: location.hash, range: rangeOf() };
    visit({ range: 'r24h', day: text, end: null, zoom: null, cell });
  }

  async function fetchDays() {
    // As many days as the period has, including the last one: seven for a week.
    const first = Math.min(rangeOf() === 'rall' ? from : from + DAY_S, to - (ENERGY_DAYS - 1) * DAY_S), mine = asked;
    let got = null;
    area.setAttribute('aria-busy', 'true');
    try {
      got = await get(history(p.pack, 'history', Math.floor(first), Math.ceil(to), ['charged_wh', 'discharged_wh', ...cellKeys], '&level=day'));
    } catch { /* the other charts are shown without them */ }
    if (dead || mine !== asked) return;
    area.removeAttribute('aria-busy');
    for (const c of daily) {
      c.destroy();
      c.node.remove();
    }
    daily = [];
    if (got?.step !== DAY_S) return;
    if (some(got.charged_wh)) daily.push(energyBars(got, { day: text => choose(text) }));
    const heat = count ? heatMap(got, count, { pick: choose }) : null;
    if (heat) daily.push(heat);
    // For a bank, energy comes first (for its owner); for a pack, the cells (for a technician).
    if (isBank(p)) area.prepend(...daily.map(c => c.node));
    else (plots.at(-1)?.node ?? message).after(...daily.map(c => c.node));
    for (const c of daily) c.resize();
  }

  async function fetchHealth() {
    let got = null;
    if (health || isBank(p)) return;
    try {
      got = await get(below(p.pack, 'health'));
    } catch { /* the other charts are shown without it */ }
    if (dead || health || !got) return;
    health = healthCards(got, plot);
    if (health) area.append(...health.nodes);
    health?.resize();
  }

  function clear() {
    for (const c of [...plots, ...daily]) c.destroy();
    health?.destroy();
    health = null;
    plots = [];
    daily = [];
    area.replaceChildren();
  }

  // Lists when alarms were active; each links to its time.
  const alarmCard = el('section', { class: 'card', 'data-kind': 'alarms' });
  function showAlarms() {
    const newest = alarms.slice(-ALARMS_MOST).reverse();
    alarmCard.hidden = !newest.length;
    alarmCard.replaceChildren(el('h2', {}, t('alarms')), el('ul', { class: 'marks' }, ...newest.map(alarm => {
      const { level, since, until } = alarm, end = until ?? to, margin = Math.max(SHORTEST_S, (end - since) / 4);
      return el('li', {}, el('a', { href: addressOf(names, { ...ask, range: rangeOf(), zoom: [Math.max(from, since - margin), Math.min(to, end + margin)] }) },
        el('span', { class: level }, icon(level), el('b', {}, alarmWords(alarm))), ` ${clock(since, true)} – ${until ? `${clock(until, true)} (${span(until - since)})` : t('no_end')}`));
    })), alarms.length > newest.length ? el('p', { class: 'hint' }, t('more', alarms.length - newest.length)) : '');
  }

  // Updates charts whose lines are the same, and rebuilds them if lines differ (cells were reported, another unit).
  function show() {
    const isMean = chosenMean ?? to - from > FROM_MEAN_FROM_S;
    const drawn = isOne ? specs(p, data, alarms, isMean, value => { chosenMean = value; show(); })
      : compared(list, data, fromFirst, value => { fromFirst = value; show(); });
    const shape = s => JSON.stringify([s.kind, s.heading, s.unit, s.names, !!s.bands]), ends = zoomed || [from, to], have = known();
    message.replaceChildren(...drawn.length ? [] : [el('p', { class: 'empty' }, t('no_rows'))]);
    setText(lead, drawn[0]?.lead || '');
    if (plots.length && plots.map(c => c.shape).join() === drawn.map(shape).join())
      plots.forEach((c, i) => c.setData(drawn[i], data.t, have));
    else {
      for (const c of plots) c.destroy();
      plots = drawn.map(spec => Object.assign(plot(spec, data.t, have, ends, {
        zoom, whole: reset, cursor: showAt, pick: i => visit({ cell: ask.cell === i + 1 ? null : i + 1 }, true),
        say(i, words) { setText(spoken, `${clock(data.t[i], true)}${COLON} ${words}`); },
      }), { shape: shape(spec) }));
      area.replaceChildren(...(isBank(p) ? [...daily, ...plots] : [...plots, ...daily]).map(c => c.node), alarmCard, ...health?.nodes || []);
      for (const c of plots) c.resize();
    }
    for (const c of plots) c.setRange(...ends);
    pick();
    plots.find(c => c.kind === 'cells')?.node.append(lead);
    showAlarms();
    showAt(null);
  }

  const pick = () => plots.find(c => c.kind === 'cells')?.pick(ask.cell ? ask.cell - 1 : null);

  // Shows the values at the cursor, or the latest known ones.
  function showAt(i) {
    if (!data || !data.t.length) return;
    const shown = i ?? Math.max(0, newest()), text = t('at', data.step >= DAY_S ? day(data.day[shown]) : clock(data.t[shown], to - from >= DAY_S));
    for (const c of plots) c.showAt(shown, text);
    for (const c of daily) c.showTime?.(i == null ? null : data.t[shown]);
  }

  // Parts of the address that are unknown are named, because the user would otherwise take the charts for what the address says.
  function understood(parts) {
    ask = understand(parts, count);
    remark.hidden = !ask.unknown.length;
    setText(remark, t('not_known', ask.unknown.join(', ')));
  }

  /** Goes to another address; false: it is not one of these charts. */
  function go(here) {
    if (here.name !== 'charts' || (here.pack || first?.pack) !== names.join('+')) return false;
    const before = { ...ask };
    understood(here.parts);
    if (before.range !== ask.range) chosenMean = null;
    clearTimeout(timer);
    if (data && ['range', 'day', 'end', 'zoom'].every(key => String(before[key]) === String(ask[key]))) pick();
    else load();
    return true;
  }

  const buttons = Object.keys(RANGES).map(key => el('button', {
    type: 'button', value: key, 'aria-pressed': 'false', onclick() {
      store.set('range', key);
      visit({ range: key, zoom: null });
    },
  }, t(key)));
  // Steps by whole days if the range has at least a day.
  function step(sign) {
    const seconds = Math.min(RANGES[rangeOf()], to - from);
    if (seconds < DAY_S - 3600) {
      const end = Math.round(to + sign * seconds);
      return visit({ day: null, end: end < now() ? end : null, zoom: null });
    }
    const text = dayAfter(ask.day || today(), sign * Math.round(seconds / DAY_S));
    visit({ day: text < today() ? text : null, end: null, zoom: null });
  }
  const earlier = el('button', { type: 'button', 'aria-label': t('earlier'), onclick: () => step(-1) }, '‹');
  const later = el('button', { type: 'button', 'aria-label': t('later'), onclick: () => step(1) }, '›');
  const date = el('input', { type: 'date', 'aria-label': t('until_day'), onchange() {
    visit({ range: rangeOf() === 'r6h' ? 'r24h' : rangeOf(), day: date.value || null, end: null, zoom: null });
  } });
  const whole = el('button', { type: 'button', hidden: true, onclick: reset }, t('zoom_out'));
  const back = el('button', { type: 'button', hidden: true, onclick() { location.hash = cameFrom.address; } });
  const csv = el('a', { class: 'button', download: `${p.pack}.csv`, 'aria-disabled': true, hidden: !isOne }, '⤓ ', t('csv'));
  const paper = el('a', { class: 'button', hidden: !isOne }, t('report'));
  // What one takes along stands below the charts there, which begin further up.
  const isPhone = matchMedia('(max-width: 47rem)').matches;
  const others = [...packs.keys()].filter(key => !names.includes(key));
  const choice = el('select', { 'aria-label': t('pack'), onchange() { location.hash = addressOf([choice.value], { ...ask, cell: null }); } },
    ...[...packs.keys()].map(key => el('option', { value: key, selected: key === p.pack }, titleOf(key))));
  const beside = el('select', { 'aria-label': t('compare'), hidden: !others.length || list.length === COMPARED_MOST, onchange() {
    location.hash = addressOf([...names, beside.value], { ...ask, cell: null });
  } }, el('option', { value: '' }, `${t('compare')} …`), ...others.map(key => el('option', { value: key }, titleOf(key))));
  const chips = list.slice(1).map(other => el('a', { class: 'button', href: addressOf(names.filter(name => name !== other.pack), ask), 'aria-label': t('remove', other.title) }, other.title, ' ×'));
  const resize = new ResizeObserver(() => {
    for (const c of [...plots, ...daily]) c.resize();
    health?.resize();
  });
  resize.observe(area);
  understood(parts);
  load();
  const heading = `${t('charts')}${COLON} ${list.map(one => one.title).join(', ')}`;
  return {
    title: heading,
    node: el('div', {}, el('h1', { class: 'vh' }, heading),
      el('div', { class: 'bar chartbar' }, choice, ...chips, beside, el('div', { class: 'seg ranges', role: 'group', 'aria-label': t('range') }, ...buttons),
        el('div', { class: 'steps' }, earlier, date, later), whole, back, ...isPhone ? [] : [el('div', { class: 'steps' }, paper, csv)]),
      remark, message, area, el('p', { class: 'hint' }, t('chart_help')), isPhone ? el('div', { class: 'bar chartbar' }, paper, csv) : null, spoken),
    go,
    // The end follows the time, unless the user looks at the past, zooms, or uses the cursor.
    show() {
      if (failed && now() - loadedAt > TRY_AGAIN_S) load();
      else if (data && isLive() && !zoomed && plots.every(c => c.cursorIndex() == null) && now() - loadedAt > MOVE_ON_S) load();
    },
    retheme() {
      for (const c of [...plots, ...daily, health]) c?.redraw();
      if (data) show();
    },
    close() {
      dead = true;
      clearTimeout(timer);
      resize.disconnect();
      clear();
    },
  };
}
