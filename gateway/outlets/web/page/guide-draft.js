// SPDX-License-Identifier: MIT
// The draft of the set-up: a list of edits to the configuration of the gateway. Draws nothing, and keeps nothing in the browser's
// storage, because the draft may contain secrets.
import { packs } from './packs.js';

const SAME_V = .5;      // packs in parallel have the same voltage, apart from the measuring errors of two BMS
const UNIT_MOST = 247;
const NAME_MOST = 32;

/** `config` and `keys` come from the gateway. `by`: how this browser was authenticated.
 *  `added`: new sections {section, name, keys, found, members}, in the order in which they will be in the file.
 *  `order`: the packs in their order, null as it is: of the file the places, of the new ones the sections.
 *  `changed`: changed sections of the file, "section name" → {key: value, or null to remove it}.
 *  `tried`: "section name" → the edits that were tried with success. `held`: sections whose trial did not succeed; they are not saved. */
export const draft = { config: null, by: null, keys: {}, ports: [], searches: new Map(), added: [], order: null, changed: new Map(), removed: new Set(), tried: new Map(), held: new Set() };

/** "section name" */
export const place = s => `${s.section} ${s.name ?? ''}`;
const inFile = () => draft.config?.sections ?? [];
const keyOf = (s, key) => s.keys.find(k => k.key === key);

/** Starts over with the current file. `keep`: keeps the changes. */
export function begin(config, keep) {
  draft.config = config;
  if (keep) return;
  draft.ports = [];
  draft.added = [];
  draft.order = null;
  for (const kept of [draft.searches, draft.changed, draft.removed, draft.tried, draft.held]) kept.clear();
}

// Without the order that was chosen: those of the file first.
const asWritten = kind => [...inFile().filter(s => s.section === kind && !draft.removed.has(place(s))), ...draft.added.filter(s => s.section === kind)];
const keyInOrder = s => isNew(s) ? s : place(s);

/** The sections of a kind as handles, those of the file first, packs in the order that was chosen: get(key), set(key, value), isSet(key) for a
 *  secret. */
export function sections(kind) {
  const list = asWritten(kind), rank = s => (draft.order.indexOf(keyInOrder(s)) + 1 || Infinity);
  if (kind === 'pack' && draft.order) list.sort((a, b) => rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0);
  return list.map(handle);
}

const isNew = s => !Array.isArray(s.keys);
function handle(s) {
  const changes = () => draft.changed.get(place(s)) ?? {};
  return {
    section: s.section, isNew: isNew(s), self: s, found: s.found,
    get name() { return s.name; },
    get: key => (isNew(s) ? s.keys[key] : key in changes() ? changes()[key] : keyOf(s, key)?.value) ?? '',
    isSet: key => !isNew(s) && !!keyOf(s, key)?.set,
    set(key, value) {
      const was = isNew(s) ? undefined : keyOf(s, key)?.value, next = isNew(s) ? s.keys : { ...changes() };
      if (value === '' || value == null) value = null;
      if (value === (was ?? null)) delete next[key];
      else next[key] = value;
      if (!isNew(s)) Object.keys(next).length ? draft.changed.set(place(s), next) : draft.changed.delete(place(s));
    },
    remove() {
      if (isNew(s)) draft.added.splice(draft.added.indexOf(s), 1);
      else {
        draft.removed.add(place(s));
        draft.changed.delete(place(s));
      }
    },
  };
}

export function add(section, name, keys = {}, more = {}) {
  const s = { section, name, keys, ...more };
  draft.added.push(s);
  return handle(s);
}

/** [gateway]: created with its first key, removed with its last. */
export const general = {
  section: 'gateway', name: null,
  get: key => sections('gateway')[0]?.get(key) ?? '',
  set(key, value) {
    const section = sections('gateway')[0] ?? add('gateway', null);
    section.set(key, value);
    if (section.isNew && !Object.keys(section.self.keys).length) section.remove();
  },
};

/** Makes an id that is valid in a heading and not taken: "Küche links" → "kueche-links". */
export function wordFor(text, kind, mine) {
  const plain = text.toLowerCase().replace(/ä/g, 'ae').replace(/ö/g, 'oe').replace(/ü/g, 'ue').replace(/ß/g, 'ss').replace(/ł/g, 'l').normalize('NFD')
    .replace(/[^a-z0-9_.-]+/g, ' ').trim().replace(/ /g, '-').slice(0, NAME_MOST - 3).replace(/-+$/, '') || kind + '-1';
  // Packs and banks share their names.
  const same = ['pack', 'bank'].includes(kind) ? ['pack', 'bank'] : [kind];
  const taken = new Set(same.flatMap(k => sections(k)).filter(h => h.self !== mine).map(h => h.name));
  const stem = plain.replace(/-\d+$/, '');
  let word = plain;
  for (let n = plain === stem ? 2 : 1; taken.has(word); n++) word = `${stem}-${n}`;
  return word;
}

/** A unit id that is not taken, not even by a pack that is being removed: clients know that pack by it. A view may have several. */
export function freeUnit() {
  const taken = new Set([...inFile(), ...draft.added].flatMap(s => (handle(s).get('unit') || '').split(',').map(Number)));
  let unit = 1;
  while (taken.has(unit) && unit < UNIT_MOST) unit++;
  return String(unit);
}

/** A port without the optional prefix: "/dev/ttyUSB0" is the same as "serial:/dev/ttyUSB0". */
const bare = port => port.replace(/^serial:/, '');
export const lineAt = port => sections('line').find(line => bare(line.get('port')) === bare(port));

