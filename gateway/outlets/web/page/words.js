// SPDX-License-Identifier: MIT
// The language of the page: the one chosen in Setup, else the first of the browser's that there is, else English.
import { store } from './dom.js';
import { LANGUAGES, TEXT } from './text.js';

const wanted = [store.get('language', ''), ...(navigator.languages || [navigator.language])].map(l => l.slice(0, 2));
export const language = wanted.find(l => LANGUAGES.includes(l)) || 'en';

/** Decimal sign and clock are those of the browser's own region where it has one for this language. */
export const locale = (navigator.languages || []).find(l => l.startsWith(language)) || language;

/** The words for a key with {0} {1} filled in; the key itself where there are none. */
export function t(key, ...values) {
  const row = TEXT[key];
  return row ? row[LANGUAGES.indexOf(language)].replace(/\{(\d)\}/g, (_, i) => values[i]) : key;
}
export const hasText = key => key in TEXT;
