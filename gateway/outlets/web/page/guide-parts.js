// SPDX-License-Identifier: MIT
// Shared by the screens of the set-up: requests to the gateway, fields, buttons, and messages.
import { el, setText } from './dom.js';
import { t } from './words.js';

const RELOAD_S = 10;
const PROXY_ALONE = [502, 504];   // a proxy answers in place of the page, which restarts

/** Sends a request: GET without a body, else POST. Throws an error with `status`, and the answer as `said`. */
export async function api(path, body) {
  const response = await fetch('api/v1/setup/' + path, body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).catch(() => null);
  if (!response || PROXY_ALONE.includes(response.status)) throw Object.assign(new Error(t('offline')), { status: 0 });
  const isJson = /json/.test(response.headers.get('Content-Type')), said = isJson ? await response.json().catch(() => ({})) : await response.text();
  if (response.ok) return said;
  // Either this edit is forbidden, or the session is over: then back to the start, with the draft kept.
  if (response.status === 403 && path !== 'arm' && !(await api('state').catch(() => ({ yours: true }))).yours) location.hash = '#/setup/start';
  throw Object.assign(new Error(said.error || `${response.status}`), { status: response.status, said });
}

/** Retries while the page's process restarts because of a reload of the gateway. */
export async function patient(path, body) {
  for (const begun = performance.now(); ;)
    try {
      return await api(path, body);
    } catch (error) {
      if (performance.now() - begun > 1000 * RELOAD_S || ![0, 503].includes(error.status)) throw error;
      await new Promise(done => setTimeout(done, 1000));
    }
}

/** Calls `look` repeatedly until it returns true. Returns a function that stops it. */
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

/** A message about the result of an action. */
export function status() {
  const node = el('p', { role: 'status', class: 'said' });
  node.say = words => setText(node, words ?? '');
  return node;
}

/** A label above a field, and `hint` below it. */
export function field(label, input, hint) {
  input.id ||= 'f' + field.count++;
  const below = hint && el('small', { id: input.id + 'h' }, hint);
  if (below) input.setAttribute('aria-describedby', below.id);
  return el('div', { class: 'entry' }, el('label', { for: input.id }, label), input, below);
}
field.count = 1;

export const button = (words, onclick, properties = {}) => el('button', { type: 'button', onclick, ...properties }, words);

/** A button that is disabled while `work` runs, and shows its error in `said`. */
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
