// SPDX-License-Identifier: MIT
// Set-up, screens 5 to 7: review of the changes, the running new configuration until it is kept, and files for clients.
import { el, icon, setText } from './dom.js';
import { bank, card } from './cards.js';
import { isBank, listen, load, packs, singles } from './packs.js';
import { act, api, button, every, patient, status } from './guide-parts.js';
import { begin, draft, edits } from './guide-draft.js';
import { FILES } from './setup.js';
import { t } from './words.js';

const LOOK_S = 1;

/* ---- 5: review ---- */

const SIGN_WORDS = { '-': 'g_line_out', '+': 'g_line_in' };
const difference = lines => el('ol', { class: 'diff', 'aria-label': t('g_difference') }, ...lines.map(d => el('li', { 'data-op': d.op },
  el('small', {}, d.line ?? ''), el('b', { 'aria-hidden': 'true' }, d.op), SIGN_WORDS[d.op] ? el('span', { class: 'vh' }, t(SIGN_WORDS[d.op])) : null, el('code', {}, d.text))));

// The differences between two configurations, key by key, without comments.
function since(before, now) {
  const lines = config => new Set(config.sections.flatMap(s => s.keys.map(k => `[${[s.section, s.name].filter(Boolean).join(' ')}] ${k.key} = ${k.value ?? '***'}`)));
  const was = lines(before), is = lines(now);
  return [...[...was].filter(text => !is.has(text)).map(text => ({ op: '-', text })), ...[...is].filter(text => !was.has(text)).map(text => ({ op: '+', text }))];
}

const remarks = list => el('ul', { class: 'remarks' }, ...list.map(r => el('li', { 'data-level': r.level }, icon(r.level === 'error' ? 'protection' : 'warning'),
  el('span', {}, r.line ? `${t('g_line_n', r.line)}: ` : '', el('span', { lang: 'en' }, r.text)))));

