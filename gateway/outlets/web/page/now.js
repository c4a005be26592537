// SPDX-License-Identifier: MIT
// Now: all packs and banks on one screen, what needs somebody on top.
import { bank, card, tile } from './cards.js';
import { el, icon, setAttribute, setText } from './dom.js';
import { span } from './numbers.js';
import { banked, gatewayTime, isBank, isOffline, levelOf, listen, packs, singles, stateOf, titleOf } from './packs.js';
import { hrefOf, rescale } from './parts.js';
import { t } from './words.js';

const CARDS_MOST = 8;    // more packs than that are tiles
const STRIP_MOST = 12;
const WIDTHS = [[16, 13], [30, 10.5], [Infinity, 8.6]];   // rem of a tile at least, up to so many: a screen with few is read from further away
const WIDEST = 32, AROUND = 10, TALLER = 5;   // rem: of a tile; header and margins; what a tile has below and above its battery
const COLUMNS = [1, 1, 2, 3, 2, 3, 3, 4, 4];   // for so many cards: four stand 2 × 2, six 3 × 2

// What needs somebody, the worst first, above everything else. A single pack says it on its card.
function strip() {
  const node = el('ul', { class: 'strip', 'aria-label': t('f_alarm') });
  let shown = '';
  node.show = () => {
    const now = gatewayTime(), rows = [];
    for (const p of singles()) {
      for (const a of p.alarms) rows.push({ name: p.pack, level: a.level, word: t(a.name), rank: a.level === 'protection' ? 2 : 1, since: a.since });
      if (p.state !== 'fresh' && !isOffline()) rows.push({ name: p.pack, level: 'stale', word: stateOf(p).word, rank: 0 });
    }
    rows.sort((a, b) => b.rank - a.rank);
    const key = JSON.stringify(rows.map(r => [r.name, titleOf(r.name), r.word, r.level, r.since && Math.floor((now - r.since) / 60)]));
    node.hidden = !rows.length || packs.size < 2;
    if (key === shown) return;
    shown = key;
    node.replaceChildren(...rows.slice(0, STRIP_MOST).map(r => el('li', {}, el('a', { href: hrefOf(r.name), class: r.level },
      icon(r.level), el('b', {}, titleOf(r.name)), el('span', { class: 'what' }, r.word),
      r.rank ? el('span', {}, r.since ? `${t(r.level)} ${t('since', span(now - r.since))}` : t(r.level)) : null))),
    ...rows.length > STRIP_MOST ? [el('li', { class: 'hint' }, t('more', rows.length - STRIP_MOST))] : []);
  };
  return node;
}

// As wide as lets all of them stand on the screen at once: a wall has room.
function tileWidth(count) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize), wide = innerWidth / rem - 2.5, high = innerHeight / rem - AROUND;
  const width = columns => (wide + .7) / columns - .7, height = columns => Math.ceil(count / columns) * (.36 * width(columns) + TALLER);
  let columns = 1;
  while (columns < count && (width(columns) > WIDEST || height(columns) > high)) columns++;
  // A hair less, so that the browser finds room for as many.
  return Math.max(WIDTHS.find(([most]) => count <= most)[1], width(columns) - .05);
}

const matches = (p, kind) => kind === 'all' || (kind === 'alarm' ? !!levelOf(p) : stateOf(p).kind === kind);

// Filters hide, they never sort. Kinds that no pack has are not offered.
function chips(filter) {
  const shapes = { alarm: 'warning', charging: 'charging', discharging: 'discharging', resting: 'resting', stale: 'stale' };
  const buttons = ['all', 'charging', 'discharging', 'resting', 'alarm', 'stale'].map(kind => {
    const count = el('b'), button = el('button', { type: 'button', 'data-kind': kind, onclick: () => filter(kind) },
      shapes[kind] ? icon(shapes[kind]) : null, t(kind === 'alarm' || kind === 'stale' ? 'f_' + kind : kind), count);
    return { kind, button, count };
  });
  const node = el('div', { class: 'chips', role: 'group', 'aria-label': t('packs') }, ...buttons.map(b => b.button));
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
  const inBank = banked(), top = [...packs.values()].filter(p => isBank(p) || !inBank.has(p.pack)), alone = top.filter(p => !isBank(p));
  const asTiles = alone.length > CARDS_MOST;
  const items = top.map(p => ({ name: p.pack, isBank: isBank(p), node: isBank(p) ? bank(p) : asTiles ? tile(p) : card(p) }));
  // A run of tiles is one block of the grid; packs and banks keep the order of the configuration.
  const grid = el('div', { class: top.length === 1 ? 'grid solo' : 'grid' });
  for (const item of items) {
    if (item.isBank || !asTiles) grid.append(item.node);
    else if (grid.lastChild?.className === 'tiles') grid.lastChild.append(item.node);
    else grid.append(el('div', { class: 'tiles' }, item.node));
  }
  const fit = () => {
    for (const tiles of grid.querySelectorAll(':scope > .tiles')) tiles.style.setProperty('--tile', `${tileWidth(alone.length)}rem`);
  };
  addEventListener('resize', fit);
  fit();
  grid.style.setProperty('--c', asTiles ? 1 : COLUMNS[alone.length]);
  const head = strip();
  let kind = 'all';
  const filters = singles().length > CARDS_MOST ? chips(chosen => { kind = chosen; show(); }) : null;
  function show() {
    rescale(alone);
    head.show();
    for (const { name, node } of items) node.show(packs.get(name));
    if (!filters) return;
    filters.show(kind);
    for (const { name, node } of items)
      if (node.filter) node.filter(kind, p => matches(p, kind));
      else node.hidden = !matches(packs.get(name), kind);
  }
  listen(items.filter(i => i.isBank || !asTiles).map(i => i.name));
  return {
    title: t('now'), show, close: () => removeEventListener('resize', fit),
    node: el('div', { class: 'now' }, el('h1', { class: 'vh' }, t('now')), head, filters, top.length ? grid : el('p', { class: 'empty' }, t('no_packs'), ' ', t('no_packs_next', 'packgate probe'), ' ', el('a', { class: 'button primary', href: '#/setup/ports' }, t('setup')))),
  };
}
