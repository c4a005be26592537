// SPDX-License-Identifier: MIT
// Set-up: fields for the keys of a section, as the gateway describes them. It lists only keys that a browser may set.
import { el } from './dom.js';
import { draft } from './guide-draft.js';
import { field } from './guide-parts.js';
import { isPlain } from './session.js';
import { t } from './words.js';

/** A field for a secret, which is stored in a file that only the gateway reads: it can be entered, but is never shown. */
export function secretField(section, key, label = t('g_secret')) {
  // With ingress, Home Assistant's proxy is responsible for encryption.
  if (isPlain() && draft.by !== 'ingress') return el('p', { class: 'hint' }, t('g_no_secret'));
  const input = el('input', { type: 'password', autocomplete: 'new-password', oninput: () => section.set(key, input.value ? { secret: input.value } : null) });
  return field(label, input, section.isSet(key) ? t('g_secret_set') : null);
}

/** A field for `row` of the answer to GET keys. An empty field shows the default. */
export function keyField(section, row, label = row.key) {
  if (row.secret) return secretField(section, row.key, label);
  const now = section.get(row.key), write = event => section.set(row.key, event.target.value.trim());
  const input = row.choices?.length
    ? el('select', { onchange: write }, el('option', { value: '' }, row.preset ?? '–'), ...[...new Set([...row.choices, ...now ? [now] : []])].map(c => el('option', { value: c, selected: c === now }, c)))
    : el('input', { type: 'text', spellcheck: 'false', autocapitalize: 'off', placeholder: row.preset, 'data-key': row.key, oninput: write });
  if (!row.choices?.length) input.value = now;
  return field(label, input, row.help && el('span', { lang: 'en' }, [row.help, row.expected && `(${row.expected})`].filter(Boolean).join(' ')));
}

/** A folded list of all keys that a browser may set, for a list of [section, keys to omit]. */
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