// The type is not plain text, for which a browser would add ".txt" to a name without an extension.
function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
  el('a', { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

export function review(state) {
  // Apply replaces the Next button in the corner, so that nobody skips it by accident.
  const node = el('div'), said = status(), self = { node, isLast: () => state.save !== 'download' && edits().length > 0 };
  let checked = null;

  async function check() {
    node.replaceChildren(el('p', { role: 'status' }, t('loading')));
    try {
      checked = await patient('check', { hash: draft.config.hash, edits: edits() });
    } catch (error) {
      checked = null;
      if (error.status === 409) return meanwhile();
      node.replaceChildren(error.said?.remarks ? remarks(error.said.remarks) : el('p', { class: 'note' }, error.message));
      return;
    }
    show();
  }

  // Somebody else has changed the file: shows their changes, and offers to apply the same edits to the new file.
  async function meanwhile() {
    const config = await patient('config'), lines = since(draft.config, config);
    node.replaceChildren(el('section', { class: 'card ask' }, el('h2', {}, t('g_meanwhile')), el('p', {}, t('g_meanwhile_why')), lines.length ? difference(lines) : null,
      act(t('g_on_theirs'), async () => {
        begin(config, true);
        await check();
      }, said, { class: 'primary' }), said));
  }

  async function download() {
    const text = await api('text', { hash: draft.config.hash, edits: edits() }), secrets = edits().filter(e => e.secret);
    save('packgate.ini', text);
    said.say(t('g_downloaded'));
    // The text names files for the secrets, and only this browser has their contents.
    if (secrets.length) said.append(' ', t('g_secret_files'), ...secrets.map(e => {
      const name = text.match(new RegExp(`/(\\d+-${e.section}-${e.name}-${e.key.split('_')[0]})(?=\\s|$)`))[1];
      return button(name, () => save(name, e.secret));
    }));
  }

  async function apply() {
    try {
      draft.applied = (await api('apply', { hash: draft.config.hash, edits: edits() })).hash;
    } catch (error) {
      // An answer without a hash: the file is the same, but another browser's configuration is not kept yet.
      if (error.status === 409 && error.said.hash) return meanwhile();
      if (error.status === 422) return show(error.said.remarks);
      if (error.status === 501) return download();
      const { pending } = await patient('state');
      if (!pending) throw error;
      // The reload may have ended the connection before the answer arrived.
      if (error.status !== 409) draft.applied = pending.hash;
    }
    location.hash = '#/setup/live';
  }

  function show(worse) {
    const { diff = [], remarks: list = [], errors = 0, reload = [], restart = [] } = checked, isSame = !diff.some(d => d.op !== ' ');
    const isFile = state.save === 'download', isRight = !errors && !worse && !isSame;
    node.replaceChildren(...[
      el('section', { class: 'card' }, el('h2', {}, t('g_difference')), isSame ? el('p', {}, t('g_same')) : difference(diff)),
      (worse ?? list).length ? el('section', { class: 'card' }, el('h2', {}, t('g_remarks')), remarks(worse ?? list)) : null,
      isRight && reload.length + restart.length ? el('section', { class: 'card' }, ...reload.length ? [el('h2', {}, t('g_reload')), el('p', {}, reload.join(', '))] : [],
        ...restart.length ? [el('h2', {}, t('g_restart')), el('p', {}, restart.join(', '))] : []) : null,
      draft.held.size ? el('p', { class: 'note' }, t('g_held', [...draft.held].join(', '))) : null,
      errors || worse ? el('p', { class: 'note' }, t('g_wrong')) : null,
      isRight ? el('div', { class: 'bar' }, act(t(isFile ? 'g_download' : 'g_apply'), isFile ? download : apply, said, { class: 'primary' }), el('p', { class: 'hint' }, t(isFile ? 'g_download_why' : 'g_apply_why'))) : null,
      said].filter(Boolean));
  }
  check();
  return self;
}

/* ---- 6: live ---- */

export function liveCards(state) {
  const said = status(), left = el('p', { class: 'left', role: 'timer' }), grid = el('div', { class: 'grid' }), self = { isDone: () => !pending, isHeld: () => !!pending };
  let pending = state.pending, shown = '', cards = [], at = performance.now(), isOver = false;

  // Another browser may have kept or undone it; the hash of the file shows which. The draft ends only when its own configuration was kept.
  async function settle() {
    if (isOver) return;
    isOver = true;
    const config = await patient('config'), isKept = config.hash === pending.hash;
    begin(config, !isKept || pending.hash !== draft.applied);
    pending = null;
    ask.hidden = true;
    unsaved.hidden = !edits().length;
    said.say(t(isKept ? 'g_kept' : 'g_undone'));
    self.onchange?.();
  }
  const keep = act(t('g_keep'), async () => {
    await api('keep', {});
    await settle();
  }, said, { class: 'primary' });
  const undo = act(t('g_undo'), async () => {
    await api('undo', {});
    await settle();
    location.hash = '#/setup/review';
  }, said);
  const ask = el('section', { class: 'card ask', hidden: !pending }, el('h2', {}, t('g_keep_q')), el('p', {}, t('g_keep_why')), left, el('div', { class: 'bar' }, keep, undo));
  const unsaved = el('p', { class: 'note', hidden: !!pending || !edits().length }, el('a', { href: '#/setup/review' }, t('g_unsaved')));
  self.node = el('div', {}, ask, said, unsaved, grid);

  self.show = () => {
    const seconds = pending ? Math.max(0, Math.round(pending.keep_within_s - (performance.now() - at) / 1000)) : 0;
    setText(left, `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
    const now = JSON.stringify([...packs.values()].map(p => [p.pack, p.title, p.shape.cells]));
    if (now !== shown) {
      shown = now;
      // Rebuilds the cards, so that the user sees the new packs before keeping the configuration.
      cards = [...[...packs.values()].filter(isBank).map(p => ({ name: p.pack, node: bank(p) })), ...singles().map(p => ({ name: p.pack, node: card(p) }))];
      grid.replaceChildren(...cards.length ? cards.map(c => c.node) : [el('p', { class: 'empty' }, t('no_packs'))]);
      grid.style.setProperty('--c', Math.min(2, singles().length));
      listen(cards.map(c => c.name));
    }
    for (const c of cards) c.node.show(packs.get(c.name));
  };
  // The gateway reloads and may not answer for a moment: only its own answers count.
  const stop = every(LOOK_S, async () => {
    // A stream that began after the reload does not report that the list of packs has changed.
    if (pending) await load().catch(() => {});
    self.show();
    const now = await api('state').catch(() => null);
    if (!now || isOver) return isOver;
    if (now.pending) {
      pending = now.pending;
      at = performance.now();
    } else if (pending) {
      try {
        await settle();
      } catch (error) {
        said.say(error.message);
      }
      said.append(' ', el('small', { lang: 'en' }, now.undone ?? ''));
    }
    return !now.pending;
  });
  self.close = stop;
  return self;
}

/* ---- 7: files ---- */

export function files() {
  const list = el('ul', { class: 'files' });
  const show = known => list.replaceChildren(...FILES.filter(([name]) => !known || known.includes(name)).map(([name, title]) => el('li', {},
    el('a', { href: 'api/v1/files/' + name, download: name }, el('span', { 'aria-hidden': 'true' }, '⤓'), el('span', {}, el('b', {}, title), el('small', {}, name))))));
  show();
  fetch('api/v1/gateway').then(response => response.json()).then(g => show(g.files)).catch(() => {});
  return { node: el('section', { class: 'card' }, el('h2', {}, t('files')), el('p', { class: 'hint' }, t('file_how')), list), isDone: () => true };
}
