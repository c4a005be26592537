// SPDX-License-Identifier: MIT
// What the screens of the set-up share: asking the gateway, fields, buttons, and what is said beside them.
import { el, setText } from './dom.js';
import { t } from './words.js';

const RELOAD_S = 10;

/** Asks the gateway: GET without a body. Throws an error with `status` and what the gateway says of it. */
export async function api(path, body) {
  let response;
  try {
    response = await fetch('api/v1/setup/' + path, body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error(t('offline')), { status: 0 });
  }
  const isJson = /json/.test(response.headers.get('Content-Type')), said = isJson ? await response.json().catch(() => ({})) : await response.text();
  if (response.ok) return said;
  // Not this edit, or is the session over? Then back to the door, with the draft.
  if (response.status === 403 && path !== 'arm' && !(await api('state').catch(() => ({ yours: true }))).yours) location.hash = '#/setup/start';
  throw Object.assign(new Error(said.error || `${response.status}`), { status: response.status, said });
}

/** Asks again while the page's process is on its way back from a reload of the gateway. */
export async function patient(path, body) {
  for (const begun = performance.now(); ;)
    try {
      return await api(path, body);
    } catch (error) {
      if (performance.now() - begun > 1000 * RELOAD_S || ![0, 503].includes(error.status)) throw error;
      await new Promise(done => setTimeout(done, 1000));
    }
}

/** Calls `look` until it returns true or the screen is gone. */
export function every(seconds, look) {
  let isOver = false, timer = null;
  const again = async () => {
    if (isOver || await look()) return;
    timer = setTimeout(again, 1000 * seconds);
  };
  again();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** What went wrong, or went well, beside what a person has just done. */
export function status() {
  const node = el('p', { role: 'status', class: 'said' });
  node.say = words => setText(node, words ?? '');
  return node;
}

/** A label above a field; `hint` below it. `write` is called with what a person has entered. */
export function field(label, input, hint) {
  input.id ||= 'f' + field.count++;
  const below = hint && el('small', { id: input.id + 'h' }, hint);
  if (below) input.setAttribute('aria-describedby', below.id);
  return el('div', { class: 'entry' }, el('label', { for: input.id }, label), input, below);
}
field.count = 1;

export const button = (words, onclick, properties = {}) => el('button', { type: 'button', onclick, ...properties }, words);

/** A button that is dead while it acts, and says what went wrong. */
export function act(words, work, said, properties) {
  const node = button(words, async () => {
    node.disabled = true;
    said.say('');
    try {
      await work();
    } catch (error) {
      said.say(error.message);
    }
    node.disabled = false;
  }, properties);
  return node;
}
