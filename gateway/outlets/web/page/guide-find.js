// SPDX-License-Identifier: MIT
// Set-up, screens 1 to 3: the ports, the search for packs, and their names.
import { draw, el, icon, setText } from './dom.js';
import { number } from './numbers.js';
import { act, api, button, every, field, status } from './guide-parts.js';
import { add, canMove, draft, drop, freeUnit, general, isTaken, lineAt, membersOf, move, parallels, removePack, rename, sections, take, valuesOf, wordFor } from './guide-draft.js';
import { allKeys } from './guide-keys.js';
import { COLON, hasText, t } from './words.js';

const LOOK_S = 1;
const SERVER_PORT = 6126;

/* ---- 1: ports ---- */

// A drawing of pack, adapter and gateway: A, B and ground between the first two, and the isolation gap in the adapter.
function wiring() {
  const box = (x, width, word) => [draw('rect', { x, y: 34, width, height: 92, rx: 10 }), draw('text', { x: x + width / 2, y: 24, 'text-anchor': 'middle' }, word)];
  const wire = (y, name) => [draw('path', { d: `M72 ${y}h58` }), draw('text', { x: 101, y: y - 4, 'text-anchor': 'middle', class: 'small' }, name)];
  return el('figure', { class: 'wiring' }, draw('svg', { viewBox: '0 0 330 134', role: 'img', 'aria-label': t('g_picture') },
    ...box(4, 68, t('pack')), ...box(130, 84, t('g_adapter')), ...box(248, 68, t('gateway')), ...wire(58, 'A'), ...wire(84, 'B'), ...wire(110, 'GND'),
    draw('path', { d: 'M214 80h34' }), draw('text', { x: 231, y: 74, 'text-anchor': 'middle', class: 'small' }, 'USB'),
    draw('path', { d: 'M172 36v88', class: 'gap' }), draw('path', { d: 'M16 72h20M26 62v20M46 72h14', class: 'poles' })),
  el('figcaption', {}, el('p', {}, t('g_isolated')), el('p', {}, t('g_ground'))));
}

// Users may enter an address with its port, or the path of a serial port that is not listed.
function typed(host, port) {
  const name = host.trim().replace(/^tcp:\/\/|^serial:/, '');
  if (name.startsWith('/')) return { address: `serial:${name}`, name };
  const whole = /^(\[.*\]|[^:]*):\d+$/.test(name) ? name : `${/:.*:/.test(name) && !name.startsWith('[') ? `[${name}]` : name}:${port}`;
  return { address: `tcp://${whole}`, name: t('g_server') };
}

// The line of the running configuration that has this port.
function userOf(port) {
  const line = lineAt(port.address);
  return port.used_by ?? (line && !line.isNew ? line.name : null);
}

export function ports() {
  const list = el('ul', { class: 'picks' }), said = status(), self = { node: null, isDone: () => draft.ports.length > 0 };
  let known = [], hasBluetooth = false;

  const choose = (port, on) => {
    draft.ports = draft.ports.filter(p => p.address !== port.address);
    if (on) draft.ports.push(port);
    self.onchange?.();
  };
  const row = port => {
    const user = userOf(port), box = el('input', { type: 'checkbox', disabled: !!user, onchange: () => choose(port, box.checked) });
    box.checked = draft.ports.some(p => p.address === port.address);
    return el('li', {}, el('label', { class: 'pick' }, box, el('span', {}, el('b', {}, port.name || port.address), port.maybe ? el('small', { lang: 'en' }, port.maybe) : null, el('code', {}, port.address),
      user ? el('small', {}, t('g_used', user)) : port.readable === false ? el('small', {}, t('g_unreadable')) : null)));
  };
  const show = () => {
    const all = [...known, ...draft.ports.filter(p => !known.some(k => k.address === p.address))];
    list.replaceChildren(...all.map(row));
    list.hidden = !all.length;
    if (!all.length) said.say(t('g_no_ports'));
  };
  async function look() {
    ({ ports: known = [], bluetooth: hasBluetooth = false } = await api('ports', {}));
    air.hidden = !hasBluetooth;
    show();
  }
  const host = el('input', { type: 'text', inputmode: 'url', autocapitalize: 'off', spellcheck: 'false', required: true, placeholder: '192.168.1.49' });
  const port = el('input', { type: 'number', min: 1, max: 65535, value: SERVER_PORT, required: true });
  const serverSaid = status(), server = el('form', {
    class: 'row', onsubmit(event) {
      event.preventDefault();
      const given = typed(host.value, port.value), user = userOf(given);
      serverSaid.say(user ? t('g_used', user) : '');
      if (user) return;
      choose(given, true);
      host.value = '';
      said.say('');
      show();
    },
  }, field(t('address'), host), field(t('g_tcp_port'), port), el('button', { type: 'submit' }, t('g_add')));
  const heard = el('ul', { class: 'picks' }), airSaid = status();
  let stop = null;
  const air = el('section', { class: 'card', hidden: true }, el('h2', {}, 'Bluetooth'), el('p', { class: 'hint' }, t('g_bluetooth')), act(t('g_listen'), async () => {
    await api('probe', { port: 'ble:' });
    airSaid.say(t('g_listening'));
    stop = every(LOOK_S, async () => {
      const { running, devices = [], advice } = await api('probe').catch(() => ({}));
      heard.replaceChildren(...devices.map(d => row({ address: d.address, name: d.name, maybe: d.maybe })));
      if (!running) airSaid.say([t('g_devices', devices.length), advice].filter(Boolean).join('; '));
      return !running;
    });
  }, airSaid), airSaid, heard);
  self.node = el('div', {}, el('section', { class: 'card' }, el('h2', {}, t('g_wires')), wiring()),
    el('section', { class: 'card' }, el('h2', {}, t('g_this_host')), list, said, act(t('g_again'), look, said)),
    el('section', { class: 'card' }, el('h2', {}, t('g_server')), el('p', { class: 'hint' }, t('g_server_how')), server, serverSaid), air);
  self.close = () => stop?.();
  look().catch(error => said.say(error.message));
  return self;
}

