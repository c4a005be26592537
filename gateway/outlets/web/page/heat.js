// SPDX-License-Identifier: MIT
// A map of cells by days: the distance of each cell from the mean. Teal is above it, indigo below, blank unknown.
import { el, setAttribute, setText } from './dom.js';
import { day, number, signed } from './numbers.js';
import { colour } from './plot.js';
import { cellsOf, fromMean, outermost } from './spread.js';
import { COLON, t } from './words.js';

const ROW = 14, LEFT = 30, BELOW = 22, LEAST_MV = 5;

/** A card with the map. `days`: {t, day, cell_mv.1 …}; on.pick(day, cell) is called when a square is chosen. null: no data. */
export function heatMap(days, count, on) {
  const cells = fromMean(cellsOf(days, count)), all = cells.flat().filter(v => v != null).map(Math.abs).sort((a, b) => a - b);
  if (!all.length) return null;
  const most = Math.max(LEAST_MV, all[Math.floor(all.length * .99)]);   // one bad day must not make all others pale
  const canvas = el('canvas', { tabindex: 0, role: 'application' }), said = el('p', { class: 'figures', 'aria-live': 'polite' });
  const node = el('section', { class: 'card heat', 'data-kind': 'heat' }, el('div', { class: 'head' }, el('h2', {}, t('heat'), ' ', el('small', {}, 'mV')),
    el('span', { class: 'when' }, `±${number(most)}\u202fmV`)), canvas, said, el('p', { class: 'hint' }, t('heat_help')));
  let at = null;

  const words = (c, d) => `${t('cell')} ${c + 1}, ${day(days.day[d])}${COLON} ${cells[c][d] == null ? t('no_data') : signed(cells[c][d], 1) + '\u202fmV'}`;
  const { low, high, least, most: largest } = outermost(cells), mv = v => `${signed(v, 1)}\u202fmV`;
  const sum = low == null ? '' : `${t('lit_low', low + 1, mv(least))} ${t('lit_high', high + 1, mv(largest))}`;
  setAttribute(canvas, 'aria-label', `${t('heat')}. ${sum} ${t('heat_help')}`);
  const tell = () => setText(said, at ? words(...at) : sum);

  let drawn = 0;
  function resize() {
    if (canvas.clientWidth !== drawn) draw();
  }

  function draw() {
    drawn = canvas.clientWidth;
    const ratio = devicePixelRatio, width = canvas.clientWidth, height = count * ROW + BELOW, ctx = canvas.getContext('2d');
    if (!width) return;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    canvas.style.height = `${height}px`;
    ctx.scale(ratio, ratio);
    const step = (width - LEFT) / days.t.length, gap = step > 6 ? 1 : 0;
    const tones = { above: colour('in'), below: colour('out'), none: colour('gap'), dim: colour('dim'), ink: colour('ink') };
    ctx.font = '12px system-ui';
    ctx.textBaseline = 'middle';
    cells.forEach((cell, c) => {
      cell.forEach((v, d) => {
        ctx.globalAlpha = v == null ? 1 : Math.min(1, Math.abs(v) / most);
        ctx.fillStyle = v == null ? tones.none : v > 0 ? tones.above : tones.below;
        ctx.fillRect(LEFT + d * step, c * ROW, step - gap, ROW - 1);
      });
      ctx.globalAlpha = 1;
      ctx.fillStyle = c === low || c === high ? tones.ink : tones.dim;
      ctx.fillText(`${c + 1}${c === low ? '▼' : c === high ? '▲' : ''}`, 0, (c + .5) * ROW);
    });
    ctx.fillStyle = tones.dim;
    const every = Math.ceil(90 / step);
    // Each date is centred below its day; the last ones are shifted left to fit.
    for (let d = days.t.length - 1; d >= 0; d -= every) {
      const name = day(days.day[d], false), wide = ctx.measureText(name).width, x = Math.min(LEFT + (d + .5) * step - wide / 2, width - wide);
      if (x > 0) ctx.fillText(name, x, height - 9);
    }
    if (!at) return;
    ctx.strokeStyle = tones.ink;
    ctx.lineWidth = 2;
    ctx.strokeRect(LEFT + at[1] * step, at[0] * ROW, Math.max(3, step - gap), ROW - 1);
  }

  function move(c, d) {
    at = [Math.max(0, Math.min(count - 1, c)), Math.max(0, Math.min(days.t.length - 1, d))];
    draw();
    tell();
  }
  const under = e => [Math.floor(e.offsetY / ROW), Math.floor((e.offsetX - LEFT) * days.t.length / (canvas.clientWidth - LEFT))];
  canvas.addEventListener('pointermove', e => move(...under(e)));
  canvas.addEventListener('pointerleave', () => { at = null; draw(); tell(); });
  canvas.addEventListener('click', e => {
    move(...under(e));
    on.pick(days.day[at[1]], at[0] + 1);
  });
  canvas.addEventListener('keydown', e => {
    const [c, d] = at || [low ?? 0, days.t.length - 1], by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (e.key === 'Enter' && at) return on.pick(days.day[d], c + 1);
    if (!by) return;
    e.preventDefault();
    move(c + by[0], d + by[1]);
  });
  tell();
  return { node, resize, redraw: draw, destroy() {} };
}
