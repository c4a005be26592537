// SPDX-License-Identifier: MIT
// Lines of text with a button that copies them.
import { el, setText } from './dom.js';
import { t } from './words.js';

export function copyable(text) {
  const lines = el('pre', { tabindex: 0 }, text);
  const button = el('button', {
    type: 'button', async onclick() {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // Pages without TLS have no navigator.clipboard.
        getSelection().selectAllChildren(lines);
        document.execCommand('copy');
      }
      setText(button, t('copied'));
      setTimeout(() => setText(button, t('copy')), 2000);
    },
  }, t('copy'));
  return el('div', { class: 'copy' }, lines, button);
}
