// SPDX-License-Identifier: MIT
// Creates and changes elements. Everything is created once with el() and then changed in place.

export const $ = id => document.getElementById(id);

/** el('a', {href, class, onclick, 'aria-label'}, children…): omits attributes that are null or false, and children
 *  that are null. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter(child => child != null));
  return node;
}

// Each state has its own shape, so that none depends on colour alone.
const SHAPES = {
  charging: 'M10 3 17 12H3zM8 12h4v5H8z',
  discharging: 'M10 17 3 8h14zM8 3h4v5H8z',
  resting: 'M4 8h12v4H4z',
  stale: 'M9 3h2v6l4 3-1.2 1.6L9 10zM10 1a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 1 1 0 14 7 7 0 0 1 0-14z',
  warning: 'M10 1.5 19.5 18H.5zM9 7v5h2V7zm0 6.5v2h2v-2z',
  protection: 'M6 1h8l5 5v8l-5 5H6l-5-5V6zm3 4v6h2V5zm0 8v2h2v-2z',
};

/** Creates an SVG element. */
export function draw(tag, properties, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function icon(shape) {
  const path = draw('path', { d: SHAPES[shape] }), svg = draw('svg', { viewBox: '0 0 20 20', class: 'icon', 'aria-hidden': 'true' }, path);
  svg.shape = next => setAttribute(path, 'd', SHAPES[next]);
  return svg;
}

// Changes only what differs: this keeps 64 packs fast, and screen readers quiet.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value == null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? '' : value);
}

/** Settings of this browser; a private window does not keep them. */
export const store = {
  get(key, otherwise) {
    try { return localStorage.getItem('packgate.' + key) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { localStorage.setItem('packgate.' + key, value); } catch { /* storage is forbidden or full */ }
  },
};
