// SPDX-License-Identifier: MIT
// The page of one pack: each cell, each sensor, limits, switches, identity. Or of a bank with its packs.
import { bank, card } from './cards.js';
import { el, setAttribute, setText } from './dom.js';
import { energy, facts, num, number, signed } from './numbers.js';
import { balancedCells, gatewayTime, isBank, isOld, listen, load, packs, row, singles, stateOf } from './packs.js';
import { chartsOf, hrefOf, nothingOf } from './parts.js';
import { askSwitch } from './session.js';
import { renewToday } from './today.js';
import { t } from './words.js';

const RECORDED_S = 15;   // after this time an alarm is in the history

// Each cell with its voltage and its distance from the mean, as a link to its chart.
function cellList(name, count) {
  const items = Array.from({ length: count }, (_, i) => {
    const value = num(), off = num('dev');
    return { value, off, node: el('li', {}, el('a', { href: `${chartsOf(name)}/24h/cell-${i + 1}` }, el('b', {}, el('span', { class: 'vh' }, t('cell') + ' '), String(i + 1)), value, off)) };
  });
  const node = el('section', { class: 'card all' }, el('h2', {}, t('cells')), el('ol', { class: 'cellgrid' }, ...items.map(i => i.node)));
  node.hidden = !count;
  node.show = p => {
    const on = new Set(balancedCells(p)), v = p.values;
    row(p, 'cell_mv', count).forEach((mv, i) => {
      const { value, off, node } = items[i], n = i + 1, isMost = n === v.cell_max_index, isLeast = n === v.cell_min_index;
      value.put(mv == null ? null : mv / 1000, 3, 'V');
      off.show(mv == null || v.cell_avg_mv == null ? null : signed(Math.round(mv) - Math.round(v.cell_avg_mv)), 'mV');
      setAttribute(node, 'class', [isMost && 'max', isLeast && 'min', on.has(n) && 'balancing'].filter(Boolean).join(' ') || null);
      setAttribute(node, 'data-note',
        [isMost && '▲ ' + t('highest'), isLeast && '▼ ' + t('lowest'), on.has(n) && '◆ ' + t('balancing')].filter(Boolean).join(' · ') || null);
    });
  };
  return node;
}

function temperatures(count) {
  const sensors = Array.from({ length: count }, () => num());
  const node = el('section', {}, el('h2', {}, t('temperature')),
    el('ul', { class: 'temps' }, ...sensors.map((value, i) => el('li', {}, el('b', {}, String(i + 1)), value))));
  node.hidden = !count;
  node.show = p => row(p, 'temp_c', count).forEach((c, i) => sensors[i].put(c, 1, '°C'));
  return node;
}

// Shows the state that the BMS reports, never the requested one.
function switches(p) {
  const rows = ['charge', 'discharge'].map(which => {
    const state = el('b'), button = el('button', { type: 'button', onclick: () => askSwitch(packs.get(p.pack), which) });
    return { which, state, button, node: el('p', { class: 'switch' }, el('span', {}, t(which), ' ', state), button) };
  });
  const hint = el('p', { class: 'hint' }, t('not_writable'));
  const node = el('section', {}, el('h2', {}, t('switches')), ...rows.map(r => r.node), hint);
  node.show = p => {
    const old = isOld(p);
    let any = false;
    for (const { which, state, button } of rows) {
      const v = p.values[which + '_mos'];
      setText(state, v == null ? '–' : t(v ? 'on' : 'off'));
      setText(button, t(v ? 'turn_off' : 'turn_on'));
      button.hidden = !p.shape.texts.writable || v == null;
      button.disabled = old;
      any ||= !button.hidden;
    }
    hint.hidden = any;
    node.hidden = rows.every(r => p.values[r.which + '_mos'] == null);
  };
  return node;
}

// Health, limits of the BMS, and energy counters. Values that the pack does not report are hidden.
function figures() {
  const f = facts('health', 'cycles', 'mos', 'limit_in', 'limit_out', 'count_in', 'count_out');
  const node = el('section', {}, el('h2', {}, t('health')), f.node);
  node.show = p => {
    const v = p.values;
    f.health.put(v.soh_percent, 0, '%');
    f.cycles.put(v.cycles, 0);
    f.mos.put(v.mos_temp_c, 0, '°C');
    f.limit_in.put(v.charge_current_limit_a, 0, 'A');
    f.limit_out.put(v.discharge_current_limit_a, 0, 'A');
    f.count_in.show(...v.charged_wh == null ? [null] : energy(v.charged_wh));
    f.count_out.show(...v.discharged_wh == null ? [null] : energy(v.discharged_wh));
    for (const value of Object.values(f)) if (value.row) value.row.hidden = value.textContent === '–';
    node.hidden = stateOf(p).never || Object.values(f).every(value => !value.row || value.row.hidden);
  };
  return node;
}

