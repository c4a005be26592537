// SPDX-License-Identifier: MIT
// Now: all packs and banks on one screen, with alarms on top.
import { bank, card, houseLine, tile } from './cards.js';
import { el, icon, setAttribute, setText } from './dom.js';
import { banked, isBank, isOffline, levelOf, listen, packs, singles, stateOf, titleOf } from './packs.js';
import { alarmPlace, alarmWords, fold, hrefOf, lasting } from './parts.js';
import { renewToday } from './today.js';
import { COLON, t } from './words.js';

const CARDS_MOST = 8;    // more packs than that are tiles
const WIDTHS = [[16, 13], [30, 10.5], [Infinity, 8.6]];   // [up to so many tiles, least width of one in rem]: a screen with few tiles is read from further away
const WIDEST = 32, BELOW = 2, TALLER = 5;   // rem: widest tile; space below the tiles; height of a tile without its battery
const COLUMNS = [1, 1, 2, 3, 2, 3, 3, 4, 4];   // by number of cards: four as 2 × 2, six as 3 × 2

// A bar for one alarm of one or several packs: a single pack is a link, several unfold their names, each with its cell or sensor.
function bar(isOne) {
  const sign = icon('stale'), who = el('b'), what = el('span', { class: 'what' }), how = el('span'), names = isOne ? null : el('p', { class: 'names' });
  const line = el(isOne ? 'a' : 'summary', {}, sign, isOne ? who : what, isOne ? what : who, how);
  const top = isOne ? line : el('details', {}, line, names), node = el('li', {}, top);
  let shown = '';
  node.show = ({ level, word, whole, since, packs: list, places }) => {
    setAttribute(top, 'class', level);
    sign.shape(level);
    setText(what, isOne ? whole : word + ',');
    setText(who, isOne ? titleOf(list[0]) + COLON : t('n_packs', list.length));
    setText(how, level === 'stale' ? '' : lasting({ level, since }));
    if (isOne) setAttribute(line, 'href', hrefOf(list[0]));
    else if (shown !== (shown = [...list, ...places].join('\n')))
      names.replaceChildren(...list.map((name, i) => el('a', { href: hrefOf(name) }, [titleOf(name), places[i]].filter(Boolean).join(', '))));
  };
  return node;
}

// The bars of all alarms, the worst first, above everything else. Hidden for a single pack, whose card shows them.
function strip() {
  const node = el('ul', { class: 'strip', 'aria-label': t('f_alarm') }), bars = new Map();
  let shown = null;
  node.show = () => {
    const groups = new Map(), add = (key, level, rank, p, word, since, whole = word, place = '') => {
      const group = groups.get(key) || { key, level, rank, word, whole, since, packs: [], places: [] };
      group.packs.push(p.pack);
      group.places.push(place);
      group.since = Math.min(group.since, since);
      groups.set(key, group);
    };
    for (const p of singles()) {
      for (const a of p.alarms) add(a.level + a.name, a.level, a.level === 'protection' ? 2 : 1, p, t(a.name), a.since, alarmWords(a), alarmPlace(a));
      if (p.state !== 'fresh' && !isOffline()) add('stale', 'stale', 0, p, stateOf(p).word);
    }
    const list = [...groups.values()].sort((a, b) => b.rank - a.rank);
    for (const group of list) {
      const isOne = group.packs.length === 1;
      if (!isOne && group.rank === 0) group.word = t('f_stale');
      group.key += isOne;
      if (!bars.has(group.key)) bars.set(group.key, bar(isOne));
      bars.get(group.key).show(group);
    }
    const keys = list.map(group => group.key), key = keys.join();
    node.hidden = !list.length || packs.size < 2;
    if (shown !== key) fold(node, keys.map(k => bars.get(k)));
    shown = key;
  };
  return node;
}

