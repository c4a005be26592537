// SPDX-License-Identifier: MIT
// A pack as a card or a tile; a bank as a line with its packs folded below.
import { el, icon, setAttribute, setText, store } from './dom.js';
import { clock, facts, num, number, signed } from './numbers.js';
import { ageOf, gatewayTime, house, levelOf, packs, stateOf, titleOf } from './packs.js';
import { bands, battery, cells, hrefOf } from './parts.js';
import { drawOf, houseDraw, houseLeft, houseToday, leftIn, today, todayOf } from './today.js';
import { COLON, t } from './words.js';

const FOLDED_ABOVE = 36; // more packs than that: banks begin folded

const lastSeen = p => t('last', clock(gatewayTime() - ageOf(p), ageOf(p) > 43200));

/** "21…24" or "22" */
function degrees(v) {
  if (v.temp_max_c == null) return null;
  const low = Math.round(v.temp_min_c ?? v.temp_max_c), high = Math.round(v.temp_max_c);
  return low === high ? number(high) : `${number(low)}…${number(high)}`;
}

function showFacts(f, v) {
  f.voltage.put(v.voltage_v, 2, 'V');
  f.current.show(v.current_a == null ? null : signed(v.current_a, 1), 'A');
  const full = v.full_ah ?? v.rated_ah;
  f.remaining.put(v.remaining_ah, 0, full ? `${t('of')} ${number(full)} Ah` : 'Ah');
  f.temperature.show(degrees(v), '°C');
}

// Text keys of the reasons that limit a current. A key without a text, such as BMS, is shown as it is.
const REASONS = { temperature: 'temperature', mos: 'mos', soc: 'soc', stale: 'f_stale', alarm: 'f_alarm', pack_missing: 'communication_fault',
  imbalance: 'by_imbalance', unknown: 'by_unknown', ramp: 'by_ramp', bms: 'BMS' };

function allowed(v, way) {
  const amps = v[`allowed_${way}_current_a`], by = v[way + '_limited_by'], volts = v[way + '_limited_cell_v'];
  if (amps == null) return null;
  const why = volts != null ? t('by_cell', v[way + '_limited_cell'] ?? '?', `${number(volts, 2)}\u202fV`) : by in REASONS ? t(REASONS[by]) : null;
  const by_pack = v[way + '_limited_pack'], reason = [by_pack && titleOf(by_pack), why].filter(Boolean).join(', ');
  const steps = amps < 10 ? 10 : 1; // rounded down: never more than is allowed
  return t('may_' + way, `${number(Math.floor(amps * steps) / steps, amps < 10 ? 1 : 0)}\u202fA`) + (reason ? `${COLON} ${reason}` : '');
}

/** Shows "may charge 42 A: cell 7 at 3.43 V · may discharge 150 A"; hidden without limits. */
function limits() {
  const node = el('p', { class: 'more may' });
  node.show = (p, old) => {
    const text = old ? '' : ['charge', 'discharge'].map(way => allowed(p.values, way)).filter(Boolean).join(' · ');
    setText(node, text);
    node.hidden = !text;
  };
  return node;
}

/** `isOpen`: the card is on the page of its pack. `isQuiet`: it is one of several below the line for all. */
export function card(p, isOpen, isQuiet) {
  const count = p.shape.cells, bat = battery(), alarms = bands(), more = el('p', { class: 'more' }), day = today(isQuiet);
  const f = facts('voltage', 'current', 'remaining', 'temperature'), bars = count ? cells(count, isOpen ? 'h2' : 'h3') : null, may = limits();
  const title = isOpen ? el('h1', {}, p.title) : el('h2', {}, el('a', { href: hrefOf(p.pack) }, p.title));
  const node = el('article', { class: 'card' }, alarms, el('div', { class: 'body' },
    el('div', { class: 'left' }, el('div', { class: 'head' }, title, more), bat, may, f.node, day), bars));
  node.show = p => {
    const state = stateOf(p), old = state.kind === 'stale';
    setAttribute(node, 'data-level', levelOf(p));
    setAttribute(node, 'data-old', old);
    alarms.show(p, old);
    bat.show(p, state);
    setAttribute(more, 'class', state.isOff ? 'more off' : 'more');
    setText(more, !old ? state.more.join(' · ') : state.never || p.values.voltage_v == null ? '' : lastSeen(p));
    showFacts(f, p.values);
    may.show(p, old);
    day.show(todayOf(p.pack), old ? undefined : leftIn(p), drawOf(p));
    if (bars) bars.show(p);
  };
  return node;
}