/* ---- 2: search ---- */

const volts = v => v == null ? null : `${number(v, 2)}\u202fV`;

/** One line of values that distinguish a battery from its neighbour. */
const traits = v => [volts(v.voltage), v.soc == null ? null : `${number(v.soc)}\u202f%`, v.cells ? `${t('cells')}${COLON} ${v.cells}` : null,
  v.model, v.serial && `${t('serial')} ${v.serial}`].filter(Boolean).join(' · ');

const wayTo = (protocol, address, ...more) => [protocol, address == null || address === '' ? null : `${t('address')} ${address}`, ...more].filter(Boolean).join(', ');

function foundRow(found, onchange) {
  const box = el('input', {
    type: 'checkbox', onchange() {
      if (box.checked) take(found);
      else drop(found);
      onchange();
    },
  });
  box.checked = isTaken(found);
  const more = found.cells?.some(mv => mv != null) ? el('small', {}, found.cells.map(mv => mv == null ? '–' : number(mv / 1000, 3)).join('  ')) : null;
  return el('li', {}, el('label', { class: 'pick' }, box, el('span', {}, el('b', {}, t('g_is_it')),
    el('span', {}, traits({ voltage: found.voltage_v, soc: found.soc_pct, cells: found.cells_count, model: found.model, serial: found.serial })),
    el('small', {}, wayTo(found.protocol, found.address, found.baud)), more)));
}

// If nothing was found, what was heard on the port decides what to try next.
function advice(result) {
  const key = 'g_heard_' + result.heard;
  return el('div', { class: 'note' }, icon('warning'), el('div', {}, el('p', {}, hasText(key) ? t(key) : t(result.heard ? 'g_heard_nothing' : 'g_not_yet')),
    result.advice ? el('p', { class: 'hint', lang: 'en' }, result.advice) : null));
}

function byHand(onchange) {
  const protocols = (draft.keys.line ?? draft.keys.pack ?? []).find(k => k.key === 'protocol')?.choices ?? [];
  const port = el('select', {}, ...draft.ports.map(p => el('option', { value: p.address }, p.name || p.address)),
    ...sections('line').filter(l => !draft.ports.some(p => lineAt(p.address)?.name === l.name)).map(l => el('option', { value: l.get('port') }, l.name)));
  const protocol = protocols.length ? el('select', {}, ...protocols.map(name => el('option', {}, name))) : el('input', { type: 'text', required: true });
  const address = el('input', { type: 'number', min: 0, max: 255 }), said = status();
  const form = el('form', {
    class: 'row', onsubmit(event) {
      event.preventDefault();
      if (!port.value) return said.say(t('g_no_port'));
      said.say(t('g_taken', take({ port: port.value, protocol: protocol.value, address: address.value === '' ? null : Number(address.value) }).name));
      onchange();
    },
  }, field(t('port'), port), field(t('protocol'), protocol), field(t('address'), address), el('button', { type: 'submit' }, t('g_add')));
  return el('details', { class: 'card' }, el('summary', {}, t('g_by_hand')), el('p', { class: 'hint' }, t('g_by_hand_why')), form, said);
}

