// SPDX-License-Identifier: MIT
// Set-up: the keys of a section as the gateway describes them. Those that are not for a browser are not among them.
import { el } from './dom.js';
import { draft } from './guide-draft.js';
import { field } from './guide-parts.js';
import { isPlain } from './session.js';
import { t } from './words.js';

/** A secret goes into a file of its own, which only the gateway reads: it can be typed, and never comes back. */
export function secretField(section, key, label = t('g_secret')) {
  // Home Assistant's ingress is a way of its own.
  if (isPlain() && draft.by !== 'ingress') return el('p', { class: 'hint' }, t('g_no_secret'));
  const input = el('input', { type: 'password', autocomplete: 'new-password', oninput: () => section.set(key, input.value ? { secret: input.value } : null) });
  return field(label, input, section.isSet(key) ? t('g_secret_set') : null);
}

/** A field for `row` of GET keys in a section; empty: what holds without the key. */
export function keyField(section, row, label = row.key) {
  if (row.secret) return secretField(section, row.key, label);
  const now = section.get(row.key), write = event => section.set(row.key, event.target.value.trim());
  const input = row.choices?.length
    ? el('select', { onchange: write }, el('option', { value: '' }, row.preset ?? '–'), ...[...new Set([...row.choices, ...now ? [now] : []])].map(c => el('option', { value: c, selected: c === now }, c)))
    : el('input', { type: 'text', spellcheck: 'false', autocapitalize: 'off', placeholder: row.preset, 'data-key': row.key, oninput: write });
  if (!row.choices?.length) input.value = now;
  return field(label, input, row.help && el('span', { lang: 'en' }, [row.help, row.expected && `(${row.expected})`].filter(Boolean).join(' ')));
}

/** Folded: all keys of [section, without these] that a browser may set. */
export function allKeys(list) {
  const fields = list.map(([section, without]) => [section, (draft.keys[section.section] ?? []).filter(row => !without.includes(row.key))]).filter(([, rows]) => rows.length);
  if (!fields.length) return null;
  const node = el('details', {
    ontoggle() {
      if (!node.open || node.children.length > 1) return;
      node.append(...fields.map(([section, rows]) => el('fieldset', {}, el('legend', {}, `[${[section.section, section.name].filter(Boolean).join(' ')}]`), ...rows.map(row => keyField(section, row)))));
    },
  }, el('summary', {}, t('g_all_keys')));
  return node;
}
