// SPDX-License-Identifier: MIT
// Logging in, and switching: asked for, carried out by the BMS, and shown only when the BMS confirms.
import { el, setText } from './dom.js';
import { span } from './numbers.js';
import { t } from './words.js';

let isLoggedIn = false; // as far as this page knows; the gateway has the last word

const post = (path, body) => fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

/** Null when it went well, else the words for what is wrong. */
export async function login(password) {
  const response = await post('api/v1/login', { password });
  isLoggedIn = response.ok;
  if (response.ok) return null;
  if (response.status === 429) return t('too_often', span(Number(response.headers.get('Retry-After')) || 60));
  if (response.status === 401) return t('wrong_password');
  const { error = '' } = await response.json().catch(() => ({}));
  return /password_file/.test(error) ? t('no_login') : `${t('not allowed')}: ${error}`;
}

export async function logout() {
  isLoggedIn = false;
  await post('api/v1/logout', {});
}

export const hasSession = () => isLoggedIn;
export const noteSession = known => { isLoggedIn = known; };

export const passwordField = id => el('input', { type: 'password', autocomplete: 'current-password', id, required: true });
/** Beside a password, for those who keep it for you: they want a name for it. */
export const userField = () => el('input', { type: 'text', autocomplete: 'username', value: 'packgate', hidden: true });
export const isPlain = () => location.protocol !== 'https:' && !/^(localhost|127\.|\[::1\])/.test(location.hostname);

async function order(name, which, value) {
  const response = await post(`api/v1/packs/${encodeURIComponent(name)}/switch`, { [which + '_mos']: value });
  if (response.ok) return 'confirmed';
  const body = await response.json().catch(() => ({}));
  if (response.status === 409) return /busy/.test(body.error) ? 'busy' : 'refused';
  return { 401: 'login', 504: 'no answer' }[response.status] || `${t('not allowed')}: ${body.error || ''}`;
}

/** A dialog that says what may go dark, asks for the password where that is needed, and waits for the BMS. */
export function askSwitch(p, which) {
  const on = !p.values[which + '_mos'], field = passwordField('pass'), result = el('p', { role: 'status' });
  const access = el('div', { hidden: isLoggedIn }, el('label', { for: 'pass' }, t('password')), field, isPlain() ? el('p', { class: 'hint' }, t('clear_text')) : null);
  field.required = !isLoggedIn;
  async function go(event) {
    event.preventDefault();
    yes.disabled = true;
    setText(result, t('asking'));
    try {
      const wrong = isLoggedIn ? null : await login(field.value);
      const said = wrong ? null : await order(p.pack, which, +on);
      if (said === 'login') {
        isLoggedIn = false;
        access.hidden = false;
        field.required = true;
        field.focus();
      }
      setText(result, wrong || (said === 'login' ? t('login_again') : t(said)));
      if (said === 'confirmed') setTimeout(() => box.close(), 1500);
    } catch {
      setText(result, t('offline'));
    }
    field.value = '';
    yes.disabled = false;
  }
  const yes = el('button', { type: 'submit', class: 'primary' }, t(on ? 'turn_on' : 'turn_off'));
  const box = el('dialog', { 'aria-labelledby': 'asktitle', onclose: () => box.remove() }, el('form', { onsubmit: go },
    userField(), el('h2', { id: 'asktitle' }, t(on ? 'ask_on' : 'ask_off', t(which), p.pack)), el('p', {}, t('ask_why')), access, result,
    el('div', { class: 'bar' }, el('button', { type: 'button', onclick: () => box.close() }, t('cancel')), el('span', { class: 'push' }), yes)));
  document.body.append(box);
  box.showModal();
}
