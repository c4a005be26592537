// SPDX-License-Identifier: MIT
// The language of the page: the one chosen in Setup, else the first of the browser's that there is, else English.
import { store } from './dom.js';

export const LANGUAGES = ['en', 'de', 'fr', 'it', 'es', 'pl', 'nl'];

const wanted = [store.get('language', ''), ...(navigator.languages || [navigator.language])].map(l => l.slice(0, 2));
export const language = wanted.find(l => LANGUAGES.includes(l)) || 'en';

/** Decimal sign and clock are those of the browser's own region where it has one for this language. */
export const locale = (navigator.languages || []).find(l => l.startsWith(language)) || language;

// The browser loads the words of this language alone: page/embed makes a file of each column of text.js.
const { TEXT } = await import(`./text-${language}.js`);

/** Words that are fetched with a view, "guide-text": t() knows them from then on. */
export const addWords = async file => Object.assign(TEXT, (await import(`./${file}-${language}.js`)).TEXT);

/** The words for a key with {0} {1} filled in; the key itself where there are none. */
export function t(key, ...values) {
  return hasText(key) ? TEXT[key].replace(/\{(\d)\}/g, (_, i) => values[i]) : key;
}
export const hasText = key => key in TEXT;
