// SPDX-License-Identifier: MIT
// The language of the page: the one chosen in Setup, else the first available one of the browser's, else English.
import { store } from './dom.js';

export const LANGUAGES = ['en', 'de', 'fr', 'it', 'es', 'pl', 'nl'];

const wanted = [store.get('language', ''), ...(navigator.languages || [navigator.language])].map(l => l.slice(0, 2));
export const language = wanted.find(l => LANGUAGES.includes(l)) || 'en';

/** The browser's region for this language, if it has one: it decides on decimal sign and clock. */
export const locale = (navigator.languages || []).find(l => l.startsWith(language)) || language;

// The browser loads only the words of this language: page/embed makes a file of each column of text.js.
const { TEXT } = await import(`./text-${language}.js`);

/** Between words and what they announce; French has a space before it. */
export const COLON = language === 'fr' ? '\u00a0:' : ':';

/** Loads the words of a view, such as "guide-text", for t(). */
export const addWords = async file => Object.assign(TEXT, (await import(`./${file}-${language}.js`)).TEXT);

/** The text of a key with {0}, {1} replaced; the key itself if it has no text. */
export function t(key, ...values) {
  return hasText(key) ? TEXT[key].replace(/\{(\d)\}/g, (_, i) => values[i]) : key;
}
export const hasText = key => key in TEXT;
