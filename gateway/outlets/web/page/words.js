// SPDX-License-Identifier: MIT
// The language of the page: the one chosen in Setup, else the first available one of the browser's, else English.
import { store } from './dom.js';

export const LANGUAGES = ['en', 'de', 'fr', 'it', 'es', 'pl', 'nl'];

const TEXT = {}, files = new Set(['text']);

/** What speak() has chosen; `locale`: the browser's region for this language, if it has one, which decides on decimal sign and clock; COLON:
 *  between words and what they announce, with a space before it in French. */
export let language, locale, COLON;

// The browser loads only the words of one language: page/embed makes a file of each column of text.js.
const wordsOf = async (file, code) => (await import(`./${file}-${code}.js`)).TEXT;

// On a host without a language Chromium reports "en-US@posix", which is none for the formats of numbers and times, nor for uPlot.
const isTag = tag => { try { return Intl.getCanonicalLocales(tag).length > 0; } catch { return false; } };
if (!isTag(navigator.language)) Object.defineProperty(navigator, 'language', { value: 'en', configurable: true });

/** Changes to the language that is wanted now, with all its words. */
export async function speak() {
  const regions = navigator.languages || [navigator.language], wanted = [store.get('language', ''), ...regions].map(l => l.slice(0, 2));
  const next = wanted.find(l => LANGUAGES.includes(l)) || 'en', words = await Promise.all([...files].map(file => wordsOf(file, next)));
  Object.assign(TEXT, ...words);
  language = next;
  locale = regions.find(l => l.startsWith(next) && isTag(l)) || next;
  COLON = next === 'fr' ? '\u00a0:' : ':';
}
await speak();

/** Loads the words of a view, such as "guide-text", for t(). */
export async function addWords(file) {
  files.add(file);
  Object.assign(TEXT, await wordsOf(file, language));
}

/** The text of a key with {0}, {1} replaced; the key itself if it has no text. */
export function t(key, ...values) {
  return hasText(key) ? TEXT[key].replace(/\{(\d)\}/g, (_, i) => values[i]) : key;
}
export const hasText = key => key in TEXT;