export function search() {
  const self = { node: null, isDone: () => draft.added.some(s => s.section === 'pack') }, changed = () => self.onchange?.();
  const said = status(), live = el('p', { class: 'tried', 'aria-hidden': 'true' }), cards = new Map();
  let stop = null, isGone = false;

  function show(port) {
    const result = draft.searches.get(port.address), body = cards.get(port.address);
    if (!result) return body.replaceChildren(el('p', { class: 'hint' }, t('g_not_yet')));
    const { found = [], running } = result;
    // Rows are reused, so that a box which the user is about to tick does not vanish.
    body.rows ??= new Map();
    for (const f of found) if (!body.rows.has(f)) body.rows.set(f, foundRow(f, changed));
    body.replaceChildren(...found.length ? [el('ul', { class: 'picks' }, ...found.map(f => body.rows.get(f)))] : running ? [] : [advice(result)],
      ...running || result.isAll || result.heard === 'closed' ? [] : [button(t('g_more'), () => run([port], true))]);
  }

  /** Searches one port after another. */
  async function run(list, all) {
    go.disabled = true;
    halt.hidden = false;
    for (const port of list) {
      if (isGone) return;
      const before = all ? draft.searches.get(port.address)?.found ?? [] : [];
      const result = { found: before, running: true, isAll: all };
      draft.searches.set(port.address, result);
      show(port);
      said.say(t('g_searching', port.name || port.address));
      try {
        await api('probe', { port: port.address, ...all && { all } });
        await new Promise(done => {
          stop = every(LOOK_S, async () => {
            let now;
            try {
              now = await api('probe');
            } catch (error) {
              if (error.status) now = { running: false, heard: 'closed', advice: error.message };
              else return false;
            }
            for (const f of now.found ?? []) {
              f.port ??= port.address;
              if (!result.found.some(old => old.protocol === f.protocol && old.address === f.address)) result.found.push(f);
            }
            Object.assign(result, { running: now.running, heard: now.heard, advice: now.advice });
            const last = now.tried?.at(-1);
            setText(live, last && now.running ? `${now.tried.length}: ${[last.protocol, last.address == null ? null : `${t('address')} ${last.address}`, last.baud].filter(v => v != null).join(', ')}` : '');
            show(port);
            if (!now.running) done();
            return !now.running;
          });
        });
      } catch (error) {
        Object.assign(result, { running: false, heard: 'closed', advice: error.message });
        show(port);
      }
    }
    const count = list.reduce((sum, port) => sum + (draft.searches.get(port.address)?.found?.length ?? 0), 0);
    said.say(t('g_found', count));
    go.disabled = false;
    halt.hidden = true;
  }

  const go = button(t('g_search_go'), () => run([...draft.ports]), { class: 'primary' });
  const halt = button(t('g_stop'), () => api('probe/stop', {}).catch(error => said.say(error.message)), { hidden: true });
  const places = draft.ports.map(port => {
    const body = el('div', {});
    cards.set(port.address, body);
    show(port);
    return el('section', { class: 'card' }, el('h2', {}, port.name || port.address), el('p', {}, el('code', {}, port.address)), body);
  });
  self.node = el('div', {}, draft.ports.length ? el('div', { class: 'bar' }, go, halt, said) : el('p', { class: 'note' }, t('g_no_port')), live, ...places, byHand(changed));
  self.close = () => {
    isGone = true;
    stop?.();
    for (const [address, result] of draft.searches) if (result.running) draft.searches.delete(address);
    if (!halt.hidden) api('probe/stop', {}).catch(() => {});
  };
  return self;
}

/* ---- 3: names ---- */

const text = (value, oninput, properties = {}) => {
  const input = el('input', { type: 'text', maxlength: 64, ...properties, oninput: () => oninput(input.value.trim()) });
  input.value = value;
  return input;
};
const unitField = section => field(t('unit'), text(section.get('unit'), value => section.set('unit', value), { type: 'number', min: 1, max: 247, required: true }));
const titleOf = section => section.get('name') || section.name;
const idOf = section => section.isNew ? t('g_id_new', section.name) : t('g_id', section.name);