// A second search finds the same packs again.
const inDraft = found => draft.added.find(s => s.found && ['port', 'protocol', 'address'].every(key => s.found[key] === found[key]));
export const isTaken = found => !!inDraft(found);

/** Adds a pack that was found, or entered by hand, and its line, with the baud rate that the pack needs. */
export function take(found) {
  const line = lineAt(found.port) ?? add('line', wordFor('line-1', 'line'), { port: found.port, protocol: found.protocol });
  if (found.baud && !line.get('baud')) line.set('baud', found.baud);
  return add('pack', wordFor('pack-1', 'pack'), {
    line: line.name, protocol: line.get('protocol') === found.protocol ? null : found.protocol,
    address: found.address == null ? null : String(found.address), unit: freeUnit(),
  }, { found });
}

export function drop(found) {
  const s = inDraft(found);
  if (s) removePack(handle(s));
}

/** Removes a pack, also from its bank; and its line, if that has no other pack. */
export function removePack(pack) {
  const line = pack.get('line');
  for (const bank of sections('bank')) setMembers(bank, membersOf(bank).filter(m => m !== pack.name));
  pack.remove();
  if (!sections('pack').some(p => p.get('line') === line)) sections('line').find(l => l.name === line)?.remove();
}

/** Renames a pack or a bank. The id follows the name only while it is not in the file. */
export function rename(pack, title) {
  const before = pack.name, banks = sections('bank').filter(bank => membersOf(bank).includes(before));
  if (pack.isNew) pack.self.name = wordFor(title, pack.section, pack.self);
  pack.set('name', title === pack.name ? null : title);
  for (const bank of banks) setMembers(bank, membersOf(bank).map(m => m === before ? pack.name : m));
}

// The pack before (by = -1) or after (by = 1) this one.
function beside(pack, by) {
  const list = sections('pack');
  return list[list.findIndex(other => other.self === pack.self) + by];
}

/** by: -1 or 1. */
export const canMove = (pack, by) => !!beside(pack, by);

/** Exchanges two packs, also in the bank that has both. New ones are simply appended to the file in their order. */
export function move(pack, by) {
  const other = beside(pack, by), list = sections('pack').map(p => p.self), swap = (all, a, b) => all.map(one => one === a ? b : one === b ? a : one);
  if (pack.isNew && other.isNew) draft.added = swap(draft.added, pack.self, other.self);
  if (draft.order || !pack.isNew || !other.isNew) draft.order = swap(list, pack.self, other.self).map(keyInOrder);
  for (const bank of sections('bank')) {
    const members = membersOf(bank);
    if (members.includes(pack.name) && members.includes(other.name)) setMembers(bank, swap(members, pack.name, other.name));
  }
}

export const membersOf = bank => bank.get('packs').split(',').map(name => name.trim()).filter(Boolean);
function setMembers(bank, names) {
  if (names.length) bank.set('packs', names.join(', '));
  else bank.remove();
}

/** The values of a pack, from the search or from the running gateway. */
export function valuesOf(pack) {
  const now = packs.get(pack.name), { found } = pack;
  if (found) return { cells: found.cells_count, voltage: found.voltage_v, soc: found.soc_pct, model: found.model, serial: found.serial };
  if (now?.state !== 'fresh') return {};
  return { cells: now.shape.cells, voltage: now.values.voltage_v, soc: now.values.soc_percent, model: now.shape.texts.model, serial: now.shape.texts.serial };
}

/** Groups of packs that are in no bank and may be wired in parallel, because neither their cell counts nor their voltages differ. */
export function parallels() {
  const inBank = new Set(sections('bank').flatMap(membersOf)), groups = [];
  const differ = (a, b) => a.cells && b.cells && a.cells !== b.cells || Math.abs((a.voltage ?? NaN) - (b.voltage ?? NaN)) > SAME_V;
  for (const pack of sections('pack')) {
    if (inBank.has(pack.name)) continue;
    const mine = { pack, ...valuesOf(pack) }, group = groups.find(others => !others.some(other => differ(mine, other)));
    if (group) group.push(mine);
    else groups.push([mine]);
  }
  return groups.filter(group => group.length > 1);
}

/** The edits for check and apply, without held sections. `only`: the edits of these handles, held or not. */
export function edits(only) {
  const list = [], wanted = s => only ? only.some(h => h.self === s) : !draft.held.has(place(s));
  const put = (s, keys) => {
    for (const [key, value] of Object.entries(keys))
      if (typeof value === 'object' && value) list.push({ section: s.section, name: s.name, key, ...value });
      else if (value != null || Array.isArray(s.keys)) list.push({ section: s.section, name: s.name, key, value });
  };
  for (const s of inFile()) {
    if (!wanted(s)) continue;
    if (draft.removed.has(place(s))) list.push({ section: s.section, name: s.name, remove: true });
    else put(s, draft.changed.get(place(s)) ?? {});
  }
  for (const s of draft.added) if (wanted(s)) put(s, s.keys);
  return only ? list : [...list, ...moves()];
}

// The edits that bring the packs from the order of the file into the one that was chosen.
function moves() {
  const list = [], now = asWritten('pack').map(s => s.name);
  sections('pack').forEach(({ name }, i) => {
    if (now[i] === name) return;
    list.push({ section: 'pack', name, before: now[i] });
    now.splice(now.lastIndexOf(name), 1);
    now.splice(i, 0, name);
  });
  return list;
}
