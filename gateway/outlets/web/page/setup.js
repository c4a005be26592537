// SPDX-License-Identifier: MIT
// Setup: the gateway, its connections, events and configuration, and how other programs connect to it. It only shows values and offers
// files, and changes nothing but settings of this browser; guide.js changes the configuration.
import { el, icon, setText, store } from './dom.js';
import { copyable } from './copy.js';
import { clock, facts, number, span } from './numbers.js';
import { gatewayTime, hasSession, isBank, isOffline, listen, packs, titleOf } from './packs.js';
import { hrefOf, noAnswer } from './parts.js';
import { askTunnel, isPlain, login, logout, passwordField, userField } from './session.js';
import { COLON, LANGUAGES, hasText, t } from './words.js';

const RENEW_S = 10;
const EVENTS_SHOWN = 12;

// Files of `packgate map --format`, the most common first.
export const FILES = [
  ['homeassistant.yaml', 'Home Assistant (Modbus)'], ['homeassistant-basic.yaml', 'Home Assistant (Modbus, few)'],
  ['homeassistant-cells.yaml', 'Home Assistant (Modbus, cells)'], ['evcc.yaml', 'evcc'], ['telegraf.conf', 'Telegraf'],
  ['nodered.json', 'Node-RED'], ['iobroker.tsv', 'ioBroker'], ['tasmota.txt', 'Tasmota'], ['tasmota-display.txt', 'Tasmota (display)'],
  ['mbpoll.txt', 'mbpoll'], ['register-map.md', 'Markdown'], ['map.csv', 'CSV'], ['map.json', 'JSON'],
];

// Each cell has the name of its column, because rows become cards on a narrow screen, without what is not known.
function table(caption, heads, rows) {
  return el('table', {}, el('caption', { class: 'vh' }, caption), el('thead', {}, el('tr', {}, ...heads.map(h => el('th', { scope: 'col' }, t(h))))),
    el('tbody', {}, ...rows.map(cells => el('tr', {}, ...cells.map((cell, i) =>
      el(i ? 'td' : 'th', { class: cell == null ? 'none' : ['problem', 'says', 'action'].includes(heads[i]) ? 'says' : null, 'data-head': t(heads[i]), scope: i ? null : 'row' }, cell ?? '–'))))));
}

const count = n => n == null ? null : number(n);
// The state of a part of a gateway that is silent is unknown.
const pill = state => isOffline() ? '–' : el('span', { class: 'pill ' + state }, hasText('is_' + state) ? t('is_' + state) : state);
const problem = (words, at) => words ? el('span', { class: 'problem' }, icon('warning'), at ? `${clock(at, true)}${COLON} ${words}` : words) : null;

// An event in the reader's language; words unknown here are shown as the gateway sends them.
function eventWords(e) {
  const name = e.name && hasText(e.name) ? t(e.name) : e.name || '', on = e.active ?? e.text !== 'off';
  switch (e.kind) {
  case 'alarm': return on ? name : `${name}${COLON} ${t('ended')}`;
  case 'stale': return t('f_stale');
  case 'back': return t('answers_again');
  case 'started': return t('started');
  // An order that writes a setting has no text.
  case 'switched': return [e.text ? t('switched', name, t(e.text)) : name, e.confirmed ? null : t('not_confirmed'), e.from].filter(Boolean).join(', ');
  default: return hasText(e.kind) ? t(e.kind) : [e.kind, name, e.text].filter(Boolean).join(' ');
  }
}

function eventRow(e) {
  const isAlarm = e.kind === 'alarm' && (e.active ?? e.text !== 'off'), level = isAlarm && (e.level === 'protection' ? 'protection' : 'warning');
  const shape = level || (e.kind === 'stale' ? 'stale' : null);
  return [clock(e.time ?? e.t, true), e.pack ? titleOf(e.pack) : null, el('span', { class: level || null }, shape ? icon(shape) : null, eventWords(e))];
}

function events(list) {
  const body = el('div'), more = el('button', { type: 'button', onclick: () => { isAll = true; show(); } }, t('all'));
  let isAll = false;
  const show = () => {
    body.replaceChildren(list.length ? table(t('events'), ['time', 'pack', 'what'], (isAll ? list : list.slice(0, EVENTS_SHOWN)).map(eventRow))
      : el('p', { class: 'hint' }, t('no_events')));
    more.hidden = isAll || list.length <= EVENTS_SHOWN;
  };
  const node = el('div', {}, body, more);
  node.renew = next => {
    list = next;
    show();
  };
  show();
  return node;
}

