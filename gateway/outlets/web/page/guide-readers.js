// SPDX-License-Identifier: MIT
// Set-up, screen 4: the readers of the values. Each is tried before it is saved.
import { el } from './dom.js';
import { packs } from './packs.js';
import { act, api, button, every, field, status } from './guide-parts.js';
import { add, draft, edits, place, sections, wordFor } from './guide-draft.js';
import { allKeys, keyField, secretField } from './guide-keys.js';
import { modbusHow } from './setup.js';
import { COLON, hasText, t } from './words.js';

const LOOK_S = .7;

// The first fields of each kind; `scheme` is added to an address without one.
const KINDS = [
  { kind: 'mqtt', word: 'home', keys: { broker: 'g_broker', user: 'g_user' }, scheme: { broker: 'mqtt://' }, secret: 'password_file', preset: { broker: 'mqtt://homeassistant.local' } },
  { kind: 'influx', word: 'database', keys: { url: 'address', user: 'g_user' }, scheme: { url: 'http://' }, secret: 'password_file' },
  { kind: 'notify', word: 'phone', keys: { type: 'g_service', url: 'address', user: 'g_user' }, secret: 'key_file', preset: { type: 'ntfy', url: 'https://ntfy.sh/' } },
];

const SIGNS = { true: '✓', false: '✗', null: '–' };

let abandon = null;   // stops the running trial: the gateway runs one at a time

/** Runs a trial and shows its steps. Resolves to whether all succeeded; null if another trial has replaced it. */
function trial() {
  const list = el('ol', { class: 'steps-of' }), node = el('div', { role: 'status' }, list);
  node.run = async what => {
    abandon?.();
    list.replaceChildren(el('li', {}, t('g_trying')));
    await api('try', what);
    return new Promise(done => {
      let isMine = true;
      const end = good => {
        isMine = false;
        if (abandon === leave) abandon = null;
        done(good);
      };
      const leave = abandon = () => {
        stop();
        list.replaceChildren();
        end(null);
      };
      const stop = every(LOOK_S, async () => {
        let now;
        try {
          now = await api('try');
        } catch (error) {
          if (!error.status) return false;
          const errors = (error.said.remarks ?? []).filter(r => r.level === 'error').map(r => r.text);
          now = { running: false, steps: [{ name: 'settings', ok: false, text: errors.join('; ') || error.message }] };
        }
        if (!isMine) return true;
        const { running, steps = [] } = now;
        list.replaceChildren(...steps.map(s => el('li', { 'data-ok': String(s.ok) }, el('b', { 'aria-hidden': 'true' }, SIGNS[s.ok]),
          el('span', {}, hasText('g_try_' + s.name) ? t('g_try_' + s.name) : s.name, s.ok === false ? `${COLON} ${t('g_failed')}` : ''),
          s.text ? el('small', { lang: 'en' }, s.text) : null)), ...running && !steps.length ? [el('li', {}, t('g_trying'))] : []);
        if (!running) end(steps.length > 0 && steps.every(s => s.ok !== false));
        return !running;
      });
    });
  };
  return node;
}

// One section, new or of the file: its fields, its trial, and the result.
function reader({ kind, keys, scheme = {}, secret }, section, onchange, renew) {
  const said = status(), result = trial(), rows = draft.keys[kind] ?? [];
  const first = Object.entries(keys).map(([key, word]) => [rows.find(row => row.key === key), word]).filter(([row]) => row);
  const wanted = () => JSON.stringify(edits([section])), id = place(section.self), hasNone = () => !edits([section]).length;
  const settle = isGood => {
    if (isGood) draft.held.delete(id);
    else draft.held.add(id);
    anyway.hidden = true;
    onchange();
  };
  const anyway = button(t('g_anyway'), () => {
    draft.tried.set(id, wanted());
    settle(true);
    said.say(t('g_in_draft'));
  }, { hidden: true });
  const go = act(t('g_try'), async () => {
    const tried = wanted(), good = await result.run({ kind, name: section.name, edits: edits([section]) });
    if (good == null) return;
    if (tried !== wanted()) return said.say(t('g_changed'));
    if (good) draft.tried.set(id, tried);
    settle(good || hasNone());
    said.say(!good ? t('g_not_in_draft') : hasNone() ? '' : t('g_in_draft'));
    anyway.hidden = good || hasNone();
  }, said, { class: 'primary' });
  const node = el('form', {
    class: 'reader', onsubmit: event => event.preventDefault(), onchange({ target }) {
      const start = scheme[target.dataset.key], text = target.value.trim();
      if (start && text && !text.includes('://')) section.set(target.dataset.key, target.value = start + text);
    }, oninput() {
      // Held again unless these exact edits were tried with success.
      settle(hasNone() || draft.tried.get(id) === wanted());
      said.say('');
    },
  }, el('div', { class: 'row' }, ...first.map(([row, word]) => keyField(section, { ...row, help: null }, t(word))), secretField(section, secret)),
  allKeys([[section, [...Object.keys(keys), secret]]]), el('div', { class: 'bar' }, go, anyway, button(t('g_remove'), () => {
    draft.held.delete(id);
    section.remove();
    renew();
  }, { 'aria-label': `${t('g_remove')}: ${section.name}` })), result, said);
  return node;
}

function outlet(spec, onchange) {
  const node = el('section', { class: 'card', 'data-kind': spec.kind }), open = [];
  const renew = () => {
    open.length = 0;
    const list = sections(spec.kind);
    open.push(...list.map(section => reader(spec, section, onchange, renew)));
    node.replaceChildren(el('h2', {}, t('g_' + spec.kind)), el('p', { class: 'hint' }, t(`g_${spec.kind}_why`)), ...open,
      button(t('g_add'), () => {
        draft.held.add(place(add(spec.kind, wordFor(spec.word, spec.kind), { ...spec.preset }).self));
        renew();
        open.at(-1).querySelector('input, select')?.focus();
      }));
    onchange();
  };
  renew();
  return node;
}

// Waits for a request of a Modbus client, which proves that network and firewall let it through.
function modbus(onchange) {
  const said = status(), result = trial(), line = el('div'), pack = sections('pack')[0];
  const unit = pack?.get('unit') || [...packs.values()][0]?.shape.texts.unit || 1;
  fetch('api/v1/gateway').then(response => response.json()).then(g => line.replaceChildren(...modbusHow(g, unit), pack?.isNew ? el('p', { class: 'hint' }, t('g_modbus_new')) : '')).catch(() => {});
  const node = el('section', { class: 'card', 'data-kind': 'modbus' }, el('h2', {}, 'Modbus TCP'), line, act(t('g_wait'), async () => {
    if (await result.run({ kind: 'modbus', edits: [] })) draft.tried.set('modbus', '');
    onchange();
  }, said), result, said);
  return node;
}

// Not a reader, but what the charts read.
function history() {
  const list = sections('history');
  return list.length ? el('section', { class: 'card' }, el('h2', {}, t('g_history')), el('p', { class: 'hint' }, t('g_history_why')), allKeys(list.map(s => [s, []]))) : null;
}

export function readers() {
  const self = { isDone: () => draft.tried.size > 0 }, changed = () => self.onchange?.();
  const cards = [outlet(KINDS[0], changed), modbus(changed), ...KINDS.slice(1).map(spec => outlet(spec, changed))];
  self.node = el('div', {}, ...cards, history());
  self.close = () => {
    abandon?.();
  };
  return self;
}
