// SPDX-License-Identifier: MIT
// Set-up in the browser: opens it with a code or a password, and leads through its seven screens. Nothing is changed before Apply, and
// nothing permanently before Keep.
import { el, setText } from './dom.js';
import { copyable } from './copy.js';
import { isOffline, listen } from './packs.js';
import { span } from './numbers.js';
import { silentView } from './parts.js';
import { isPlain, login, passwordField, userField } from './session.js';
import { begin, draft, edits } from './guide-draft.js';
import { api, button, field, patient, status } from './guide-parts.js';
import { names, ports, search } from './guide-find.js';
import { readers } from './guide-readers.js';
import { files, liveCards, review } from './guide-save.js';
import { COLON, addWords, t } from './words.js';

await addWords('guide-text');

// The draft is only in this page: a reload or a closed tab loses it.
addEventListener('beforeunload', event => {
  if (edits().length || draft.held.size) event.preventDefault();
});

const STEPS = { ports, search, names, readers, review, live: liveCards, files };
const ORDER = Object.keys(STEPS);
const hrefOf = step => '#/setup/' + step;

async function arm(code, said) {
  try {
    await api('arm', { code });
    location.hash = hrefOf('ports');
  } catch (error) {
    said.say(error.status === 403 ? t('g_code_wrong') : error.status === 429 ? t('too_often', span(60)) : error.message);
  }
}

// The first screen: how to open set-up, and the field for the code. The address that the command prints contains the code.
function start(state, offered) {
  const said = status(), code = el('input', { type: 'text', autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false', required: true });
  const form = el('form', {
    onsubmit(event) {
      event.preventDefault();
      arm(code.value.toLowerCase().replace(/[^a-z0-9]/g, ''), said);
    },
  }, field(t('g_code'), code), el('button', { type: 'submit', class: 'primary' }, t('g_open')), isPlain() ? el('p', { class: 'hint' }, t('clear_text')) : null, said);
  if (offered) {
    code.value = offered;
    arm(offered, said);
  }
  const pass = passwordField('guide-pass'), wrong = status();
  const enter = state.login ? el('form', {
    async onsubmit(event) {
      event.preventDefault();
      const words = await login(pass.value).catch(() => t('offline'));
      pass.value = '';
      wrong.say(words);
      if (words == null) location.hash = hrefOf('ports');
    },
  }, userField(), el('label', { for: 'guide-pass' }, t('password')), pass, el('button', { type: 'submit' }, t('login')), wrong) : null;
  return [enter, el('p', {}, t('g_start')), copyable(state.command || 'sudo packgate setup'),
    state.taken ? el('p', { class: 'note' }, t('g_other')) : null, form];
}

function bar(step) {
  return el('nav', { class: 'way', 'aria-label': t('setup') }, el('ol', {}, ...ORDER.map((name, i) => el('li', {},
    el('a', { href: hrefOf(name), 'aria-current': name === step ? 'step' : null }, el('b', {}, String(i + 1)), el('span', {}, t('g_' + name)))))));
}

// `isHeld`: the screen needs an answer first; `isLast`: the screen itself has the button that leads on.
function feet(step, { isDone, isHeld, isLast }) {
  const at = ORDER.indexOf(step), next = el('a', { class: 'button' });
  const node = el('p', { class: 'bar feet' }, at ? el('a', { class: 'button', href: hrefOf(ORDER[at - 1]) }, t('g_back')) : null, el('span', { class: 'push' }), next);
  node.renew = () => {
    if (at === ORDER.length - 1) {
      next.href = '#';
      next.onclick = () => api('leave', {}).catch(() => {});
    } else next.href = hrefOf(ORDER[at + 1]);
    const done = isDone?.();
    node.hidden = !!isHeld?.();
    next.hidden = !!isLast?.();
    setText(next, at === ORDER.length - 1 ? t('g_finish') : done ? t('g_next') : t('g_skip'));
    next.className = done ? 'button primary' : 'button';
  };
  node.renew();
  return node;
}

// Fetches the style with the first screen.
function dress() {
  if (document.getElementById('guide-style')) return null;
  return new Promise(done => document.head.append(el('link', { id: 'guide-style', rel: 'stylesheet', href: new URL('guide.css', import.meta.url).href, onload: done, onerror: done })));
}

async function prepare(by) {
  draft.by = by;
  if (draft.config) return;
  const [config, keys] = await Promise.all([patient('config'), patient('keys')]);
  draft.keys = keys;
  begin(config);
}

/** `step`: "start" or a screen. */
export async function guide(step) {
  listen([]);
  await dress();
  if (isOffline()) return silentView(t('setup'));
  let state;
  try {
    state = await patient('state');
  } catch (error) {
    if ([0, 503].includes(error.status)) return silentView(t('setup'));
    const isNone = error.status === 404;
    return { title: t('setup'), node: el('p', { class: 'empty' }, isNone ? t('no_packs_next', 'packgate probe') : error.message, ' ',
      isNone ? null : button(t('g_again'), () => dispatchEvent(new HashChangeEvent('hashchange')))) };
  }
  const isIn = state.armed && state.yours, offered = location.hash.split('/')[3];
  // A configuration that is not kept yet takes precedence over every other screen.
  const at = !isIn ? 'start' : state.pending ? 'live' : step in STEPS ? step : 'ports';
  // Removes the code from the address, so that it does not stay in the browser's history.
  if (location.hash !== hrefOf(at)) history.replaceState(null, '', hrefOf(at));
  const heading = el('h1', {}, at === 'start' ? t('setup') : t('g_' + at)), node = el('div', { class: 'guide' });
  if (at === 'start') {
    node.append(heading, el('section', { class: 'card' }, ...start(state, offered && decodeURIComponent(offered)).filter(Boolean)));
    return { title: t('setup'), node };
  }
  await prepare(state.by);
  const screen = STEPS[at](state), foot = feet(at, screen);
  screen.onchange = foot.renew;
  node.append(bar(at), heading, el('p', { class: 'hint' }, t(`g_${at}_why`)), screen.node, foot);
  return { title: `${t('setup')}${COLON} ${t('g_' + at)}`, node, show: screen.show, close: screen.close };
}
