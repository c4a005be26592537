// SPDX-License-Identifier: MIT
// The page of packgate: chooses the view, and shows banner and theme. Views are modules; charts, set-up and the report are
// fetched when they are opened.
import { $, el, setAttribute, setText, store } from './dom.js';
import { span } from './numbers.js';
import { gatewayName, hasAnswered, hasSession, isOffline, levelOf, load, say, silence, singles, watch } from './packs.js';
import { now } from './now.js';
import { pack } from './pack.js';
import { noAnswer, nothingOf, silentView } from './parts.js';
import { language, speak, t } from './words.js';

const RETRY_MS = 3000;
const THEMES = ['auto', 'light', 'dark'];
let view = null, turn = 0, isDrawing = false;

// Draws at most once per frame, however many events arrive.
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    view?.show?.();
    status();
  });
}

function status() {
  const away = isOffline(), state = away ? 'offline' : hasAnswered() ? 'live' : 'connecting', alarms = singles().filter(levelOf).length;
  setAttribute($('live'), 'data-state', state);
  setText($('live').lastElementChild, t(state));
  $('session').hidden = !hasSession();
  if ($('banner').hidden === away) {
    // Screen readers announce this once; only the banner counts the seconds.
    $('banner').hidden = !away;
    say(t(state));
  }
  if (away) setText($('banner'), t('offline_long', span(silence())));
  const title = (alarms ? `(${alarms}!) ` : '') + (away ? '⚠ ' : '') + (view?.title ? view.title + ' · ' : '') + gatewayName;
  setText(document.querySelector('.brand span'), gatewayName);
  if (document.title !== title) document.title = title;
}

// Addresses: '' is Now, '#shed' a pack (Home Assistant links to it), '#/charts/shed…' (see charts.js), '#/setup', '#/setup/at/events',
// '#/setup/ports', '#/report/house/2026-11'.
function place() {
  const [first, second, third, ...parts] = location.hash.slice(1).split('/').map(part => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return first ? { name: 'now', pack: first } : { name: second || 'now', pack: third, parts };
}

async function make({ name, pack: chosen, parts }) {
  if (name === 'charts') return (await import('./charts.js')).charts(chosen, parts);
  if (name === 'setup') return chosen && chosen !== 'at' ? (await import('./guide.js')).guide(chosen) : (await import('./setup.js')).setup(parts[0]);
  if (name === 'report') return (await import('./report.js')).report(chosen, parts);
  if (name !== 'now') return nothingOf(location.hash, t('unknown_view'), el('a', { class: 'button', href: '#' }, '‹ ', t('back')));
  return chosen ? pack(chosen) : now();
}

async function route(isSamePlace) {
  const mine = ++turn, here = place();
  for (const link of document.querySelectorAll('nav a')) setAttribute(link, 'aria-current', link.dataset.view === here.name ? 'page' : null);
  if (view?.go?.(here)) return;
  let next;
  try {
    next = await make(here);
  } catch {
    next = silentView(t(here.name));
  }
  if (mine !== turn) return next.close?.();
  view?.close?.();
  const isFirst = !view;
  view = next;
  $('main').replaceChildren(view.node);
  if (!isFirst && !isSamePlace) {
    $('main').focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  draw();
}

function theme(choice) {
  setAttribute(document.documentElement, 'data-theme', choice === 'auto' ? null : choice);
  store.set('theme', choice);
  setAttribute($('theme'), 'aria-label', t('theme_' + choice));
  setAttribute($('theme'), 'title', t('theme_' + choice));
  view?.retheme?.();
}

// What is on every view.
function translate() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll('[data-t]')) setText(node, t(node.dataset.t));
  for (const name of ['aria-label', 'title']) setAttribute($('session'), name, t('logged_in'));
  theme(store.get('theme', 'auto'));
  status();
}

// The browser says so when its languages change, and Setup when one is chosen. The view is made anew, and a draft of the set-up stays.
addEventListener('languagechange', async () => {
  try {
    await speak();
  } catch {
    return;   // the gateway does not answer: the page speaks it when it is loaded the next time
  }
  translate();
  view?.close?.();
  view = null;
  route();
});

translate();
$('theme').addEventListener('click', () => theme(THEMES[(THEMES.indexOf(store.get('theme', 'auto')) + 1) % THEMES.length]));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => view?.retheme?.());
addEventListener('hashchange', () => route());

// A new configuration rebuilds Now; an open chart or form stays.
watch({ drawn: draw, reshaped: () => view && place().name === 'now' && route(true) });

async function start() {
  try {
    await load();
  } catch {
    setAttribute($('live'), 'data-state', 'offline');
    setText($('live').lastElementChild, t('offline'));
    $('main').replaceChildren(noAnswer(gatewayName));
    setTimeout(start, RETRY_MS);
    return;
  }
  await route();
}
start();