function configuration(c) {
  const mistakes = new Map(), loose = [];
  for (const m of c.mistakes || []) {
    if (m.line > 0) mistakes.set(m.line, [...mistakes.get(m.line) || [], m.text]);
    else loose.push(m.text);
  }
  const mark = text => el('span', { class: 'mistake' }, icon('warning'), text);
  const lines = (c.text || '').replace(/\n$/, '').split('\n');
  return [el('p', { class: 'hint' }, c.path ? el('code', {}, c.path) : null, ' ', t('config_ro'),
    ...c.in_force === false ? [' ', el('b', {}, t('not_in_force'))] : []), ...loose.map(mark),
  el('ol', { class: 'ini', tabindex: 0, 'aria-label': t('config') }, ...lines.map((line, i) => el('li', { class: /^\s*\[/.test(line) ? 'section' : /^\s*[;#]/.test(line) ? 'remark' : null },
    el('code', {}, line || ' '), ...(mistakes.get(i + 1) || []).map(mark))))];
}

/** How a Modbus client reads `unit`, with the host name of this page; the command reads a register that never changes. */
export function modbusHow(g, unit) {
  const host = location.hostname.replace(/^\[|\]$/g, ''), port = (g.modbus?.listen?.[0] || '').match(/:(\d+)$/)?.[1] || 502;
  return [el('p', {}, t('modbus_how', `${host}:${port}`)), copyable(`mbpoll -m tcp -p ${port} -a ${unit} -0 -1 -t 4 -r ${(g.modbus?.base ?? 290) + 180} -c 1 ${host}\n`)];
}

// How Home Assistant gets the values by MQTT: the sections that there are with their state, or how to make one.
function mqttHow(g) {
  const mqtt = (g.outlets || []).filter(o => o.kind === 'mqtt');
  return mqtt.length ? mqtt.map(o => el('p', {}, t('mqtt_there', o.name), ' ', pill(o.connected ? 'connected' : 'not_connected'), ' ', o.connected ? null : problem(o.error)))
    : [el('p', {}, t('mqtt_how')), copyable('[mqtt home]\nbroker = mqtt://homeassistant.local\nuser = packgate\npassword_file = /run/credentials/packgate.service/mqtt\n')];
}

// How to connect other programs; `mqtt` is filled with mqttHow().
function connections(g, mqtt) {
  const unit = [...packs.values()].find(p => p.shape.texts.unit != null)?.shape.texts.unit ?? 1;
  const how = (title, open, ...children) => el('details', { open }, el('summary', {}, title), ...children);
  const file = ([name, title]) => el('li', {}, el('a', { href: 'api/v1/files/' + name, download: name }, el('span', { 'aria-hidden': 'true' }, '⤓'), el('span', {}, el('b', {}, title), el('small', {}, name))));
  const known = g.files ? FILES.filter(([name]) => g.files.includes(name)).concat(g.files.filter(name => !FILES.some(f => f[0] === name)).map(name => [name, name])) : FILES;
  return [
    how('Home Assistant (MQTT)', true, mqtt),
    how('Modbus TCP', false, ...modbusHow(g, unit)),
    how(t('files'), true, el('p', {}, t('file_how')), el('ul', { class: 'files' }, ...known.map(file))),
    how('Prometheus, Grafana', false, el('p', {}, t('metrics_how')), copyable(`scrape_configs:\n  - job_name: packgate\n    static_configs:\n      - targets: ['${location.host}']\n`)),
    how('JSON', false, el('p', {}, t('api_how')), copyable(`curl ${location.origin}${location.pathname}api/v1/packs\n`)),
  ];
}

// Settings of this browser, and the session.
function thisPage(renew) {
  const choice = el('select', {
    id: 'language', onchange() {
      store.set('language', choice.value);
      dispatchEvent(new Event('languagechange'));
    },
  }, el('option', { value: '', selected: !store.get('language', '') }, t('automatic')),
  ...LANGUAGES.map(code => el('option', { value: code, lang: code, selected: store.get('language', '') === code },
    new Intl.DisplayNames([code], { type: 'language' }).of(code))));
  const field = passwordField('login'), said = el('p', { role: 'status', class: 'hint' });
  const enter = el('button', { type: 'submit' }, t('login')), leave = el('button', { type: 'button', async onclick() { await logout().catch(() => {}); renew(); } }, t('logout'));
  const form = el('form', {
    async onsubmit(event) {
      event.preventDefault();
      enter.disabled = true;
      setText(said, await login(field.value).catch(() => t('offline')) || '');
      field.value = '';
      enter.disabled = false;
      renew();
    },
  }, userField(), el('label', { for: 'login' }, t('password')), el('div', { class: 'bar' }, field, enter), isPlain() ? el('p', { class: 'hint' }, t('clear_text')) : null);
  const node = el('div', {}, el('p', { class: 'field' }, el('label', { for: 'language' }, t('language')), choice), form, leave, said);
  node.renew = () => {
    form.hidden = hasSession();
    leave.hidden = !hasSession();
  };
  return node;
}

// The buttons of a tunnel, which is opened or extended for ten minutes.
const tunnelButtons = (x, renew) => el('span', { class: 'buttons' },
  ...(x.open ? [['0s', 'close_tunnel'], ['10m', 'longer']] : [['10m', 'open_tunnel']]).map(([time, word]) =>
    el('button', { type: 'button', 'data-time': time, onclick: () => askTunnel(x.name, x.line, time, renew) }, t(word))));

const WRONG = '.problem, .mistake, .pill:is(.stale, .never, .no_line, .closed, .not_connected)';

/** `chosen`: the section that the address names. */
export async function setup(chosen) {
  listen([]);
  const wait = el('div', { role: 'status' }, el('p', { class: 'empty' }, t('loading'))), node = el('div', { class: 'setup' }, el('h1', { class: 'vh' }, t('setup')), wait);
  const section = (key, ...children) => {
    const body = el('div', {}, ...children), sign = el('span', { class: 'wrong' }), wide = ['lines', 'packs_h', 'pushes', 'outlets', 'tunnels', 'clients'].includes(key);
    // Headings show the number of problems; this browser remembers which sections are open.
    const fold = el('details', { open: key === chosen || store.get('open.' + key, key === 'gateway' ? 'yes' : '') === 'yes' },
      el('summary', { onclick: () => store.set('open.' + key, fold.open ? 'no' : 'yes') }, el('h2', {}, t(key)), sign), body);
    const card = el('section', { class: wide ? 'card wide' : 'card', 'aria-label': t(key), 'data-section': key }, fold);
    let isFirst = true;
    card.fill = (...next) => {
      card.hidden = !next.some(Boolean);
      body.replaceChildren(...next.filter(Boolean));
      const wrong = new Set([...body.querySelectorAll(WRONG)].map(node => node.closest('tr') ?? node)).size;
      sign.replaceChildren(...wrong ? [icon('warning'), t('mistakes', wrong)] : []);
      if (isFirst && wrong) fold.open = true;
      isFirst = false;
    };
    return card;
  };
  let parts = null, at = 0, dead = false, last = null, wasOffline = false;

  function build(g) {
    const f = facts('version', 'running', 'map_version', 'clients', 'requests', 'exceptions'), page = thisPage(renew), log = events(g.events || []), mqtt = el('div');
    parts = {
      f, page, log, mqtt, lines: section('lines'), packs: section('packs_h'), tunnels: section('tunnels'), pushes: section('pushes'), outlets: section('outlets'), clients: section('clients'),
      config: section('config'), shown: null,
    };
    node.replaceChildren(node.firstChild, el('p', { class: 'bar' }, el('a', { class: 'button', href: '#/setup/ports' }, t('to_guide'))), section('gateway', f.node), section('connect', ...connections(g, mqtt)), section('this_page', page), section('events', log), parts.lines, parts.packs,
      parts.outlets, parts.pushes, parts.tunnels, parts.clients, parts.config);
  }

  function fill(g) {
    const { f } = parts, modbus = g.modbus || {};
    f.version.show(g.version);
    f.running.show(g.started ? span(gatewayTime() - g.started) : null);
    f.map_version.put(g.map_version ?? null);
    f.clients.put(typeof modbus.clients === 'number' ? modbus.clients : null);
    f.requests.put(modbus.requests ?? null);
    f.exceptions.put(modbus.exceptions ?? null);
    parts.lines.fill(g.lines?.length && table(t('lines'), ['name', 'port', 'protocol', 'state', 'polls', 'timeouts', 'damaged', 'reconnects', 'problem'], g.lines.map(l =>
      [l.name, l.port ? el('code', {}, l.port) : null, l.protocol, pill(l.state), count(l.polls), count(l.timeouts), count(l.checksum_errors), count(l.reconnects), problem(l.error, l.error_at)])));
    const more = new Map((g.packs || []).map(p => [p.pack, p]));
    parts.packs.fill(packs.size && table(t('packs_h'), ['name', 'unit', 'line', 'state', 'model', 'serial', 'firmware', 'timeouts', 'problem'], [...packs.values()].map(p => {
      const { texts } = p.shape, known = more.get(p.pack) || {};
      return [el('span', {}, el('a', { href: hrefOf(p.pack) }, p.title), p.title !== p.pack ? el('small', {}, ` ${p.pack}`) : null), String(texts.unit ?? known.unit ?? '–'), isBank(p) ? t('bank') : texts.line ?? known.line, pill(p.state),
        texts.model, texts.serial, texts.firmware, isBank(p) ? null : count(known.timeouts), problem(known.error, known.error_at)];
    })));
    parts.outlets.fill(g.outlets?.length && table(t('outlets'), ['name', 'state', 'published', 'dropped', 'failed', 'says'], g.outlets.map(o =>
      [[o.kind, o.name].filter(Boolean).join(' '), pill(o.running === false ? 'closed' : o.connected ? 'connected' : 'running'), count(o.published), count(o.dropped), count(o.failed), o.connected ? o.error : problem(o.error)])));
    parts.pushes.fill(g.pushes?.length && table(t('pushes'), ['name', 'port', 'state', 'requests', 'confirmed_n', 'failed', 'problem'], g.pushes.map(p =>
      [p.name, el('code', {}, p.target), pill(p.connected ? 'connected' : 'not_connected'), count(p.requests), count(p.confirmed), count(p.failures), problem(p.error)])));
    parts.clients.fill(modbus.connections?.length && table(t('clients'), ['address', 'running', 'requests'], modbus.connections.map(c =>
      [c.address, c.since ? span(gatewayTime() - c.since) : null, count(c.requests)])));
    const mqtt = el('div', {}, ...mqttHow(g));
    if (mqtt.textContent !== parts.mqtt.textContent) parts.mqtt.replaceChildren(...mqtt.childNodes);
    const tunnels = JSON.stringify(g.tunnels);
    if (tunnels !== parts.tunnelsShown) parts.tunnels.fill(g.tunnels?.length && el('p', { class: 'hint' }, t('tunnels_how')), g.tunnels?.length && table(t('tunnels'),
      ['name', 'line', 'address', 'state', 'who', 'action'], g.tunnels.map(x => [x.name, x.line, el('code', {}, x.listen.join(', ')),
        x.open ? el('span', { class: 'pill' }, t('until', clock(x.until))) : el('span', { class: 'pill' }, t('is_closed')), x.client || null, tunnelButtons(x, renew)])));
    parts.tunnelsShown = tunnels;
    parts.log.renew(g.events || []);
    const config = g.config && typeof g.config === 'object' ? g.config : typeof g.config === 'string' ? { text: g.config, mistakes: g.mistakes, path: g.configuration }
      : g.configuration && typeof g.configuration === 'object' ? g.configuration : null;
    parts.page.renew();
    const key = JSON.stringify(config);
    if (key !== parts.shown) parts.config.fill(...config && config.text != null ? configuration(config) : [el('p', { class: 'hint' }, t('config_login'))]);
    parts.shown = key;
  }

  async function renew() {
    at = gatewayTime();
    try {
      const response = await fetch('api/v1/gateway');
      if (!response.ok) throw response.status;
      const g = await response.json();
      if (dead) return;
      if (!parts) build(g);
      last = g;
      fill(g);
    } catch {
      if (!dead && !parts) wait.replaceChildren(noAnswer());
    }
  }
  await renew();
  requestAnimationFrame(() => node.querySelector(`[data-section="${CSS.escape(chosen || '')}"]`)?.scrollIntoView());
  return { title: t('setup'), node, show() {
    if (wasOffline !== (wasOffline = isOffline()) && last) fill(last);
    if (gatewayTime() - at > RENEW_S) renew();
  }, close() { dead = true; } };
}