// The settings of the BMS, each limit with its release value. [words, limit, release, factor, decimals, unit]
const SETTINGS = [
  ['cell_over_voltage', 'set_cell_high_mv', 'set_cell_high_release_mv', .001, 3, 'V'], ['cell_under_voltage', 'set_cell_low_mv', 'set_cell_low_release_mv', .001, 3, 'V'],
  ['pack_over_voltage', 'set_pack_high_v', null, 1, 1, 'V'], ['pack_under_voltage', 'set_pack_low_v', null, 1, 1, 'V'],
  ['charge_over_current', 'set_charge_current_a', null, 1, 0, 'A'], ['discharge_over_current', 'set_discharge_current_a', null, 1, 0, 'A'],
  ['charge_over_temperature', 'set_charge_hot_c', 'set_charge_hot_release_c', 1, 0, '°C'], ['charge_under_temperature', 'set_charge_cold_c', 'set_charge_cold_release_c', 1, 0, '°C'],
  ['discharge_over_temperature', 'set_discharge_hot_c', 'set_discharge_hot_release_c', 1, 0, '°C'],
  ['discharge_under_temperature', 'set_discharge_cold_c', 'set_discharge_cold_release_c', 1, 0, '°C'],
  ['mos_over_temperature', 'set_mos_hot_c', 'set_mos_hot_release_c', 1, 0, '°C'], ['cell_imbalance', 'set_cell_difference_mv', null, 1, 0, 'mV'],
  ['balance_start', 'set_balance_start_mv', null, .001, 3, 'V'], ['balance_difference', 'set_balance_difference_mv', null, 1, 0, 'mV'],
];

function settings() {
  const items = SETTINGS.map(([words, limit, release, factor, decimals, unit]) => {
    const value = num(), again = el('small', { class: 'again' });
    const node = el('div', {}, el('dt', {}, t(words)), el('dd', {}, value, again));
    return { node, show(v) {
      node.hidden = v[limit] == null;
      if (node.hidden) return;
      value.put(v[limit] * factor, decimals, unit);
      setText(again, v[release] == null ? '' : t('released', `${number(v[release] * factor, decimals)}\u202f${unit}`));
    } };
  });
  const balancer = el('dd'), last = { node: el('div', {}, el('dt', {}, t('balancer')), balancer), show(v) {
    last.node.hidden = v.set_balancer == null;
    if (!last.node.hidden) setText(balancer, t(v.set_balancer ? 'on' : 'off'));
  } };
  items.push(last);
  const node = el('section', { class: 'card all', 'data-section': 'settings' }, el('h2', {}, t('settings')), el('dl', { class: 'settings' }, ...items.map(i => i.node)));
  node.show = p => {
    for (const item of items) item.show(p.values);
    node.hidden = items.every(item => item.node.hidden);
  };
  return node;
}

function identity(p) {
  const rows = ['protocol', 'model', 'serial', 'firmware', 'line', 'address', 'unit'].filter(k => p.shape.texts[k] != null && p.shape.texts[k] !== '' && !(isBank(p) && k === 'protocol'))
    .map(k => el('div', {}, el('dt', {}, t(k)), el('dd', {}, String(p.shape.texts[k]))));
  return rows.length ? el('section', {}, el('h2', {}, t('identity')), el('dl', { class: 'facts' }, ...rows)) : null;
}

export function pack(name) {
  const p = packs.get(name), back = el('a', { class: 'button', href: '#' }, '‹ ', t('back'));
  if (!p) return nothingOf(name, t('unknown_pack'), back);
  const names = singles().map(x => x.pack), at = names.indexOf(name);
  const beside = (step, sign, words) => names.length > 1 && at >= 0
    ? el('a', { class: 'button', href: hrefOf(names[(at + step + names.length) % names.length]), 'aria-label': t(words) }, sign) : null;
  const parts = isBank(p) ? [bank(p, true), figures()]
    : [card(p, true), cellList(name, p.shape.cells), temperatures(p.shape.temps), switches(p), figures()], set = settings();
  const [main, ...others] = parts, list = isBank(p) ? null : others.shift();
  const body = el('div', { class: 'detail' }, main, list,
    el('section', { class: 'card' }, ...others.slice(0, -1)), el('section', { class: isBank(p) ? 'card all' : 'card' }, others.at(-1), identity(p)), set);
  listen([name]);
  // The past is loaded later, and only if there is a history; again whenever the values of today are renewed, and after alarms have changed.
  let told = null, due = Infinity;
  const active = () => packs.get(name)?.alarms.map(a => a.name).join(), tell = async () => {
    const next = await import('./story.js').then(m => m.story(name)).catch(() => null);
    if (!next || next.outerHTML === told?.outerHTML) return;
    if (told) told.replaceWith(next);
    else set.before(next);
    told = next;
  };
  let alarms = active();
  renewToday(() => {}).then(hasPast => hasPast && tell());
  // An overview with tiles has loaded only seven values of each pack.
  if (!isOld(p) && p.shape.cells && p.values.cell_count == null) load().catch(() => {});
  return {
    title: p.title,
    node: el('div', {}, el('div', { class: 'bar' }, back, el('span', { class: 'push' }),
      el('a', { class: 'button', href: chartsOf(name) }, t('show_charts')), el('span', { class: 'steps' }, beside(-1, '‹', 'previous'), beside(1, '›', 'next'))), body),
    show() {
      const p = packs.get(name);
      renewToday(tell);
      if (alarms !== (alarms = active())) due = gatewayTime() + RECORDED_S;
      if (gatewayTime() > due) {
        due = Infinity;
        tell();
      }
      setAttribute(body, 'data-old', isOld(p));
      for (const part of [...parts, set]) part.show(p);
    },
  };
}