// The largest width with which all tiles fit on the screen.
function tileWidth(count, above) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize), wide = innerWidth / rem - 2.5, high = (innerHeight - above) / rem - BELOW;
  const width = columns => (wide + .7) / columns - .7, height = columns => Math.ceil(count / columns) * (.36 * width(columns) + TALLER);
  let columns = 1;
  while (columns < count && (width(columns) > WIDEST || height(columns) > high)) columns++;
  // Slightly less, so that rounding in the browser does not push a tile into the next row.
  return Math.max(WIDTHS.find(([most]) => count <= most)[1], width(columns) - .05);
}

const matches = (p, kind) => kind === 'all' || (kind === 'alarm' ? !!levelOf(p) : stateOf(p).kind === kind);

// Filters hide packs, they never sort them. Kinds that no pack has are not offered.
function chips(filter) {
  const shapes = { alarm: 'warning', charging: 'charging', discharging: 'discharging', resting: 'resting', stale: 'stale' };
  const buttons = ['all', 'charging', 'discharging', 'resting', 'alarm', 'stale'].map(kind => {
    const count = el('b'), button = el('button', { type: 'button', 'data-kind': kind, onclick: () => filter(kind) },
      shapes[kind] ? icon(shapes[kind]) : null, t(kind === 'alarm' || kind === 'stale' ? 'f_' + kind : kind), count);
    return { kind, button, count };
  });
  const node = el('div', { class: 'chips', role: 'group', 'aria-label': t('packs_h') }, ...buttons.map(b => b.button));
  node.show = chosen => {
    for (const { kind, button, count } of buttons) {
      const found = singles().filter(p => matches(p, kind)).length;
      setText(count, String(found));
      setAttribute(button, 'aria-pressed', String(kind === chosen));
      button.hidden = !found && kind !== 'all' && kind !== chosen;
    }
  };
  return node;
}

export function now() {
  const inBank = banked(), alone = singles().filter(p => !inBank.has(p.pack)), top = [...packs.values()].filter(isBank).concat(alone);
  const asTiles = alone.length > CARDS_MOST, isQuiet = top.length > 1;
  const items = top.map(p => ({ name: p.pack, isBank: isBank(p), node: isBank(p) ? bank(p, false, isQuiet) : asTiles ? tile(p) : card(p, false, isQuiet) }));
  // Adjacent tiles form one block of the grid; packs and banks keep the order of the configuration.
  const grid = el('div', { class: top.length === 1 ? 'grid solo' : 'grid' });
  for (const item of items) {
    if (item.isBank || !asTiles) grid.append(item.node);
    else if (grid.lastChild?.className === 'tiles') grid.lastChild.append(item.node);
    else grid.append(el('div', { class: 'tiles' }, item.node));
  }
  let room = '';
  const fit = () => {
    if (!asTiles) return;   // before the browser is asked for its layout, which takes long
    const above = grid.getBoundingClientRect().top + scrollY, is = [innerWidth, innerHeight, above].join();
    if (room === is) return;
    room = is;
    for (const tiles of grid.querySelectorAll(':scope > .tiles')) tiles.style.setProperty('--tile', `${tileWidth(alone.length, above)}rem`);
  };
  addEventListener('resize', fit);
  grid.style.setProperty('--c', asTiles ? 1 : COLUMNS[alone.length]);
  const head = strip(), whole = isQuiet ? houseLine() : null;
  let kind = 'all';
  const filters = singles().length > CARDS_MOST ? chips(chosen => { kind = chosen; show(); }) : null;
  function show() {
    head.show();
    whole?.show();
    renewToday(show);
    for (const { name, node } of items) node.show(packs.get(name));
    filters?.show(kind);
    fit();
    if (!filters) return;
    for (const { name, node } of items)
      if (node.filter) node.filter(kind, p => matches(p, kind));
      else node.hidden = !matches(packs.get(name), kind);
  }
  listen(items.filter(i => i.isBank || !asTiles).map(i => i.name));
  return {
    title: t('now'), show, close: () => removeEventListener('resize', fit),
    node: el('div', { class: 'now' }, el('h1', { class: 'vh' }, t('now')), head, whole, filters, top.length ? grid : el('div', { class: 'empty' }, el('p', {}, t('no_packs')), el('a', { class: 'button primary', href: '#/setup/ports' }, t('setup')))),
  };
}
