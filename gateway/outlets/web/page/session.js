// SPDX-License-Identifier: MIT
// Logging in, and the actions that need it: tunnels, and switching, which is shown as done only after the BMS has confirmed it.
import { el, setText } from './dom.js';
import { span } from './numbers.js';
import { hasSession, load } from './packs.js';
import { t } from './words.js';

const LOGIN = Symbol('log in first');

// load() after each request, because it may have begun, extended or ended a session.
async function post(path, body) {
  const response = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  await load().catch(() => {});
  return response;
}

/** Returns null after success, else the text of the error. */
export async function login(password) {
  const response = await post('api/v1/login', { password });
  if (response.ok) return null;
  if (response.status === 429) return t('too_often', span(Number(response.headers.get('Retry-After')) || 60));
  if (response.status === 401) return t('wrong_password');
  const { error = '' } = await response.json().catch(() => ({}));
  return /password_file/.test(error) ? t('no_login') : `${t('not allowed')}: ${error}`;
}

export const logout = () => post('api/v1/logout', {});

export const passwordField = id => el('input', { type: 'password', autocomplete: 'current-password', id, required: true });
/** A hidden user name beside a password, which password managers need. */
export const userField = () => el('input', { type: 'text', autocomplete: 'username', value: 'packgate', hidden: true });
export const isPlain = () => location.protocol !== 'https:' && !/^(localhost|127\.|\[::1\])/.test(location.hostname);

const refusal = async response => `${t('not allowed')}: ${(await response.json().catch(() => ({}))).error || ''}`;

async function order(name, which, value) {
  const response = await post(`api/v1/packs/${encodeURIComponent(name)}/switch`, { [which + '_mos']: value });
  if (response.ok) return t('confirmed');
  if (response.status === 409) return t(/busy/.test(await response.text()) ? 'busy' : 'refused');
  return { 401: LOGIN, 503: t('too_late'), 504: t('no answer') }[response.status] || refusal(response);
}

async function tunnel(name, time) {
  const response = await post(`api/v1/tunnels/${encodeURIComponent(name)}`, { for: time });
  return response.ok ? '' : { 401: LOGIN, 503: t('too_late'), 504: t('offline') }[response.status] || refusal(response);
}

// A dialog that explains an action, asks for the password if needed, and runs `act`, which resolves to the text of the result, or to
// LOGIN. It closes by itself if isGood(text).
function ask({ question, why, verb, waiting, act, isGood, after }) {
  const field = passwordField('pass'), result = el('p', { role: 'status' });
  const access = el('div', { hidden: hasSession() }, el('label', { for: 'pass' }, t('password')), field, isPlain() ? el('p', { class: 'hint' }, t('clear_text')) : null);
  field.required = !hasSession();
  async function go(event) {
    event.preventDefault();
    yes.disabled = true;
    setText(result, waiting);
    try {
      const wrong = hasSession() ? null : await login(field.value);
      const said = wrong ?? await act();
      if (said === LOGIN) {
        access.hidden = false;
        field.required = true;
        field.focus();
      }
      setText(result, said === LOGIN ? t('login_again') : said);
      if (wrong == null && isGood(said)) setTimeout(() => box.close(), said ? 1500 : 0);
    } catch {
      setText(result, t('offline'));
    }
    field.value = '';
    yes.disabled = false;
  }
  const yes = el('button', { type: 'submit', class: 'primary' }, verb);
  const box = el('dialog', { 'aria-labelledby': 'asktitle', onclose() { box.remove(); after?.(); } }, el('form', { onsubmit: go },
    userField(), el('h2', { id: 'asktitle' }, question), el('p', {}, why), access, result,
    el('div', { class: 'bar' }, el('button', { type: 'button', onclick: () => box.close() }, t('cancel')), el('span', { class: 'push' }), yes)));
  document.body.append(box);
  box.showModal();
}

export function askSwitch(p, which) {
  const on = !p.values[which + '_mos'];
  ask({
    question: t(on ? 'ask_on' : 'ask_off', t(which), p.title), why: `${t(`why_${which}_${on ? 'on' : 'off'}`)} ${t('ask_why')}`, verb: t(on ? 'turn_on' : 'turn_off'), waiting: t('asking'),
    act: () => order(p.pack, which, +on), isGood: said => said === t('confirmed'),
  });
}

/** Asks before opening a tunnel for `time`, such as "10m"; "0s" closes it. */
export function askTunnel(name, line, time, after) {
  const isOpening = time !== '0s';
  ask({
    question: t(isOpening ? 'ask_tunnel' : 'ask_no_tunnel', name), why: t(isOpening ? 'tunnel_why' : 'tunnel_end', line),
    verb: t(isOpening ? 'open_tunnel' : 'close_tunnel'), waiting: t('loading'), act: () => tunnel(name, time), isGood: said => said === '', after,
  });
}
