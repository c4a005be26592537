// SPDX-License-Identifier: MIT
// Answers in the gateway's place, from what make-site has recorded: a classic script, there before the page's own ones. The page's clock
// is turned back to the same time of the recorded day, so that all recorded times are as they were.
(() => {
  const UNTIL_MS = RECORDED_UNTIL * 1000, DAY_MS = 86400e3, EVENT_MS = 10e3;
  const RealDate = Date, realFetch = fetch;
  const now = () => {
    const real = RealDate.now();
    return real - Math.ceil((real - UNTIL_MS) / DAY_MS) * DAY_MS;
  };
  globalThis.Date = class extends RealDate {
    constructor(...when) {
      super(...when.length ? when : [now()]);
    }
    static now() {
      return now();
    }
  };

  const loaded = new Map();
  function recorded(path) {
    if (!loaded.has(path))
      loaded.set(path, realFetch(`recorded/${path}.json`).then(r => r.ok ? r.json() : null, () => null));
    return loaded.get(path);
  }

  const rowAt = (history, t) => Math.min(history.t.length - 1, Math.max(0, Math.floor((t - history.t[0]) / history.step)));

  // A pack as it was at that time: the values of ten seconds, the cells of the hour moved to the voltage, and what never changes.
  async function packAt(recent, t) {
    const [live, hours, alarms] = await Promise.all(['live', 'hour', 'alarms'].map(level => recorded(`${recent.pack}/${level}`)));
    const i = rowAt(live, t), hour = rowAt(hours, t);
    const values = Object.fromEntries(Object.keys(live).filter(key => Array.isArray(live[key]) && key !== 't').map(key => [key, live[key][i]]));
    const pack = Object.fromEntries(Object.entries({ ...recent, age_s: .5 }).filter(([key]) => !/^time_to_|^soc_peak|^allowed_|_limited_by/.test(key)));
    pack.alarms = (alarms || []).filter(a => a.since <= t && (a.until ?? Infinity) > t).map(({ name, level, since }) => ({ name, level, since }));
    for (const key of Object.keys(pack)) if (key.startsWith('alarm.')) pack[key] = +pack.alarms.some(a => 'alarm.' + a.name === key);
    if (values.voltage_v == null) {
      const identity = ['pack', 'name', 'kind', 'members', 'unit', 'line', 'protocol', 'model', 'serial', 'firmware', 'writable'];
      return { ...Object.fromEntries(identity.filter(key => key in pack).map(key => [key, pack[key]])), state: 'stale', fresh: 0, age_s: 60, alarms: [], last: { ...pack, ...values } };
    }
    for (const key of Object.keys(pack)) if (/^temp_/.test(key) && key !== 'temp_count') pack[key] = +(pack[key] + values.temp_avg_c - recent.temp_avg_c).toFixed(1);
    Object.assign(pack, values);
    const n = recent.cell_count || 0, cells = Array.from({ length: n }, (_, c) => hours[`cell_mv.${c + 1}`]?.[hour] ?? recent[`cell_mv.${c + 1}`]);
    const shift = n ? (1000 * pack.voltage_v - cells.reduce((a, b) => a + b, 0)) / n : 0;
    cells.forEach((mv, c) => { pack[`cell_mv.${c + 1}`] = cells[c] = Math.round(mv + shift); });
    if (n && pack.kind === 'pack') {
      const max = Math.max(...cells), min = Math.min(...cells);
      Object.assign(pack, { cell_avg_mv: 1000 * pack.voltage_v / n, cell_max_mv: max, cell_min_mv: min, cell_delta_mv: max - min, cell_max_index: cells.indexOf(max) + 1, cell_min_index: cells.indexOf(min) + 1 });
    }
    return pack;
  }

  const packsAt = async t => Promise.all((await recorded('packs')).map(pack => packAt(pack, t)));

  // The rows from … to of the finest level that has them all in so many points.
  async function history(name, asked) {
    const at = text => /^\d+$/.test(text) ? Number(text) : Date.parse(`${text}T00:00`) / 1000;
    const t = now() / 1000, to = Math.min(t, at(asked.get('to') ?? Math.floor(t))), from = at(asked.get('from') ?? Math.floor(to) - 86400), points = Number(asked.get('points') ?? 1500);
    const keys = (asked.get('values') || '').split(',');
    const levels = asked.get('level') ? [asked.get('level')] : ['minute', 'hour'];
    let all = null;
    for (const level of levels) {
      all = await recorded(`${name}/${level === 'recent' ? 'minute' : level}`);
      if (!all || (from >= all.t[0] && to - from <= points * all.step)) break;
    }
    if (!all) return null;
    const out = { level: all.level, step: all.step }, rows = all.t.flatMap((at, i) => at >= from - all.step && at <= to ? [i] : []);
    const wanted = key => ['t', 'day'].includes(key) || keys.some(k => key === k || (asked.has('extremes') && [`${k}_min`, `${k}_max`].includes(key)));
    for (const key of Object.keys(all)) if (Array.isArray(all[key]) && wanted(key)) out[key] = rows.map(i => all[key][i]);
    return out;
  }

  // The last 24 hours and the day so far, out of the minutes: what was recorded ends with the recording.
  async function todayAt(t) {
    const midnight = new Date(t * 1000).setHours(0, 0, 0, 0) / 1000, STEP_S = 1800, days = {};
    for (const { pack } of await recorded('packs')) {
      const rows = await recorded(`${pack}/minute`), sums = new Map(), day = { charged_wh: 0, discharged_wh: 0 };
      rows.t.forEach((at, i) => {
        const power = rows.power_w[i], from = at - at % STEP_S;
        if (power == null || at > t || from < t - 86400 - STEP_S) return;
        const { sum = 0, count = 0 } = sums.get(from) ?? {};
        sums.set(from, { sum: sum + power, count: count + 1 });
        if (at >= midnight) day[power > 0 ? 'charged_wh' : 'discharged_wh'] += Math.abs(power) * rows.step / 3600;
      });
      const hours = await recorded(`${pack}/hour`);
      for (const key of Object.keys(hours)) {
        const [, what, end] = key.match(/^(soc|cell)_(?:percent|mv\.\d+)_(min|max)$/) ?? [];
        const known = what ? hours[key].filter((value, i) => value != null && hours.t[i] >= midnight && hours.t[i] <= t) : [];
        const name = `${what}_${end}_${what === 'soc' ? 'percent' : 'mv'}`;
        if (known.length) day[name] = Math[end](...known, day[name] ?? known[0]);
      }
      days[pack] = { ...day, power_w: [...sums].map(([from, { sum, count }]) => [from, Math.round(sum / count)]) };
    }
    return days;
  }

  async function answer(path, asked) {
    const [what, name, more] = path.split('/').map(decodeURIComponent);
    if (path === 'packs') return packsAt(now() / 1000);
    if (path === 'today') return todayAt(now() / 1000);
    if (path === 'setup/state') return { armed: false, yours: false, command: 'sudo packgate setup' };
    if (what === 'packs' && !more) return (await packsAt(now() / 1000)).find(p => p.pack === name);
    if (more === 'history') return history(name, asked);
    if (more === 'alarms') return (await recorded(`${name}/alarms`))?.filter(a => a.since < Number(asked.get('to') ?? Infinity) && (a.until ?? Infinity) > Number(asked.get('from') ?? 0));
    return recorded(what === 'packs' ? `${name}/${more}` : path);
  }

  const root = () => new URL('api/v1/', document.baseURI).href;

  globalThis.fetch = async (wanted, options) => {
    const url = new URL(wanted.url ?? wanted, document.baseURI);
    if (!url.href.startsWith(root())) return realFetch(wanted, options);
    const json = (body, status) => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', 'X-Packgate-Time': Math.round(now() / 1000) } });
    if ((options?.method || 'GET') !== 'GET') return json({ error: 'this is a recording' }, 403);
    const body = await answer(url.href.slice(root().length).split('?')[0], url.searchParams);
    return body ? json(body, 200) : json({ error: 'this was not recorded' }, 404);
  };

  globalThis.EventSource = class extends EventTarget {
    static CLOSED = 2;
    readyState = 1;
    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(new Event('open')));
      this.timer = setInterval(() => this.tell(), EVENT_MS);
      this.tell();
    }
    async tell() {
      const time = now() / 1000, packs = await packsAt(time);
      if (this.readyState !== 1) return;
      const send = (type, data) => this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
      send('beat', { time });
      for (const pack of packs) send('pack', pack);
    }
    close() {
      this.readyState = 2;
      clearInterval(this.timer);
    }
  };

  // A download of rows is made here.
  addEventListener('click', async event => {
    const link = event.target.closest?.('a[href*="/history.csv?"]');
    if (!link) return;
    event.preventDefault();
    const url = new URL(link.href), name = decodeURIComponent(url.pathname.split('/').at(-2)), rows = await history(name, url.searchParams);
    const keys = Object.keys(rows).filter(key => Array.isArray(rows[key]) && key !== 't');
    const lines = rows.t.map((t, i) => [new RealDate(t * 1000).toISOString(), ...keys.map(key => rows[key][i] ?? '')].join(','));
    const save = document.createElement('a');
    save.href = URL.createObjectURL(new Blob([['time,' + keys.join(','), ...lines, ''].join('\n')], { type: 'text/csv' }));
    save.download = `${name}.csv`;
    save.click();
  }, true);
})();