function packCard(pack, renew, renewBanks) {
  const hint = el('small', {}, idOf(pack));
  const name = text(pack.get('name') || (pack.isNew ? '' : pack.name), value => {
    rename(pack, value);
    setText(hint, idOf(pack));
    renewBanks();
  }, { placeholder: pack.name });
  const step = (by, sign, word) => button(sign, () => {
    move(pack, by);
    renew(pack, by);
  }, { 'aria-label': t(word, titleOf(pack)), 'data-by': by, disabled: !canMove(pack, by) });
  const line = sections('line').find(l => l.name === pack.get('line'));
  const seen = traits(valuesOf(pack)), way = wayTo(pack.get('protocol') || line?.get('protocol'), pack.get('address'), line?.get('port'));
  const node = el('section', { class: 'card', 'data-pack': pack.name }, el('h2', {}, seen || way),
    // Packs of one make often differ in their address only, which is what their owner has set.
    seen ? el('p', { class: 'hint' }, way) : null,
    el('div', { class: 'row' }, field(t('name'), name), unitField(pack), canMove(pack, -1) || canMove(pack, 1) ? el('span', { class: 'buttons' }, step(-1, '↑', 'g_up'), step(1, '↓', 'g_down')) : null),
    hint, allKeys([[pack, ['name', 'unit', 'line']], ...line ? [[line, []]] : []]), button(t('g_remove'), () => {
      removePack(pack);
      renew();
    }, { 'aria-label': `${t('g_remove')}: ${pack.name}` }));
  node.pack = pack.self;
  return node;
}

function bankCard(bank, renew) {
  const hint = el('small', {}, idOf(bank)), members = membersOf(bank).map(m => titleOf(sections('pack').find(p => p.name === m) ?? { name: m, get: () => '' }));
  const name = text(bank.get('name') || (bank.isNew ? '' : bank.name), value => {
    rename(bank, value);
    setText(hint, idOf(bank));
  }, { placeholder: bank.name });
  return el('section', { class: 'card', 'data-bank': bank.name }, el('h2', {}, `${t('bank')}${COLON} ${members.join(', ')}`),
    el('div', { class: 'row' }, field(t('name'), name), unitField(bank)), hint, button(t('g_remove'), () => {
      bank.remove();
      renew();
    }, { 'aria-label': `${t('g_remove')}: ${bank.name}` }));
}

function proposal(group, renew) {
  const members = new Set(group.map(({ pack }) => pack));
  const rows = group.map(({ pack, ...values }) => {
    const box = el('input', {
      type: 'checkbox', checked: true, onchange() {
        members[box.checked ? 'add' : 'delete'](pack);
        yes.disabled = members.size < 2;
      },
    });
    return el('li', {}, el('label', { class: 'pick' }, box, el('span', {}, el('b', {}, titleOf(pack)), el('span', {}, traits(values)))));
  });
  const yes = button(t('g_parallel_yes'), () => {
    add('bank', wordFor('bank-1', 'bank'), { packs: group.filter(({ pack }) => members.has(pack)).map(({ pack }) => pack.name).join(', '), unit: freeUnit() });
    renew();
  }, { class: 'primary' });
  return el('section', { class: 'card ask' }, el('h2', {}, t('g_parallel')), el('p', {}, t('g_parallel_why')), el('ul', { class: 'picks' }, ...rows), yes);
}

export function names() {
  const self = { isDone: () => sections('pack').length > 0 }, list = el('div'), banks = el('div');
  const renewBanks = () => banks.replaceChildren(...parallels().map(group => proposal(group, renew)), ...sections('bank').map(bank => bankCard(bank, renew)));
  // The element that the user acted on keeps the focus; if it is gone, the screen gets it.
  function renew(pack, by) {
    const cards = sections('pack').map(p => packCard(p, renew, renewBanks));
    list.replaceChildren(...cards.length ? cards : [el('p', { class: 'note' }, t('no_packs'))]);
    renewBanks();
    if (pack) cards.find(card => card.pack === pack.self).querySelector(`[data-by="${canMove(pack, by) ? by : -by}"]`).focus();
    else if (self.node) document.getElementById('main').focus({ preventScroll: true });
    self.onchange?.();
  }
  renew();
  self.node = el('div', {}, el('section', { class: 'card' }, field(t('g_gateway_name'), text(general.get('name'), value => general.set('name', value)), t('g_gateway_name_why')), allKeys([[general, ['name']]])), list, banks);
  return self;
}