export function tile(p) {
  const bat = battery(), delta = num(), mark = el('span', { class: 'mark' }), spoken = el('span', { class: 'vh' });
  const node = el('a', { class: 'tile', href: hrefOf(p.pack) }, el('span', { class: 'name' }, p.title, mark), bat,
    el('span', { class: 'small' }, bat.power, el('span', {}, 'Δ ', delta)), spoken);
  node.show = p => {
    const state = stateOf(p), level = levelOf(p), old = state.kind === 'stale';
    setAttribute(node, 'data-level', level);
    setAttribute(node, 'data-old', old);
    setText(spoken, [old ? state.word : '', ...p.alarms.map(a => t(a.name))].join(' '));
    if (mark.dataset.level !== (level || '')) {
      mark.dataset.level = level || '';
      mark.replaceChildren(...level ? [icon(level), t(level === 'protection' ? 'protection_short' : level)] : []);
    }
    bat.show(p, state, true);
    delta.put(p.values.cell_delta_mv, 0, 'mV');
  };
  return node;
}

/** A bank with its members as tiles; show() skips folded tiles. */
export function bank(b, isOpen, isQuiet) {
  const bat = battery(), alarms = bands(), more = el('p', { class: 'more' }), day = today(isQuiet);
  const f = facts('voltage', 'current', 'remaining', 'difference', 'temperature');
  const may = limits(), members = b.members.filter(name => packs.has(name)).map(name => ({ name, node: tile(packs.get(name)), mini: el('i') }));
  const remembered = () => store.get('fold.' + b.pack, packs.size > FOLDED_ABOVE ? 'folded' : 'open') === 'open';
  const tiles = el('div', { class: 'tiles' }, ...members.map(m => m.node));
  let kindNow = 'all';
  const fold = isOpen ? tiles : el('details', {
    open: remembered(), ontoggle: () => {
      if (kindNow === 'all') store.set('fold.' + b.pack, fold.open ? 'open' : 'folded');
      node.show(packs.get(b.pack));
    },
  }, el('summary', {}, members.length > 1 ? t('n_packs', members.length) : t('pack'),
    el('span', { class: 'minis', 'aria-hidden': 'true' }, ...members.map(m => m.mini))), tiles);
  const title = isOpen ? el('h1', {}, b.title) : el('h2', {}, el('a', { href: hrefOf(b.pack) }, b.title));
  const node = el('article', { class: 'card bank' }, alarms,
    el('div', { class: 'left' }, el('div', { class: 'head' }, title, more), bat, may, f.node, day), fold);
  node.show = b => {
    if (!b) return;
    const state = stateOf(b), old = state.kind === 'stale';
    const states = members.map(m => stateOf(packs.get(m.name)).kind), count = kind => states.filter(s => s === kind).length;
    const up = count('charging'), down = count('discharging');
    setAttribute(node, 'data-level', levelOf(b));
    setAttribute(node, 'data-old', old);
    alarms.show(b, old);
    bat.show(b, state);
    // Both directions are counted: a net sum would hide a pack that discharges into the others.
    setText(more, [members.length > 1 ? t('packs_fresh', members.length - count('stale'), members.length) : null, up && down ? t('both', up, down) : null, ...state.more]
      .filter(Boolean).join(' · '));
    showFacts(f, b.values);
    may.show(b, old);
    day.show(todayOf(b.pack), old ? undefined : leftIn(b), drawOf(b));
    f.difference.put(b.values.cell_delta_mv, 0, 'mV');
    members.forEach(({ name, node: tileNode, mini }, i) => {
      const p = packs.get(name);
      if (isOpen || fold.open) return tileNode.show(p);
      mini.style.setProperty('--d', (p.values.soc_percent || 0) / 100);
      setAttribute(mini, 'data-flow', states[i]);
      setAttribute(mini, 'data-level', levelOf(p));
    });
  };
  /** Hides the packs that do not match; while a filter is on, the bank is unfolded. */
  node.filter = (kind, matches) => {
    let seen = 0;
    for (const m of members) seen += !(m.node.hidden = !matches(packs.get(m.name)));
    node.hidden = kind !== 'all' && !seen;
    if (kind === kindNow) return;
    kindNow = kind;
    fold.open = kind !== 'all' || remembered();
  };
  return node;
}

/** All packs as one, in a line above the rest. */
export function houseLine() {
  const bat = battery(), more = el('p', { class: 'more' }), day = today();
  const node = el('section', { class: 'card bank house' }, el('div', { class: 'left' }, el('div', { class: 'head' }, el('h2', {}, t('back')), more), bat, day));
  node.show = () => {
    const all = house();
    setAttribute(node, 'data-old', all.state.kind === 'stale');
    bat.show(all, all.state);
    setText(more, all.state.more.join(' · '));
    day.show(houseToday(), houseLeft(), houseDraw());
  };
  return node;
}
