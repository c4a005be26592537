// SPDX-License-Identifier: MIT
// Looks at the page with Debian's Chromium as somebody would: node page.js CHROMIUM. Each line that it reads is a case, as JSON:
// its name, the url, and what the case wants. Says "now: …" where the test is to do something to the gateway, "done" at the end,
// or "failed: …" when something is not as it should be. Whatever the case: no request to another host, nothing on the console.
// One browser serves all cases. To open a page takes longer than most of what is looked at, so a case gets a page that an earlier one of the
// same kind has left, with an empty memory.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const readline = require('readline');
const { chromium } = require('playwright-core');

const PATIENCE = Number(process.env.PATIENCE) || 120000; // a busy machine is slow, not broken
const LANGUAGES = ['en', 'de', 'fr', 'it', 'es', 'pl', 'nl'];
const VIEWS = ['', '#shed', '#house', '#/charts', '#/charts/shed+boat/7d', '#/report/house', '#/report/shed', '#/setup', '#/nothing'];

const TWINS = ['#house', '#/report/shed'];   // their words and parts are in others as well

const say = words => console.log(`now: ${words}`);
function check(is, words) {
    if (!is) throw new Error(words);
}

let browser, asked;
const complaints = [];

let spare = [];   // {kind, page}: of cases before, on an empty page
const lent = [];

async function fresh(options, kind) {
    const context = await browser.newContext({ locale: 'en-GB', ...options }), page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    // The gateway closes its clients after a turn that was late, as on a busy machine: what is shown comes with the next request.
    const goto = page.goto.bind(page);
    page.goto = address => goto(address).catch(error => isReset(error) ? page.goto(address) : Promise.reject(error));
    return { kind, page };
}
const isReset = error => /ERR_CONNECTION_RESET/.test(error);

// Without motion, except where a case asks for it: each value that comes would keep the processor busy with frames for a while. What is to be
// there before the page is loaded, a case `prepare`s.
async function open({ viewport = { width: 1280, height: 860 }, colorScheme = 'light', reducedMotion = 'reduce', ...options } = {}, hash = '', url = asked.url, prepare = () => {}) {
    const kind = JSON.stringify(options), kept = spare.find(one => one.kind === kind), one = kept || await fresh(options, kind), { page } = one;
    spare = spare.filter(other => other !== kept);
    lent.push(one);
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, reducedMotion, media: null });
    // Except for what reading pixels brings about, which only this file does.
    page.on('console', message => {
        if (['error', 'warning'].includes(message.type()) && !message.text().includes('willReadFrequently') && !isReset(message.text())) complaints.push(message.text());
    });
    page.on('pageerror', error => complaints.push(String(error)));
    page.on('request', request => { if (new URL(request.url()).host !== new URL(url).host) complaints.push(`asks ${request.url()}`); });
    await prepare(page);
    await page.goto(url + hash);
    return page;
}

// Keeps the pages of a case for those behind it. Set-up asks before it is left.
async function putBack() {
    for (const one of lent.splice(0)) {
        const { page } = one;
        if (page.isClosed()) continue;
        page.removeAllListeners();
        page.on('dialog', dialog => dialog.accept());
        await page.unrouteAll({ behavior: 'ignoreErrors' });
        await page.context().clearCookies();
        await page.evaluate(() => {
            localStorage.clear();
            sessionStorage.clear();
        });
        await page.goto('about:blank');
        page.removeAllListeners();
        for (const other of page.context().pages()) if (other !== page) await other.close();
        spare.push(one);
    }
    const kept = new Set(spare.map(one => one.page.context()));
    await Promise.all(browser.contexts().filter(context => !kept.has(context)).map(context => context.close()));
}

// What the view shows once it is there.
async function settled(page, hash) {
    if (hash.startsWith('#/report')) await page.locator('.sheet svg').first().waitFor();
    else if (hash.startsWith('#/charts')) await page.locator('.plot canvas').first().waitFor();
    else if (hash === '#/nothing') await page.locator('main a.button').waitFor();
    else if (hash === '#/setup') {
        await page.locator('.setup summary').first().waitFor();
        await page.evaluate(() => { for (const closed of document.querySelectorAll('.setup section > details:not([open]) > summary')) closed.click(); });
        await page.locator('[data-section=lines] tbody tr').first().waitFor();
    }
    else await page.locator('.bat .soc').first().waitFor();
}

// Changes the language, as when one is chosen in Setup, or the view, and waits for the new view.
const turn = (page, { language, hash }) => page.evaluate(async ({ language, hash }) => {
    const main = document.getElementById('main'), before = main.firstElementChild;
    if (hash != null && hash === location.hash) return;
    if (hash != null) location.hash = hash;
    else {
        localStorage.setItem('packgate.language', language);
        dispatchEvent(new Event('languagechange'));
    }
    while (main.firstElementChild === before) await new Promise(requestAnimationFrame);
}, { language, hash });

const card = (page, pack) => page.locator('.card', { has: page.locator(`h2 a:text-is("${pack}")`) });
const has = (locator, text) => locator.filter({ hasText: text }).first().waitFor();

// A proxy, at a path of its own. It passes on what of the stream of events is older than so many seconds.
async function relay(path = '', late = 0) {
    const target = new URL(asked.url);
    const server = http.createServer((request, response) => {
        if (!request.url.startsWith(path + '/')) {
            complaints.push(`asks for ${request.url}`);
            response.writeHead(404).end();
            return;
        }
        const up = http.request({ host: target.hostname, port: target.port, method: request.method, path: request.url.slice(path.length), headers: { ...request.headers, host: target.host } }, answer => {
            if (!late || !request.url.includes('/events')) {
                response.writeHead(answer.statusCode, answer.headers);
                answer.pipe(response);
                return;
            }
            setTimeout(() => response.writeHead(answer.statusCode, answer.headers), 1000 * late);
            answer.on('data', piece => setTimeout(() => response.write(piece), 1000 * late));
        });
        up.on('error', () => response.destroy());
        response.on('close', () => up.destroy());
        request.pipe(up);
    });
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    return { server, url: `http://127.0.0.1:${server.address().port}${path}/` };
}

// What a page looks like, as FILE.webp; `whole`: with what is below the screen.
async function picture(page, file, whole = false) {
    const png = (await page.screenshot({ fullPage: whole })).toString('base64');
    const blank = await browser.newPage();
    const webp = await blank.evaluate(async data => {
        const image = new Image();
        image.src = 'data:image/png;base64,' + data;
        await image.decode();
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.width, image.height];
        canvas.getContext('2d').drawImage(image, 0, 0);
        return canvas.toDataURL('image/webp', .85).split(',')[1];
    }, png);
    fs.writeFileSync(file + '.webp', Buffer.from(webp, 'base64'));
    await blank.close();
}

const AXE = require.resolve('axe-core/axe.min.js');

// axe-core, which is in the page already, finds nothing.
async function accessible(page, rules = {}) {
    const found = await page.evaluate(which => globalThis.axe.run({ resultTypes: ['violations'], selectors: false, ...which }), rules);
    const bad = found.violations.filter(v => ['serious', 'critical', 'moderate'].includes(v.impact));
    check(!bad.length, `${page.url()}: ${bad.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))}`).join('; ')}`);
}

// Texts that lie on one another. The views at the bottom of a phone lie on what scrolls; of a long name the end is hidden.
const overlapping = page => page.evaluate(() => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
    while (walk.nextNode()) {
        const node = walk.currentNode, range = document.createRange();
        if (!node.data.trim() || !node.parentNode.checkVisibility() || node.parentNode.closest('nav, .brand, .vh, .skip, noscript, option')) continue;
        range.selectNodeContents(node);
        // A line is higher than its letters.
        for (const { left, right, top, bottom, height } of range.getClientRects()) texts.push({ node, left, right, top: top + height / 4, bottom: bottom - height / 4 });
    }
    return texts.flatMap((a, i) => texts.slice(i + 1)
        .filter(b => a.node !== b.node && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
        .map(b => `"${a.node.data}" lies on "${b.node.data}"`));
});

const cases = {
    // Every figure of a card is that of the API, and follows it.
    async live() {
        const page = await open();
        const shed = card(page, 'shed');
        await shed.waitFor();
        const values = await page.evaluate(() => fetch('api/v1/packs/shed').then(r => r.json()));
        await has(shed.locator('.soc'), `${Math.round(values.soc_percent)}%`);
        await has(shed.locator('.facts'), `${values.voltage_v.toFixed(2)}\u202fV`);
        await has(shed.locator('.word'), 'Charging');
        await has(shed.locator('.power'), /\+\d/);
        await has(shed.locator('.delta'), `${values.cell_delta_mv}\u202fmV`);
        check(await shed.locator('.bars span').count() === values.cell_count, 'as many bars as cells');
        check(await shed.locator('.bars .max b').textContent() === `▲${values.cell_max_index}`, 'the highest cell is marked');
        check(await page.locator('#live').getAttribute('data-state') === 'live', 'it is live');
        check(/shed|Now/.test(await page.title()), 'the title');
        const boat = card(page, 'boat');
        // A pack with a low cell does not flatten the others.
        await has(shed.locator('.range'), '±20\u202fmV');
        await has(boat.locator('.range'), '±200\u202fmV');
        await has(boat.locator('.bands'), 'State of charge low');
        await has(page.locator('.strip'), 'boat');
        await has(page.locator('.strip'), 'State of charge low');
        for (const bars of ['.strip li', '.bands li']) await has(page.locator(bars), /Cells far apart, cell 3\s*(Warning|Protection)/);
        check((await page.title()).startsWith('(1!)'), `the tab tells of the alarm: ${await page.title()}`);
        say('stop shed');
        await page.locator('.card[data-old] h2 a:text-is("shed")').waitFor();
        check(await shed.locator('.power').isHidden() || await shed.locator('.power').textContent() === '', 'an old power is not shown');
        await has(shed.locator('.word'), /No answer for \d+\ss/);
        await has(shed.locator('.more'), 'last values');
        await has(page.locator('.strip'), 'shed');
        const grey = await shed.locator('.soc').evaluate(n => getComputedStyle(n).color), ink = await boat.locator('.soc').evaluate(n => getComputedStyle(n).color);
        check(grey !== ink, 'old figures look old');
        await has(page.locator('#say'), 'shed');
        // A page that is opened while it is silent is no wiser.
        const other = await open();
        await other.locator('.card[data-old] h2 a:text-is("shed")').waitFor();
        say('go on with shed');
        await page.locator('.card:not([data-old]) h2 a:text-is("shed")').waitFor();
        await has(shed.locator('.word'), 'Charging');
    },

    // The values are asked for before the scripts are there. When those take long, the values are as old as they are.
    async early() {
        const context = await browser.newContext(), page = await context.newPage();
        let asks = 0;
        page.on('request', request => { asks += request.url().endsWith('/api/v1/packs'); });
        const SLOW_MS = 3000;
        await page.route('**/app.js', route => setTimeout(() => route.continue(), SLOW_MS));
        await page.route('**/api/v1/events*', () => {});   // never answered
        await page.goto(asked.url);
        await page.locator('.bat .soc').first().waitFor();
        const told = await page.evaluate(async () => {
            const { ageOf, packs, silence } = await import(document.querySelector('script[src$="app.js"]').src.replace('app.js', 'packs.js'));
            return { age: ageOf(packs.get('shed')), silence: silence() };
        });
        check(asks === 1, `asked ${asks} times`);
        check(told.age > SLOW_MS / 1000 * .8 && told.silence > SLOW_MS / 1000 * .8, JSON.stringify(told));
        // As old as the request are values that took long to come.
        await page.route('**/api/v1/packs', async route => {
            const response = await route.fetch();
            setTimeout(() => route.fulfill({ response }), SLOW_MS);
        });
        const late = await page.evaluate(async () => {
            const { load, silence } = await import(document.querySelector('script[src$="app.js"]').src.replace('app.js', 'packs.js'));
            await load();
            return silence();
        });
        check(late > SLOW_MS / 1000 * .8, `${late} s of silence`);
    },

    // What the house does and did: one line above all, the bank before its packs, each card with today and a way to its pack.
    async today() {
        const page = await open(), day = await page.evaluate(() => fetch('api/v1/today').then(r => r.json())), house = page.locator('.house');
        // The energy goes on, and a page that asks again would show more.
        await page.route('**/api/v1/today', route => route.fulfill({ json: day }));
        const kwh = wh => `${(wh / 1000).toFixed(1)}\u202fkWh`, sum = key => ['shed', 'boat', 'left', 'right'].reduce((so_far, name) => so_far + day[name][key], 0);
        await has(house.locator('.day'), kwh(sum('charged_wh')));
        await has(house.locator('.day'), kwh(sum('discharged_wh')));
        await has(card(page, 'shed').locator('.day'), kwh(day.shed.charged_wh));
        await has(card(page, 'house').locator('.day'), kwh(day.house.discharged_wh));
        await has(house.locator('.more'), '4 of 4 packs');
        const values = await page.evaluate(() => fetch('api/v1/packs').then(r => r.json())), packs = values.filter(p => p.kind === 'pack');
        const size = p => (p.full_ah ?? p.rated_ah ?? p.capacity_ah) * p.voltage_v, whole = packs.reduce((so_far, p) => so_far + size(p), 0);
        const soc = packs.reduce((so_far, p) => so_far + p.soc_percent * size(p), 0) / whole;
        check(Math.abs(parseInt(await house.locator('.soc').textContent()) - soc) <= 1, `${soc} %`);
        const curve = card(page, 'shed').locator('.curve');
        check(/^M.*z$/.test(await curve.locator('.into').getAttribute('d') + await curve.locator('.out').getAttribute('d')), 'the power is drawn');
        await has(curve, /24 h · means .*W … /);
        // Until when, at this draw: rounded down, by the clock.
        const { time_to_empty_s: left } = await page.evaluate(() => fetch('api/v1/packs/boat').then(r => r.json()));
        check(left > 3600 && left < 86400, `empty in ${left} s`);
        await has(card(page, 'boat').locator('.more'), /at this draw until about .*\d+:[03]0$/);
        const order = await page.locator('.grid h2').allTextContents();
        check(order.join() === 'house,shed,boat', `${order}`);
        // Anywhere on the card; a tile in it is a way of its own.
        await has(card(page, 'shed').locator('.day'), 'kWh');   // nothing moves any more
        for (const [place, where] of [['.card:has(h2 a[href="#shed"]) .ends', '#shed'], ['.bank:has(h2 a[href="#house"]) .bat >> nth=0', '#house'], ['.tile[href="#left"] .bat', '#left']]) {
            await page.evaluate(() => { location.hash = ''; });
            await page.locator(place).click({ force: true });   // what covers it is the link
            await page.locator('h1').nth(0).waitFor();
            await page.waitForFunction(hash => location.hash === hash, where);
        }
        // The pack's page: extremes of the day, what its health is, when it had alarms.
        await page.goto(asked.url + '#shed');
        const story = page.locator('[data-section=story]');
        await has(story, 'Cell 7 falls');
        await has(story, `${day.shed.soc_min_percent.toFixed(0)}…${day.shed.soc_max_percent.toFixed(0)}`);
        const apart = story.locator('[data-section=alarms] li', { hasText: 'Cells far apart' });
        await has(apart, /Cells far apart, cell \d+\D.*\d+:\d\d, 30\smin$/);
        const [, from, to] = /^#\/charts\/shed\/30d\/(\d+)-(\d+)\/cell-\d+$/.exec(await apart.locator('a').getAttribute('href'));
        check(to - from === 1800 + 2 * 600, 'the alarm leads to its time');
        check(!/today/i.test(await page.locator('.detail > .card:not(:first-child, [data-section=story])').allTextContents()), 'today is what the history says');
        await page.goto(asked.url + '#boat');
        await has(story.locator('[data-section=alarms] li', { hasText: 'State of charge low' }), /no end reported$/);
        await page.goto(asked.url + '#house');
        await story.locator('[data-section=alarms] a[href^="#/charts/left/30d/"][href*="/cell-"]', { hasText: /Cells far apart, left, cell \d+\D/ }).waitFor();
        // What is old has the scale that it needs. A switch that is open in one pack is said of its bank as that, and in no other words.
        const other = await page.context().newPage();
        await other.route('**/api/v1/packs', async route => {
            const response = await route.fetch(), list = await response.json(), of = name => list.find(p => p.pack === name);
            Object.assign(of('boat'), { state: 'stale', fresh: false });
            of('shed').discharge_mos = of('left').discharge_mos = of('house').discharge_mos = 0;
            await route.fulfill({ response, json: list });
        });
        await other.route('**/api/v1/events*', () => {});   // never answered
        await other.goto(asked.url);
        await has(card(other, 'boat').locator('.range'), '±200\u202fmV');
        await has(card(other, 'house').locator('.more'), 'discharging is switched off (at least one pack)');
        await has(card(other, 'shed').locator('.more.off'), /discharging is switched off(?! \()/);
        check(!/draw/.test(await card(other, 'house').locator('.left').textContent()), 'what an open switch keeps back has no end');
        await other.goto(asked.url + '#house');
        await has(other.locator('.more'), '(at least one pack)');
        check(await other.locator('.switch').count() === 0, 'a bank has no switches');
        await other.close();
        // By the clock of the gateway it is evening: what a night takes, what is left, and whether that is enough. With a hole in the last night
        // that is not known.
        const mocked = await page.context().newPage(), at = () => Math.floor(Date.now() / 1000), zone = hour => Math.round(3600 * hour - at() % 86400);
        let mock;
        await mocked.route('**/api/v1/packs', async route => {
            const response = await route.fetch({ maxRetries: 5 }), list = await response.json();
            const alarms = of => list.find(p => p.pack === of).alarms;
            alarms('boat').push({ name: 'cell_under_voltage', level: 'protection', since: at(), cell: 3 });
            alarms('right').push({ name: 'cell_over_voltage', level: 'warning', cell: 7 });
            for (const name of ['left', 'right']) alarms(name).push({ name: 'soc_high', level: 'warning' });
            for (const name of ['cell_over_voltage', 'soc_high']) alarms('house').push({ name, level: 'warning' });
            mock.change(name => list.find(p => p.pack === name));
            await route.fulfill({ response, json: list, headers: { ...response.headers(), 'x-packgate-zone': String(zone(mock.hour)) } });
        });
        // Never answered, or by a beat with another zone.
        await mocked.route('**/api/v1/events*', route => mock.later && route.fulfill({ contentType: 'text/event-stream', body: `event: beat\ndata: {"time":${at()},"zone":${zone(mock.later)}}\n\n` }));
        await mocked.route('**/api/v1/today', route => {
            mock.days++;
            const power_w = mock.points(at() - at() % 1800), day = { charged_wh: 1000, discharged_wh: 1000, gap_s: 600, power_w };
            return route.fulfill({ json: { shed: { ...day, gap_s: mock.hour > 22 ? 601 : 600 }, house: day, left: day, right: { ...day, gap_s: 4000, power_w: power_w.filter((_, i) => i !== 10) } } });
        });
        const clock = async (hour, points, later, change = () => {}) => {
            mock = { hour, points, later, change, days: 0 };
            if (mocked.url() === 'about:blank') await mocked.goto(asked.url);
            else await mocked.reload();
            await has(card(mocked, 'shed').locator('.day'), 'kWh');
            return mocked;
        };
        const half_hours = now => Array.from({ length: 48 }, (_, i) => [now - 1800 * (47 - i), -100]);
        const night = (name = 'shed') => card(mocked, name).locator('.night');
        await clock(20.8, half_hours);
        await has(night(), /^Enough for tonight\. .* takes about 0\.9\skWh, by the last 24 hours; 4\.9\skWh are left\.$/);
        // From ten to seven by the clock of the gateway, in that of the browser.
        const minutes = async () => {
            const [from, to] = [...(await night().textContent()).matchAll(/(\d+):(\d\d)/g)].map(([, hour, minute]) => 60 * hour + Number(minute));
            return (to - from + 1440) % 1440;
        };
        check(Math.abs(await minutes() - 540) < 2, await night().textContent());
        await has(mocked.locator('.strip'), /Cell under voltage, cell 3\s*Protection for \d/);   // it began while somebody looked
        // A bank says which of its packs has the alarm, or how many.
        await has(card(mocked, 'house').locator('.bands'), /Cell over voltage, right, cell 7\s*Warning.*State of charge high, 2 packs\s*Warning/);
        await has(card(mocked, 'boat').locator('.bands'), /Cell under voltage, cell 3\s*Protection for \d/);
        check(!/draw/.test(await card(mocked, 'boat').locator('.left').textContent()), 'it ends before it is empty');
        check(await mocked.locator('.house .night').isHidden(), 'a pack stops early');
        // What flowed in a gap is not known: of this pack, and in the house of packs without energy; nor of a bank that went on without a pack.
        check(!/≥/.test(await card(mocked, 'shed').locator('.day').textContent()), 'a restart is no gap');
        await has(mocked.locator('.house .day'), '≥\u202f3.0\u202fkWh');
        await has(card(mocked, 'house').locator('.day'), '≥\u202f1.0\u202fkWh');
        check(await night('house').isHidden(), 'the line for all packs says what is not known');
        await clock(23, half_hours);
        await has(night(), /^Enough for tonight\. .* takes about 0\.8\skWh/);
        check(Math.abs(await minutes() - 480) < 2, await night().textContent());
        await has(card(mocked, 'shed').locator('.day'), '≥\u202f1.0\u202fkWh');
        // Summer time begins while the page is open.
        await clock(23, half_hours, 20.8);
        await has(night(), '0.9\u202fkWh');
        // More than is left, about as much, a value that is not known, a hole, and a pack that stops before it is empty.
        const judge = (watt, change, hole) => clock(20.8, now => half_hours(now).filter((_, i) => i !== hole).map(([time]) => [time, watt]), undefined, change);
        await judge(-600);
        await has(night(), /^Not enough for tonight\. .* takes about 5\.4\skWh.* 4\.9\skWh are left/);
        await judge(-500, of => { of('boat').alarms = []; });
        await has(night(), 'Just enough for tonight.');
        await has(mocked.locator('.house .night'), 'is not known');
        const [battery, words] = await Promise.all(['.bat', '.day'].map(part => mocked.locator(`.house ${part}`).boundingBox()));
        check(battery.width > 300 && battery.x + battery.width < words.x, `a battery ${battery.width} px wide, the day at ${words.x}`);
        await judge(-100, of => Object.assign(of('shed'), { power_w: -600, time_to_empty_s: 3600 }));
        await has(night(), /^Enough for tonight only if the draw falls\. .* takes about 0\.9\skWh/);
        const isUnknown = async name => {
            await mocked.evaluate(hash => { location.hash = hash; }, name);
            await has(mocked.locator('.night'), /^\s*Whether it lasts for tonight is not known/);
            await mocked.evaluate(() => { location.hash = ''; });
        };
        await judge(-100, of => { delete of('shed').voltage_v; });
        await isUnknown('#shed');
        await judge(-100, of => { of('shed').discharge_mos = 0; }, 10);
        check(await night().isHidden(), 'a pack that gives nothing lasts for no night');
        await isUnknown('#house');   // there is a hole in the night
        // At midnight a new day begins.
        await clock(24 - 6 / 3600, half_hours);
        while (mock.days < 2) await mocked.waitForTimeout(50);
        await mocked.close();
        // The browser's clock is two days ahead; the gateway's counts. An answer from before the first poll of the day is asked for again
        // soon, and any when the gateway's clock is set back.
        const ahead = await page.context().newPage();
        let early = true;
        await ahead.addInitScript(() => {
            const real = Date.now;
            window.off = 2 * 86400000;
            Date.now = () => real() + window.off;
        });
        await ahead.route('**/api/v1/events*', () => {});
        await ahead.route('**/api/v1/today', route => early ? route.fulfill({ json: { shed: { power_w: [] } } }) : route.continue());
        const [request] = await Promise.all([ahead.waitForRequest('**/alarms?from=*'), ahead.goto(asked.url + '#shed')]);
        const ago = Date.now() / 1000 - new URL(request.url()).searchParams.get('from');
        check(Math.abs(ago - 30 * 86400) < 3600, `alarms of ${ago} s`);
        early = false;
        for (const seconds of [20, -3600])
            await Promise.all([ahead.waitForResponse('**/api/v1/today'), ahead.evaluate(s => { window.off += 1000 * s; }, seconds)]);
        await has(ahead.locator('.card .day'), 'kWh');
    },

    // To be put on the home screen of a phone: the browser finds nothing wrong in the manifest, and its pictures are there.
    async app() {
        const [abroad, letter] = /GMT\+[45]$/.test(asked.zone) ? ['America/Los_Angeles', 'P'] : ['America/New_York', 'E'];
        const page = await open({ timezoneId: abroad, locale: 'en-US' }), session = await page.context().newCDPSession(page);
        const { url, errors, data } = await session.send('Page.getAppManifest');
        check(!errors.length && data, JSON.stringify(errors));
        const { name, display, start_url, icons } = JSON.parse(data);
        check(name === 'packgate' && display === 'standalone' && new URL(start_url, url).href === asked.url, data);
        for (const src of [...icons.map(i => new URL(i.src, url).href), await page.locator('link[rel=apple-touch-icon]').evaluate(n => n.href)]) {
            const wide = await page.evaluate(async src => {
                const image = new Image();
                image.src = src;
                await image.decode();
                return image.naturalWidth;
            }, src);
            check(wide >= (src.endsWith('png') ? 180 : 1), `${src}: ${wide}`);
        }
        // Seen from another zone, times say which one they are of; hours are counted as where the reader lives.
        await page.goto(asked.url + '#/setup');
        await settled(page, '#/setup');
        await has(page.locator('[data-section=events] tbody th'), new RegExp(`\\d:\\d\\d\\s[AP]M\\s${letter}[SD]T`));
        const home = await open({ timezoneId: asked.zone, locale: 'en-GB' }, '#/setup');
        await settled(home, '#/setup');
        await has(home.locator('[data-section=events] tbody th'), /\d\d:\d\d$/);
    },

    // Setup is short: folded, but for what is wrong, what somebody came for, and what was open here before.
    async folded() {
        const long = '/srv/' + 'a-long-name-without-any-space-in-it/'.repeat(6) + 'packgate.ini';
        let broken = false;
        // On a busy machine a pack may be late, which would be wrong with it: of the house nothing is, but for what the case breaks.
        const page = await open({ viewport: { width: 320, height: 640 } }, '', asked.url, async page => {
            await page.route('**/api/v1/packs', async route => {
                const response = await route.fetch({ maxRetries: 5 }), list = await response.json();
                await route.fulfill({ response, json: list.map(p => ({ ...p, state: 'fresh' })) });
            });
            await page.route('**/api/v1/events*', () => {});   // never answered
            await page.route('**/api/v1/gateway', async route => {
                const g = await (await route.fetch({ maxRetries: 5 })).json();
                for (const one of [...g.lines, ...g.packs]) delete one.error;
                g.config.path = g.lines[0].port = long;
                if (broken) Object.assign(g.lines[1], { state: 'closed', error: `cannot open ${long}` });
                await route.fulfill({ json: g });
            });
        });
        const opened = () => page.locator('.setup section:has(> details[open])').evaluateAll(all => all.map(n => n.dataset.section).join());
        await page.goto(asked.url + '#/setup');
        await page.locator('.setup summary').first().waitFor();
        check(await opened() === 'gateway', await opened());
        check(await page.evaluate(() => document.scrollingElement.scrollHeight) < 2 * 640, 'it is short');
        await page.locator('[data-section=config] summary').click();
        await settled(page, '#/setup');
        check(await page.evaluate(() => document.scrollingElement.scrollWidth) <= 320, 'a long path');
        broken = true;
        await page.evaluate(() => localStorage.clear());
        await page.goto(asked.url);
        await page.goto(asked.url + '#/setup/at/this_page');
        await page.locator('.setup summary').first().waitFor();
        check(await opened() === 'gateway,this_page,lines', await opened());
        await has(page.locator('[data-section=lines] summary'), '1 to look at');
    },

    // A pack that has never answered has no figures at all.
    async never() {
        const page = await open();
        const ghost = card(page, 'ghost');
        await has(ghost.locator('.word'), 'Has never answered');
        check((await ghost.locator('.soc').textContent()).trim() === '–', 'no state of charge');
        for (const value of await ghost.locator('.facts dd').allTextContents()) check(value === '–', `unknown, not ${value}`);
        await page.goto(asked.url + '#ghost');
        await has(page.locator('.detail'), 'daly');
        check(await page.locator('.num').evaluateAll(all => all.every(n => !n.checkVisibility() || !/\d/.test(n.textContent))), 'figures of a pack that has never answered');
        check(await page.locator('.card').evaluateAll(all => all.every(n => !n.checkVisibility() || n.textContent)), 'a card has something in it');
    },

    async offline() {
        const page = await open({ bypassCSP: true });
        await page.evaluate(fs.readFileSync(AXE, 'utf8'));
        await card(page, 'shed').waitFor();
        check(await page.locator('#banner').isHidden(), 'no banner while it is live');
        const setup = await open({}, '#/setup'), good = setup.locator('.setup .pill:is(.fresh, .open, .connected, .running)');
        await settled(setup, '#/setup');
        check(await good.count() > 0, 'no state in Setup');
        say('stop the gateway');
        await page.locator('#banner:not([hidden])').waitFor();
        await setup.locator('#banner:not([hidden])').waitFor();
        await good.first().waitFor({ state: 'detached' });
        check(await good.count() === 0, 'states of a silent gateway in Setup');
        await has(page.locator('#banner'), /not answered for \d+/);
        check(await page.locator('#live').getAttribute('data-state') === 'offline', 'it says so');
        check(await page.locator('.card:not([data-old])').count() === 0, 'all of it is old');
        check(await page.locator('.power').evaluateAll(all => all.every(n => !n.textContent.trim())), 'no power is shown');
        check((await page.title()).includes('⚠'), 'the tab says so');
        await accessible(page, { runOnly: ['region'] });
        await page.setViewportSize({ width: 320, height: 640 });
        check(await page.locator('.brand span').evaluate(n => n.scrollWidth <= n.clientWidth), 'the name is cut');
        check(await page.locator('#live span').isHidden(), 'twice the same words');
        const [banner, first] = await Promise.all(['#banner', 'main :is(a, .card) >> nth=0'].map(part => page.locator(part).boundingBox()));
        // Tiles are narrow, and the time since when they are old stays in them; the bar that all alarms of a kind share has its sign in it.
        const spills = await page.evaluate(() => [...document.querySelectorAll('.tile .flow, .strip summary')].filter(n => n.scrollWidth > n.clientWidth || n.getBoundingClientRect().right > n.closest('.bat, li').getBoundingClientRect().right).map(n => n.outerHTML));
        check(!spills.length, `wider than its place: ${spills[0]}`);
        check(first.y - banner.y - banner.height > 10, `${first.y - banner.y - banner.height} px below the banner`);
        // A page that is opened meanwhile is no wiser, and does not call itself live for a while first.
        const other = await open();
        await other.locator('#banner:not([hidden])').waitFor();
        check(await other.locator('#live').getAttribute('data-state') === 'offline', 'it says so at once');
        // Set-up says what that means and what to do, and is there by itself when the gateway is.
        await other.evaluate(() => { location.hash = '#/setup/ports'; });
        await has(other.locator('main'), /Gateway does not answer.*systemctl status packgate/);
        say('go on');
        await other.locator('.guide h1').waitFor();
        await page.locator('#banner[hidden]').waitFor({ state: 'attached' });
        complaints.splice(0, Infinity, ...complaints.filter(words => !/status of 503/.test(words)));
        await page.locator('.card:not([data-old]) h2 a:text-is("shed")').waitFor();
    },

    // What is between holds the stream of events back, as some proxies do: the values are asked for, and nothing that comes late
    // looks fresh.
    async late() {
        const LATE_S = 30;   // more than the page takes for silence of the gateway
        const { server, url } = await relay('', LATE_S), page = await open({}, '', url), begun = Date.now();
        await card(page, 'shed').waitFor();
        await page.evaluate(() => {
            window.seen = new Set();
            const look = () => {
                seen.add(document.querySelector('#live').dataset.state);
                const is = document.querySelector('.card[data-old] h2 a[href="#shed"]') ? 'old' : 'fresh';
                if (window.was && window.was !== is) seen.add(`became ${is}`);
                window.was = is;
            };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
        });
        say('stop shed');
        await page.locator('.card[data-old] h2 a:text-is("shed")').waitFor();
        // Now comes what was said when it was still fresh.
        await page.waitForTimeout(Math.max(0, begun + 1000 * (LATE_S + 4) - Date.now()));
        const seen = await page.evaluate(() => [...window.seen].sort().join());
        check(seen === 'became old,live', seen);
        say('go on with shed');
        await page.locator('.card:not([data-old]) h2 a:text-is("shed")').waitFor();
        await page.context().close();
        server.closeAllConnections();
        server.close();
    },

    // Each event of a pack says when it was sent: one that was held back between two beats is not shown, nor what follows it.
    async held_back() {
        const context = await browser.newContext({ viewport: { width: 1280, height: 860 } }), page = await context.newPage();
        await page.addInitScript(() => {
            window.EventSource = class {
                constructor() { window.stream = this; this.readyState = 1; }
                addEventListener(kind, listener) { this[kind] = listener; }
                close() {}
                say(kind, data) { this[kind]({ data: JSON.stringify(data) }); }
            };
        });
        await page.goto(asked.url);
        const soc = card(page, 'shed').locator('.soc');
        await has(soc, '62%');
        const tell = (ago, percent) => page.evaluate(async ([ago, percent]) => {
            const p = await fetch('api/v1/packs/shed').then(r => r.json());
            if (!ago) window.stream.say('beat', { time: Math.floor(p.time + p.age_s) });
            window.stream.say('pack', { ...p, soc_percent: percent, time: p.time - ago });
        }, [ago, percent]);
        await tell(0, 51);
        await has(soc, '51%');
        await tell(30, 11);
        await page.waitForTimeout(100);   // a frame
        check(await soc.textContent() === '51%', await soc.textContent());
        await tell(0, 52);
        await has(soc, '52%');
        // A laptop slept for an hour, in which performance.now() may stop: what was sent before is not new when it comes then.
        const state = await page.evaluate(async () => {
            const p = await fetch('api/v1/packs/shed').then(r => r.json()), real = Date.now;
            const { isOffline } = await import(document.querySelector('script[src$="app.js"]').src.replace('app.js', 'packs.js'));
            Date.now = () => real() + 3600000;
            window.stream.say('beat', { time: Math.floor(p.time + p.age_s) });
            window.stream.say('pack', { ...p, soc_percent: 13 });
            const isSilent = isOffline();
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            return { isSilent, isShown: document.querySelector('main').textContent.includes('13%') };
        });
        check(state.isSilent && !state.isShown, JSON.stringify(state));
    },

    // Chromium without a language of its host reports one that no format of the browser knows.
    async posix() {
        const page = await open({}, '', asked.url, page => page.addInitScript(() => {
            Object.defineProperty(navigator, 'language', { value: 'en-US@posix', configurable: true });
            Object.defineProperty(navigator, 'languages', { value: ['en-US@posix'] });
        }));
        await has(card(page, 'shed').locator('.soc'), '62%');
        await turn(page, { hash: '#/charts/shed' });
        await settled(page, '#/charts');
        await page.context().close();
    },

    // Each view in each language on the narrowest phone: nothing is wider than the screen, no word was forgotten, nothing that a finger
    // taps is too small, nothing moves for those who do not want it. axe-core finds nothing, light or dark, wide or narrow.
    async views() {
        const axe = fs.readFileSync(AXE, 'utf8'), seen = new Set();
        async function go(page, hash) {
            await turn(page, { hash });
            await settled(page, hash);
        }
        const page = await open({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true, colorScheme: 'dark', bypassCSP: true });
        await page.evaluate(axe);
        await page.evaluate(() => {
            const draw = CanvasRenderingContext2D.prototype.fillText, cut = window.cut = new Set();
            CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
                draw.call(this, text, x, ...more);
                const { a, e } = this.getTransform(), { actualBoundingBoxLeft, actualBoundingBoxRight } = this.measureText(text);
                if (!this.canvas.isConnected) return;   // axe-core measures by drawing
                if (a * (x - actualBoundingBoxLeft) + e < -1 || a * (x + actualBoundingBoxRight) + e > this.canvas.width + 1) cut.add(text);
            };
        });
        for (const language of LANGUAGES) {
            const isFirst = language === LANGUAGES[0];
            await turn(page, { language });
            for (const hash of VIEWS.filter(view => isFirst || !['#/charts', ...TWINS].includes(view))) {
                await go(page, hash);
                if (hash === '#/charts') await page.locator('[data-kind=heat] canvas').waitFor();
                const bad = await page.evaluate(isFirst => {
                    const describe = (words, n, more = '') => `${words}: ${n.outerHTML.slice(0, 120)} ${more}`, box = n => n.getBoundingClientRect();
                    const wide = [...document.querySelectorAll('main *')].filter(n => box(n).right > 321 && !n.closest('pre, .ini, .vh')).map(n => describe('wide', n));
                    const small = !isFirst ? [] : [...document.querySelectorAll('a:not(.skip), button, summary, select, input')].filter(n => n.checkVisibility() && box(n).height)
                        .map(n => [n, box(n.matches('.card h2 > a') ? n.closest('.card') : n)]).filter(([, r]) => r.width < 43.5 || r.height < 43.5)
                        .map(([n, r]) => describe('small', n, `${r.width}x${r.height}`));
                    const moving = !isFirst ? [] : [...document.querySelectorAll('*')].map(n => [n, getComputedStyle(n)])
                        .filter(([, style]) => style.transitionDuration.split(',').some(d => parseFloat(d) > 0) || style.animationName !== 'none').map(([n]) => describe('moves', n));
                    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), raw = [];
                    while (walk.nextNode())
                        if (!walk.currentNode.parentNode.closest('code, pre') && (/^\s*[a-z]+_[a-z_]+\s*$|\{\d\}|undefined|NaN|\[object| [:;?!»]|« /.test(walk.currentNode.data)
                            || document.documentElement.lang === 'fr' && /[^\s\u00a0]: /.test(walk.currentNode.data))) raw.push(walk.currentNode.data);
                    const tiny = !isFirst ? [] : [...document.querySelectorAll('main *')].filter(n => [...n.childNodes].some(child => child.nodeType === 3 && child.data.trim()) && n.checkVisibility()
                        && (parseFloat(getComputedStyle(n).fontSize) || 11) < 11).map(n => describe('tiny', n));
                    const [before, after] = ['‹', '›'].map(sign => [...document.querySelectorAll('.bar :is(a, button)')].find(n => n.textContent === sign));
                    const torn = before && Math.abs(box(before).top - box(after).top) > 1 ? [describe('torn', after)] : [];
                    torn.push(...[...document.querySelectorAll('.charts .seg button:first-child')].filter(n => {
                        const range = document.createRange();
                        range.selectNodeContents(n);
                        return range.getClientRects().length > 1;   // a word is in two lines
                    }).map(n => describe('torn', n)));
                    const pen = document.createElement('canvas').getContext('2d');
                    const short = [...document.querySelectorAll('.bar select, .brand span')].filter(n => n.checkVisibility()).filter(n => {
                        if (n.localName !== 'select') return n.scrollWidth > n.clientWidth;
                        const { font, paddingLeft, paddingRight } = getComputedStyle(n), arrow = 16;
                        pen.font = font;
                        return pen.measureText(n.selectedOptions[0].textContent).width + arrow + parseFloat(paddingLeft) + parseFloat(paddingRight) > n.clientWidth;
                    }).map(n => describe('short', n));
                    // What an alarm is called stands on one line where there is room for it.
                    const broken = [...document.querySelectorAll('.bands b')].filter(n => {
                        const range = document.createRange();
                        range.selectNodeContents(n.firstChild);
                        const { fontWeight, fontSize, fontFamily } = getComputedStyle(n);
                        pen.font = `${fontWeight} ${fontSize} ${fontFamily}`;
                        return range.getClientRects().length > 1 && pen.measureText(n.textContent).width + 60 < n.parentNode.clientWidth;
                    }).map(n => describe('broken', n));
                    const cut = [...window.cut].map(text => `cut: ${text}`);
                    return [...torn, ...short, ...broken, ...cut, ...document.scrollingElement.scrollWidth > 320 ? ['scrolls sideways'] : [], ...wide, ...small, ...tiny, ...moving, ...raw];
                }, isFirst);
                bad.push(...await overlapping(page));
                check(!bad.length, `${language} ${hash || 'now'}: ${bad.slice(0, 5).join('\n')}`);
                if (!isFirst) continue;
                await accessible(page);
                await page.emulateMedia({ colorScheme: 'light' });
                await accessible(page, { runOnly: ['color-contrast'] });   // the rest is as in the dark
                await page.emulateMedia({ colorScheme: 'dark' });
            }
            seen.add(await page.locator('nav').textContent());
        }
        check(seen.size === LANGUAGES.length, `${seen.size} languages`);
        const wide = await open({ colorScheme: 'light', reducedMotion: 'no-preference', bypassCSP: true });
        await wide.evaluate(axe);
        // Tables are cards on a phone.
        for (const hash of ['#/setup', '']) {
            await go(wide, hash);
            await accessible(wide);
        }
        check(await wide.locator('.fill').first().evaluate(n => parseFloat(getComputedStyle(n).transitionDuration)) > 0, 'the level moves');
        // Beside one another two cards are as narrow as on a phone: a sign stands beside its words.
        const tablet = await open({ viewport: { width: 768, height: 1024 }, locale: 'fr-FR' });
        await tablet.locator('.bands b').first().waitFor();
        const [sign, words] = await tablet.evaluate(() => ['.bands .icon', '.bands b'].map(part => document.querySelector(part).getClientRects()[0].top));
        check(Math.abs(sign - words) < 12, `the sign of an alarm at ${sign}, its words at ${words}`);
        for (const width of [768, 900, 1024, 1440]) {
            await tablet.setViewportSize({ width, height: 1024 });
            const out = await tablet.locator('.card *').evaluateAll(all => all.filter(n => n.checkVisibility() && !n.closest('.vh') &&
                n.getBoundingClientRect().right > n.closest('.card').getBoundingClientRect().right + 1).map(n => n.outerHTML.slice(0, 120)));
            check(!out.length, `${width}: outside of its card: ${out[0]}`);
        }
        // One of another browser: English; and what is chosen stays.
        const other = await open({ locale: 'ja-JP' }, '#/setup');
        await has(other.locator('nav'), 'Charts');
        await other.locator('[data-section=this_page] summary').click();
        await other.locator('#language').selectOption('de');
        await has(other.locator('nav'), 'Verlauf');
        await other.locator('#language').waitFor();
        await other.reload();
        await has(other.locator('nav'), 'Verlauf');
        const italian = await open({ locale: 'it-IT' });
        await italian.locator('html[lang=it]').waitFor();   // that of the browser
    },

    async dark() {
        const back = page => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const light = await open({ colorScheme: 'light' }), dark = await open({ colorScheme: 'dark' });
        check(await back(light) !== await back(dark), 'dark as the system is');
        const before = await back(light);
        await light.locator('#theme').click();   // light
        await light.locator('#theme').click();   // dark
        check(await back(light) === await back(dark), 'dark by the button');
        await light.reload();
        check(await back(light) === await back(dark) && await back(light) !== before, 'and it is remembered');
    },

    // Everything can be reached and used without a mouse.
    async keyboard() {
        const page = await open({ reducedMotion: 'no-preference' });
        await card(page, 'shed').waitFor();
        await page.keyboard.press('Tab');
        await page.locator('.skip:focus').waitFor();
        const names = [];
        for (let i = 0; i < 12; i++) {
            await page.keyboard.press('Tab');
            names.push(await page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label')));
            const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
            check(ring !== 'none', `focus can be seen on ${names.at(-1)}`);
            if (names.at(-1) === 'shed') break;
        }
        for (const wanted of ['Now', 'Charts', 'Setup', 'shed']) check(names.includes(wanted), `${wanted} by Tab: ${names}`);
        await page.keyboard.press('Enter');
        await page.locator('h1:text-is("shed")').waitFor();
        check(await page.evaluate(() => document.activeElement.id) === 'main', 'the new view has the focus');
        await page.goto(asked.url + '#/charts/shed');
        const plot = page.locator('[data-kind=soc] .plot');
        await plot.locator('canvas').waitFor();
        await plot.focus();
        const when = page.locator('[data-kind=soc] .when'), latest = await when.textContent();
        await page.keyboard.press('Home');
        await page.waitForFunction(text => document.querySelector('[data-kind=soc] .when').textContent !== text, latest);
        await page.waitForFunction(() => document.querySelector('p.vh[aria-live]').textContent);
    },

    // Below another path, as a reverse proxy has it: every address of the page is relative.
    async prefix() {
        const { server, url } = await relay('/batteries');
        const page = await open({}, '', url);
        await card(page, 'shed').waitFor();
        await page.locator('#live[data-state=live]').waitFor();
        for (const hash of ['', '#/charts', '#/setup']) {
            await page.goto(url + hash);
            await settled(page, hash);
        }
        await page.close();
        server.closeAllConnections();
        server.close();
    },

    // The copy for any web space: a recorded day, from files alone, with the clock of that day.
    async site() {
        const context = await browser.newContext({ locale: 'en-GB' }), page = await context.newPage();
        page.setDefaultTimeout(PATIENCE);
        page.on('console', message => { if (['error', 'warning'].includes(message.type()) && !message.text().includes('willReadFrequently')) complaints.push(message.text()); });
        page.on('pageerror', error => complaints.push(String(error)));
        page.on('response', response => { if (response.status() >= 400 || !response.url().startsWith(asked.url)) complaints.push(`${response.status()} ${response.url()}`); });
        await page.goto(asked.url);
        await card(page, 'shed').waitFor();
        await page.locator('#live[data-state=live]').waitFor();
        const at = await page.evaluate(() => Date.now() / 1000);
        check(at <= asked.until && at > asked.until - 86400, `the clock is not of the recorded day: ${at}`);
        // The card has the recorded values of the last event, up to ten seconds ago, the API those of now.
        const recorded = [];
        for (const end = Date.now() + PATIENCE;; await page.waitForTimeout(100)) {
            recorded.push(await page.evaluate(() => fetch('api/v1/packs/shed').then(r => r.json()).then(shed => `${shed.voltage_v.toFixed(2)}\u202fV`)));
            const shown = await card(page, 'shed').locator('.facts').first().textContent();
            if (recorded.some(text => shown.includes(text))) break;
            check(Date.now() < end, `the card shows ${shown}, recorded is ${new Set(recorded)}`);
        }
        // The 24 hours before this moment, whenever that is in the recorded day.
        const day = (await page.evaluate(() => fetch('api/v1/today').then(r => r.json()))).shed, times = day.power_w.map(([time]) => time);
        check(times.length > 40 && times[0] < at - 85000 && times.at(-1) > at - 3600 && times.at(-1) <= at, `the curve is of ${times[0] - at} to ${times.at(-1) - at} s`);
        for (const hash of ['#shed', '#/charts/shed', '#/setup']) {
            await page.goto(asked.url + hash);
            await settled(page, hash);
        }
        await page.goto(asked.url + '#/setup/start');
        await has(page.locator('.guide pre'), 'packgate setup');
        const [file] = await Promise.all([page.waitForEvent('download'), page.goto(asked.url + '#/charts/shed').then(() => page.locator('a[href*="history.csv"]').click())]);
        const lines = fs.readFileSync(await file.path(), 'utf8').split('\n');
        check(lines[0].startsWith('time,') && lines[0].includes('soc_percent') && lines.length > 500, `${lines.length} lines: ${lines[0]}`);
        check(await page.evaluate(() => fetch('api/v1/packs/shed/switch', { method: 'POST' }).then(r => r.status)) === 403, 'a recording switches nothing');
    },

    // Half a year of rows: every period is drawn, zoom fetches finer rows, gaps are gaps, and CSV has what is shown.
    async charts() {
        const page = await open({}, '#/charts/shed'), asks = [];
        page.on('response', async response => {
            if (response.url().includes('/history?')) asks.push({ url: new URL(response.url()), body: await response.json().catch(() => null) });
        });
        // Each figure beside an axis is that of its line: they differ by as much as they lie apart.
        await page.evaluate(() => {
            const draw = CanvasRenderingContext2D.prototype.fillText, wrong = window.wrong = new Set();
            let last = {};
            CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
                draw.call(this, text, x, y, ...more);
                const { kind } = this.canvas.closest('[data-kind]').dataset;
                if (this.textAlign !== 'right' || kind === 'energy') return;   // that counts from zero in both directions
                const value = Number(text.replace('−', '-').replace(',', '')), isNext = last.canvas === this.canvas && y < last.y;
                const slope = isNext ? (value - last.value) / (last.y - y) : null;
                if (isNext && last.slope != null && !(Math.abs(slope - last.slope) <= .05 * Math.abs(slope))) wrong.add(`${text} of ${kind}`);
                last = { canvas: this.canvas, y, value, slope };
            };
        });
        const kinds = ['cells', 'soc', 'power', 'temperature', 'energy'];
        const drawn = (...kinds) => page.waitForFunction(all => !document.querySelector('.charts[aria-busy]') && all.every(kind => {
            const canvas = document.querySelector(`[data-kind=${kind}] canvas`);
            if (!canvas) return false;
            // Something is drawn beside grid and labels, in the middle of each fifth column.
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let inked = 0;
            for (let i = 0; i < data.length; i += 20) if (data[i + 3] > 40) inked++;
            return inked > 300;
        }), kinds, { polling: 200 });   // to look at all pixels with every frame would keep a core busy
        const levels = { r6h: 'recent', r24h: 'minute', r7d: 'hour', r30d: 'hour', r186d: 'hour', r366d: 'day', rall: null };
        await page.locator('[data-kind=soc] canvas').waitFor();
        for (const [range, level] of Object.entries(levels)) {
            asks.length = 0;
            const begun = Date.now();
            await page.locator(`button[value=${range}]`).click();
            await page.locator(`button[value=${range}][aria-pressed=true]`).waitFor();
            await drawn(...kinds);
            console.log(`${range}: ${Date.now() - begun} ms`);
            const first = asks.find(a => a.body && a.body.soc_percent);
            check(first && (!level || first.body.level === level), `${range} is made of ${first && first.body.level}, not ${level}`);
            check(first.body.soc_percent.some(v => v != null), `${range} has values`);
        }
        const wrong = await page.evaluate(() => [...window.wrong]);
        check(!wrong.length, `figures beside an axis: ${wrong}`);
        // Zoom by drag: minutes instead of hours, of that period alone.
        await page.locator('button[value=r7d]').click();
        await drawn('soc');
        asks.length = 0;
        const box = await page.locator('[data-kind=soc] .u-over').boundingBox(), y = box.y + box.height / 2;
        await page.mouse.move(box.x + box.width * .5, y);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * .55, y, { steps: 5 });
        await page.mouse.up();
        await page.locator('button', { hasText: 'Whole period' }).waitFor();
        const until = Date.now() + PATIENCE;
        while (!asks.some(a => a.body?.soc_percent && a.body.level === 'minute') && Date.now() < until) await page.waitForTimeout(50);
        const fine = asks.find(a => a.body?.soc_percent && a.body.level === 'minute');
        check(fine && fine.url.searchParams.get('to') - fine.url.searchParams.get('from') < 86400, 'zoom fetches finer rows');
        // What is shown is what the file has.
        await page.waitForFunction(() => !document.querySelector('.charts[aria-busy]'));
        const csv = await page.evaluate(() => fetch([...document.querySelectorAll('a.button')].find(a => a.textContent.includes('CSV')).href).then(r => r.text()));
        const lines = csv.trim().split('\r\n'), head = lines[0].split(',');
        check(head[0] === 'time' && head.includes('soc_percent') && head.includes('cell_mv.16'), lines[0]);
        const shown = fine.body.soc_percent.filter(v => v != null).length;
        check(Math.abs(lines.length - 1 - shown) <= 2, `${lines.length - 1} lines for ${shown} points`);
        await page.keyboard.press('Escape');
        await page.locator('button', { hasText: 'Whole period' }).click();
        // One cell out of sixteen.
        await page.locator('button[value=r24h]').click();
        await drawn('cells');
        const seventh = page.locator('[data-kind=cells] .legend button').nth(6);
        check(await page.locator('[data-kind=cells] .legend button').count() === 16, 'sixteen cells');
        const coloured = () => page.evaluate(() => {
            const canvas = document.querySelector('[data-kind=cells] canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let n = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100 && data[i + 1] - data[i] > 60) n++;
            return n;
        });
        // The lowest and the highest are lit by themselves, until one is picked; a link to it shows the same.
        const lit = await page.locator('[data-kind=cells] .legend [data-lit]').allTextContents();
        check(lit.length === 2 && await coloured() > 300, `lit: ${lit}`);
        await has(page.locator('[data-kind=cells]'), /Lowest in this period: cell \d+, −\d/);
        await page.evaluate(() => {
            const read = window.getComputedStyle;
            window.reads = 0;
            window.getComputedStyle = (...what) => {
                window.reads++;
                return read(...what);
            };
        });
        await seventh.click();
        check(await seventh.getAttribute('aria-pressed') === 'true' && new URL(page.url()).hash === '#/charts/shed/24h/cell-7', `it is picked: ${page.url()}`);
        await page.waitForTimeout(100);
        check(await coloured() > 300, 'it stands out');
        const reads = await page.evaluate(() => window.reads);
        check(reads < 16, `the theme is read ${reads} times for sixteen lines`);
        await seventh.click();
        const cells = page.locator('[data-kind=cells]'), fromMean = page.locator('button', { hasText: 'From mean' });
        check(await fromMean.getAttribute('aria-pressed') === 'false', 'voltages of a day');
        await fromMean.click();
        await has(cells.locator('h2'), 'mV');
        await has(cells.locator('.legend'), /\+\d/);
        // The past night has a gap: it is hatched, and no line crosses it.
        const gap = await page.evaluate(async () => {
            const h = await fetch('api/v1/packs/shed/history?values=soc_percent').then(r => r.json());
            return h.soc_percent.filter((v, i) => v == null && i > 10 && i < h.t.length - 10).length;
        });
        check(gap > 30, `a gap of ${gap} minutes`);
        const hatch = await page.evaluate(() => {
            const canvas = document.querySelector('[data-kind=power] canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const wanted = getComputedStyle(document.documentElement).getPropertyValue('--gap').trim().match(/\w\w/g).map(x => parseInt(x, 16));
            let n = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i] === wanted[0] && data[i + 1] === wanted[1] && data[i + 2] === wanted[2]) n++;
            return n;
        });
        check(hatch > 500, `hatched: ${hatch}`);
        // A value between two gaps is a point.
        const inked = await page.evaluate(async () => {
            const { plot } = await import(document.querySelector('script[src$="app.js"]').src.replace('app.js', 'plot.js'));
            const one = plot({ kind: 'soc', heading: '', unit: '%', decimals: 0, names: [''], columns: [[null, 50, null]] }, [0, 3600, 7200], [null, 50, null], [0, 7200], { cursor() {} });
            document.querySelector('.charts').append(one.node);
            one.resize();
            await new Promise(done => setTimeout(done, 200));
            const { canvas } = one.node.querySelector('canvas').getContext('2d'), middle = one.node.querySelector('.u-over').offsetLeft + one.node.querySelector('.u-over').clientWidth / 2;
            const { data } = canvas.getContext('2d').getImageData(middle - 6, 0, 12, 100);
            one.node.remove();
            one.destroy();
            return data.filter((_, i) => i % 4 === 0 && data[i + 3] > 200 && data[i + 1] - data[i] > 60).length;
        });
        check(inked > 8, `${inked} pixels of a point`);
        // A bank has charts of its own.
        await page.locator('select[aria-label=Pack]').selectOption('house');
        await page.locator('[data-kind=difference] canvas').waitFor();
        check(await page.locator('[data-kind=cells]').count() === 0, 'a bank has no cells');
        await page.locator('.charts > [data-kind=energy]:first-child canvas').waitFor();
    },

    // What can be found out by charts, and that an address leads to each of it.
    async ways() {
        const page = await open({}, '#/charts/shed/24h'), fromMean = page.locator('button', { hasText: 'From mean' });
        const at = () => decodeURIComponent(new URL(page.url()).hash), idle = () => page.waitForFunction(() => !document.querySelector('.charts[aria-busy]'));
        const pressed = range => page.locator(`button[value=${range}][aria-pressed=true]`).waitFor(), whole = page.locator('button', { hasText: 'Whole period' });
        await page.locator('[data-kind=energy] canvas').waitFor();
        // The cursor moves in all charts at once, with figures, and is read out.
        await page.locator('[data-kind=cells] .plot').focus();
        await page.keyboard.press('ArrowLeft');
        await page.keyboard.press('PageUp');
        await has(page.locator('p.vh[aria-live]'), /lowest \d+: 3\.\d+\sV.*highest \d+: 3\.\d+\sV.*difference \d+\smV/);
        const lefts = await page.locator('.charts .card:has(.legend):not([data-kind^=health], [data-kind=energy]) .u-cursor-x').evaluateAll(all => all.map(n => n.style.transform));
        check(lefts.length === 4 && new Set(lefts).size === 1, `cursors at ${lefts}`);
        await has(page.locator('[data-kind=soc] .figures'), /lowest \d+\s%\s*highest \d+\s%\s*difference \d+\s%/);
        await has(page.locator('[data-kind=energy] .when'), /^\D*\d+ \w+$/);   // that day, not the sum
        // Period and zoom are in the address: Back leads where one was.
        await page.locator('button[value=r30d]').click();
        await pressed('r30d');
        check(at() === '#/charts/shed/30d', at());
        await idle();
        check(await fromMean.getAttribute('aria-pressed') === 'true', 'a month of cells begins from the mean');
        await page.locator('[data-kind=soc] .plot').focus();
        await page.keyboard.press('+');
        await page.waitForFunction(() => /30d.\d+-\d+$/.test(location.hash));
        const zoomed = at();
        await page.goBack();
        await whole.waitFor({ state: 'hidden' });
        check(at() === '#/charts/shed/30d', at());
        await page.goBack();
        await pressed('r24h');
        await page.goto(asked.url + zoomed);
        await whole.waitFor();
        await whole.click();
        await pressed('r30d');
        await idle();
        // One spike does not set the scale, and the mean is drawn above its band: the black line takes up most of the height.
        await has(page.locator('[data-kind=power] .figures'), /highest \+9\.00/);
        const height = await page.evaluate(() => {
            const canvas = document.querySelector('[data-kind=power] canvas'), { data } = canvas.getContext('2d').getImageData(60, 0, canvas.width - 90, canvas.height - 30);
            const rows = [];
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2]) < 60) rows.push(Math.floor(i / 4 / (canvas.width - 90)));
            return rows.length ? (Math.max(...rows) - Math.min(...rows)) / (canvas.height - 30) : 0;
        });
        check(height > .3, `the mean line takes up ${height} of the height`);
        // When alarms were active: on the time axis and in words, each a link to its time.
        await page.locator('button[value=r186d]').click();
        await pressed('r186d');
        await idle();
        const amber = await page.evaluate(() => {
            const canvas = document.querySelector('[data-kind=soc] canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let n = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i] === 255 && data[i + 1] === 0xb3 && data[i + 2] === 0x1a) n++;
            return n;
        });
        check(amber > 10, `${amber} pixels of alarms`);
        await page.locator('[data-kind=alarms] a', { hasText: /State of charge low/ }).first().click();
        await whole.waitFor();
        await page.goBack();
        // A day by its bar, and back; a day by the date field; earlier and later.
        await page.locator('button[value=r30d]').click();
        await pressed('r30d');
        await idle();
        await page.waitForFunction(() => document.querySelectorAll('[data-kind=energy]').length === 1);
        await has(page.locator('[data-kind=energy] .when'), 'Sum of 30 days');
        await page.locator('[data-kind=energy] .u-over').scrollIntoViewIfNeeded();
        const bars = await page.locator('[data-kind=energy] .u-over').boundingBox();
        await page.mouse.click(bars.x + bars.width * .5, bars.y + bars.height * .5);
        await pressed('r24h');
        check(/^#\/charts\/shed\/24h\/\d{4}-\d\d-\d\d$/.test(at()), at());
        const chosen = at().slice(-10);
        check(await page.locator('input[type=date]').inputValue() === chosen, 'the date field has the day');
        check(await page.locator('button[aria-label=Later]').isEnabled(), 'there is a later');
        await page.locator('button[aria-label=Earlier]').click();
        await page.waitForFunction(was => !location.hash.includes(was), chosen);
        check(Date.parse(chosen) - Date.parse(at().slice(-10)) === 86400000, `the day before ${chosen}: ${at()}`);
        await page.locator('button', { hasText: 'Back to 30 d' }).click();
        await pressed('r30d');
        await page.locator('input[type=date]').fill(chosen);
        await page.waitForFunction(day => location.hash === `#/charts/shed/30d/${day}`, chosen);
        await idle();
        // The map of cells by days: its squares lead to the cell on that day.
        const heat = page.locator('[data-kind=heat]');
        await has(heat, /Lowest in this period: cell \d+/);
        await heat.locator('canvas').scrollIntoViewIfNeeded();
        const map = await heat.locator('canvas').boundingBox();
        await page.mouse.move(map.x + map.width * .6, map.y + 14 * 6.5);
        await has(heat, /Cell 7, \w+,? \d+ \w+: [+−]?\d/);
        await heat.locator('canvas').focus();
        await page.keyboard.press('ArrowUp');
        await has(heat, /Cell 6, /);
        await page.mouse.click(map.x + map.width * .6, map.y + 14 * 6.5);
        await page.waitForFunction(() => /24h.\d{4}-\d\d-\d\d.cell-7$/.test(location.hash));
        await page.locator('[data-kind=cells] .legend li:nth-child(7) button[aria-pressed=true]').waitFor();
        // From a cell of the pack's page to its curve.
        await page.goto(asked.url + '#shed');
        await page.locator('.cellgrid li:nth-child(5)').click();
        await page.locator('[data-kind=cells] .legend li:nth-child(5) button[aria-pressed=true]').waitFor();
        check(at() === '#/charts/shed/24h/cell-5', at());
        // Packs side by side: one chart, one axis, and how far they are from the first.
        await page.goto(asked.url + '#/charts/shed/7d');
        await page.locator('select[aria-label="Compare with"]').selectOption('left');
        await has(page.locator('[data-kind=percent] .legend'), /shed.*left.*\([+−]?\d+\)/);
        check(at() === '#/charts/shed+left/7d', at());
        await idle();
        check(await page.locator('[data-kind=power] .legend li').count() === 2, 'two lines of power');
        check(!/–/.test(await page.locator('[data-kind=power] .legend').textContent()), 'the newest values of both');
        await page.locator('button', { hasText: 'From shed' }).click();
        await has(page.locator('[data-kind=from-first] h2'), 'State of charge');
        await page.locator('a[aria-label="Remove left"]').click();
        await page.locator('[data-kind=cells] canvas').waitFor();
        // A day in which summer time begins or ends is shown whole, and one day is a step from it.
        const begin = Math.floor(Date.now() / 1000) - 2 * 86400;
        for (const [text, hours, before] of [['2026-10-25', 25, '2026-10-24'], ['2026-03-29', 23, '2026-03-28']]) {
            const ends = /values=charged_wh&level=day/;
            await page.route(ends, route => route.fulfill({ json: { level: 'day', step: 86400, t: [begin, begin + 3600 * hours] } }));
            const asks = page.waitForRequest(/history.*values=soc_percent/);
            await page.evaluate(day => { location.hash = `#/charts/shed/24h/${day}`; }, text);
            const { searchParams } = new URL((await asks).url());
            check(searchParams.get('to') - searchParams.get('from') === 3600 * hours, `${searchParams} of ${text}`);
            await idle();
            await page.locator('button[aria-label=Earlier]').click();
            await page.waitForFunction(day => location.hash.endsWith(day), before);
            await page.unroute(ends);
        }
        await page.goto(asked.url + '#/charts/shed/7d');
        await page.locator('[data-kind=cells] canvas').waitFor();
        // What an address asks for and there is not is said, until another period is chosen.
        await page.evaluate(() => { location.hash = '#/charts/shed/5d/cell-99'; });
        await has(page.locator('.hint'), /: 5d, cell-99$/);
        await page.locator('button[value=r7d]').click();
        await page.locator('.hint', { hasText: '5d' }).waitFor({ state: 'hidden' });
        await page.evaluate(() => { location.hash = '#/charts/nobody/7d'; });
        await has(page.locator('main'), 'There is no pack of this name.');
        await page.evaluate(() => { location.hash = '#/chart/shed'; });
        await has(page.locator('main'), /#\/chart\/shed\s*There is no page at this address/);
        check(await page.locator('nav [aria-current]').count() === 0, 'it is none of the views');
        await page.locator('a', { hasText: 'All packs' }).click();
        await card(page, 'house').waitFor();
    },

    // A month on two sheets of paper: sums, a line for each pack, the worst cell and what to do; dark on a screen, not on paper.
    async report() {
        const page = await open({ colorScheme: 'dark' }, '#/charts/house/24h');
        await page.locator('[data-kind=energy] canvas').waitFor();
        await page.locator('a', { hasText: 'Report' }).click();
        await page.locator('.sheet').nth(1).waitFor();
        check(/^#\/report\/house\/\d{4}-\d\d$/.test(new URL(page.url()).hash), page.url());
        await has(page.locator('h1'), /^House of all packs, \w+ \d{4}$/);
        const day = await page.evaluate(() => fetch(`api/v1/packs/house/history?level=day&values=charged_wh,discharged_wh&from=${location.hash.slice(-7)}-01`).then(r => r.json()));
        const sum = column => (column.reduce((a, b) => a + b, 0) / 1000).toFixed(1);
        // The packs go on while it is asked.
        const [told] = (await page.locator('.facts').textContent()).match(/[\d.]+(?=\u202fkWh)/g).filter(kwh => Math.abs(kwh - sum(day.discharged_wh)) < .25);
        check(told, `${sum(day.discharged_wh)} kWh in ${await page.locator('.facts').textContent()}`);
        check(await page.locator('.sheet tbody tr').count() === 16, 'as many packs as there is room for');
        await has(page.locator('.wide'), 'and 2 more');
        await has(page.locator('.sheet .hint'), 'one pack of House of all packs gives to another counts for these packs only');
        await has(page.locator('.worst'), 'Farthest from the other cells: p07 in the cellar behind the door, cell 3');
        await has(page.locator('.to-do'), 'Look at p07 in the cellar behind the door, cell 3');
        const sheets = async () => ((await page.pdf({ preferCSSPageSize: true })).toString('latin1').match(/\/Type\s*\/Page\b/g) || []).length;
        check(await sheets() === 2, `${await sheets()} sheets of paper`);
        await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
        check(await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === 'rgb(255, 255, 255)', 'ink on white');
        check(await page.locator('nav').isHidden() && await page.locator('button', { hasText: 'Print' }).isHidden(), 'nothing to press on paper');
        await page.emulateMedia({ media: 'screen' });
        await page.locator('select').selectOption('p01');
        await has(page.locator('h1'), /^p01 in the cellar behind the door, /);
        await page.locator('.sheet').nth(1).waitFor();
        check(await sheets() === 2, `${await sheets()} sheets of one pack`);
        await page.locator('button[aria-label="Month before"]').click();
        await page.locator('button[aria-label="Month before"]').click();
        await has(page.locator('.empty'), 'Nothing was recorded in this period.');
        check(await page.locator('h1').count() === 1, 'a heading, although there is no sheet');
        await page.evaluate(() => { location.hash = '#/report/p01/2025-13'; });
        await has(page.locator('.hint'), 'Unknown in this address: 2025-13');
        await page.evaluate(() => { location.hash = '#/report/p01/2025-01'; });
        await has(page.locator('.to-do'), 'p01 in the cellar behind the door: No cells were recorded in this month.');
        check(await page.locator('.worst').count() === 0, 'no cell is the worst');
        await page.evaluate(() => { location.hash = '#/report/p01/2025-02'; });
        await has(page.locator('.worst'), 'cell 2, by +35.0\u202fmV in the mean');
        await has(page.locator('.to-do'), 'Look at p01 in the cellar behind the door, cell 2');
        await page.setViewportSize({ width: 320, height: 640 });
        await page.goto(asked.url + '#/charts/p01+p02/24h');
        await page.locator('.plot canvas').first().waitFor();
        const width = () => page.evaluate(() => document.scrollingElement.scrollWidth);
        check(await width() <= 320, 'a name of wide letters');
        // Turned, the bars are drawn for the other width, so that their words are not too small to be read.
        const drawn = () => page.locator('.sheet svg').first().getAttribute('viewBox').then(box => Number(box.split(' ')[2]));
        await page.goto(asked.url + '#/report/p01');
        check(await drawn() < 400, `${await drawn()} px on a phone`);
        await page.setViewportSize({ width: 768, height: 1024 });
        await page.locator('.sheet svg[viewBox^="0 0 700"]').first().waitFor();
        await page.goto(asked.url + '#/setup/at/events');
        await has(page.locator('[data-section=events] td'), 'WWW');
        check(await width() <= 768, `events of a name of wide letters: ${await width()} px`);
    },

    // What the history tells of a pack's health: a sentence, figures, the cells day by day. Days are those of the gateway, wherever
    // somebody looks from.
    async health() {
        for (const [locale, timezoneId, words, figure] of [['en-GB', 'America/Los_Angeles', 'Cell 7 falls', '95.0 %'], ['de-DE', 'Pacific/Auckland', 'Zelle 7 fällt', '95,0 %']]) {
            const page = await open({ locale, timezoneId }, '#/charts/shed');
            const health = page.locator('[data-kind=health]'), cells = page.locator('[data-kind=health-cells]');
            await has(health, words);
            await has(health, figure);
            await cells.locator('canvas').waitFor();
            check(await cells.locator('.legend button').count() === 16, 'sixteen cells');
            const told = await page.evaluate(() => fetch('api/v1/packs/shed/health').then(r => r.json()));
            const name = text => page.evaluate(day => new Date(day + 'T12:00Z').toLocaleDateString(document.documentElement.lang === 'de' ? 'de-DE' : 'en-GB',
                { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' }), text);
            await has(cells.locator('.when'), await name(told.day.at(-1)));
            const seventh = cells.locator('.legend button').nth(6);
            await has(seventh, `−${Math.round(-told['load_mv.7'].at(-1))}`);
            await seventh.click();
            check(await seventh.getAttribute('aria-pressed') === 'true', 'it is picked');
            const energy = page.locator('[data-kind=energy] .plot'), days = await page.evaluate(() => fetch('api/v1/packs/shed/history?level=day&values=charged_wh')
                .then(r => r.json()).then(d => d.day.filter((_, i) => d.charged_wh[i] != null)));
            await energy.waitFor();
            check((await energy.getAttribute('aria-label')).includes(await name(days.at(-1))), `bars: ${await energy.getAttribute('aria-label')}`);
            // Colours of another theme, also of what stands in a canvas.
            const dots = () => page.evaluate(() => {
                const canvas = document.querySelector('[data-kind=health-cells] canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                let lightest = 0;
                for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) lightest = Math.max(lightest, Math.min(data[i], data[i + 1], data[i + 2]));
                return lightest;
            });
            await page.locator('#theme').click();   // light
            const before = await dots();
            await page.locator('#theme').click();   // dark
            await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
            check(await dots() !== before, 'charts are drawn anew in other colours');
        }
    },

    // A hidden tab gives its connection back, and is not live again before it has asked.
    async hidden() {
        const page = await open();
        await card(page, 'shed').waitFor();
        const streams = () => page.evaluate(() => fetch('api/v1/gateway').then(r => r.json()).then(g => g.web.streams));
        const until = async wanted => {
            for (const end = Date.now() + PATIENCE; await streams() !== wanted;) check(Date.now() < end, `not ${wanted} streams`);
        };
        const show = isHidden => page.evaluate(is => {
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
            document.dispatchEvent(new Event('visibilitychange'));
        }, isHidden);
        await until(1);   // those of the cases before are gone
        await show(true);
        await until(0);
        let asks = 0;
        page.on('request', request => { asks += request.url().endsWith('/api/v1/packs'); });
        await show(false);
        await until(1);
        check(asks === 1, `asked ${asks} times`);
        await card(page, 'shed').waitFor();
    },

    // When the server answers with errors the page says so, goes on trying, and comes back by itself.
    async errors() {
        const page = await open(), isBroken = url => url.pathname.includes('/api/v1/');
        const spoil = () => page.route(isBroken, route => route.fulfill({ status: 500, body: 'no' }));
        await card(page, 'shed').waitFor();
        for (const [hash, good] of [['#/charts/shed', '[data-kind=soc] canvas'], ['#/setup', '[data-section=gateway] .facts']]) {
            await spoil();
            await page.goto(asked.url + hash);
            await has(page.locator('main'), 'Gateway does not answer');
            await page.unroute(isBroken);
            await page.locator(good).first().waitFor();
        }
        await spoil();
        await page.reload();
        await has(page.locator('#live'), 'Gateway does not answer');
        await page.setViewportSize({ width: 320, height: 640 });
        await has(page.locator('main'), 'Gateway does not answer');
        check(await page.locator('#live span').isHidden(), 'the same words in four lines beside the name');
        await page.unroute(isBroken);
        await page.locator('[data-section=gateway] .facts').waitFor();
        await page.locator('#live[data-state=live]').waitFor();
        // No room for one more stream: the values are asked for, and then the stream once more.
        await page.route('**/api/v1/events*', route => route.fulfill({ status: 503, body: '{"error":"too many pages are open"}' }));
        await page.goto(asked.url + '#shed');
        await page.reload();
        await page.locator('.bat .soc').first().waitFor();
        await page.waitForRequest(request => request.url().endsWith('/api/v1/packs'));
        const streams = page.waitForResponse(response => response.url().includes('/api/v1/events') && response.ok());
        await page.unroute('**/api/v1/events*');
        await streams;
        await page.locator('#live[data-state=live]').waitFor();
        complaints.splice(0, Infinity, ...complaints.filter(words => !/status of 50[03]/.test(words)));
    },

    // Sixteen packs on a wall: all of them at once, each as large as there is room for; no word is broken on a phone.
    async allowed() {
        const page = await open(), line = page.locator('.may');
        const spaced = text => text.replace(/(\d) (A|V)/g, '$1\u202f$2');
        await has(line, spaced(asked.may));
        check(await line.count() === 1, 'packs without limits have a line');
        await page.goto(asked.url + '#' + asked.pack);
        await has(line, spaced(asked.may));
        for (const width of [320, 1280]) {
            await page.setViewportSize({ width, height: 860 });
            const bad = await overlapping(page), [battery, facts] = await Promise.all(['.bat', '.facts'].map(part => page.locator(`.bank > .left > ${part}`).boundingBox()));
            check(!bad.length && (width < 1000 || facts.x > battery.x + battery.width), `${width}: ${bad[0] ?? 'the values do not stand beside the battery'}`);
        }
        await has((await open({ locale: 'de-DE' })).locator('.may'), spaced(asked.german));
    },

    async wall() {
        const page = await open();
        for (const [language, viewport] of [['en', { width: 1280, height: 860 }], ['en', { width: 3840, height: 2160 }], ['de', { width: 320, height: 640 }], ['fr', { width: 390, height: 800 }]]) {
            await page.setViewportSize(viewport);
            await turn(page, { language });
            await page.waitForFunction(() => document.querySelectorAll('.tile .soc').length === 16);
            await page.locator('.tile .mark[data-level=protection]').first().waitFor();
            // Sixteen alarms of a kind are one bar, there are three at most, and values can be seen below them.
            const bars = page.locator('.strip > li');
            check(await bars.count() === 4 && await bars.locator(':scope:not(.rest)').count() === 3, `${await bars.count()} bars`);
            const values = await page.locator('.house .soc').boundingBox(), first = await bars.first().textContent();
            check(values.y + values.height < viewport.height - 56, `${viewport.width}: values at ${values.y}`);
            if (language === 'en') check(/Cell over voltage,\s*16 packs\s*Protection/.test(first), first);
            const seen = await page.evaluate(() => [...document.querySelectorAll('.tile')].map(n => {
                const box = n.getBoundingClientRect(), mark = n.querySelector('.mark');
                return { right: box.right, bottom: box.bottom, width: box.width, lines: mark.textContent ? mark.getBoundingClientRect().height / parseFloat(getComputedStyle(mark).fontSize) : 0,
                    spills: [...n.querySelectorAll('.name, .mark, .bat, .small, .soc')].some(part => part.getBoundingClientRect().right > box.right + 1) };
            }));
            check(seen.every(tile => tile.right <= viewport.width && !tile.spills && tile.lines < 2.4), `${viewport.width}: ${JSON.stringify(seen.find(tile => tile.spills || tile.lines >= 2.4))}`);
            if (viewport.width > 3000) check(seen.every(tile => tile.bottom <= viewport.height && tile.width > 600), `on a wall: ${JSON.stringify(seen.at(-1))}`);
            await bars.first().locator('summary').click();
            check(await bars.first().locator('.names a').count() === 16, 'the bar names its packs');
            if (language === 'en') await has(bars.first().locator('.names a').first(), /^battery-room-1, cell \d$/);
            await bars.nth(3).locator('summary').first().click();
            check(await page.locator('.strip .rest li:visible').count() === 2, 'the rest is folded');
        }
    },

    // By finger: two zoom, one moves the cursor, a tap opens a pack and picks a cell; nothing needs a mouse above it.
    async touch() {
        const page = await open({ viewport: { width: 390, height: 800 }, reducedMotion: 'no-preference', hasTouch: true, isMobile: true });
        await card(page, 'shed').waitFor();
        await card(page, 'shed').locator('.ends').tap({ force: true });
        await page.locator('h1:text-is("shed")').waitFor();
        await page.locator('nav a[data-view=charts]').tap();
        await page.goto(asked.url + '#/charts/shed');
        await page.locator('[data-kind=soc] canvas').waitFor();
        await page.waitForFunction(() => !document.querySelector('.charts[aria-busy]'));
        // Charts begin below three rows of choices; what one takes along comes behind them.
        const [chart, csv] = await Promise.all(['.charts .card >> nth=0', 'a[href*="history.csv"]'].map(part => page.locator(part).boundingBox()));
        check(chart.y < 240 && csv.y > chart.y + chart.height, `the first chart at ${chart.y}, CSV at ${csv.y}`);
        const over = page.locator('[data-kind=soc] .u-over');
        await over.scrollIntoViewIfNeeded();
        const box = await over.boundingBox(), y = box.y + box.height / 2, session = await page.context().newCDPSession(page);
        const touch = (type, ...xs) => session.send('Input.dispatchTouchEvent', { type, touchPoints: xs.map((part, id) => ({ x: box.x + box.width * part, y, id })) });
        const when = page.locator('[data-kind=soc] .when'), latest = await when.textContent();
        await touch('touchStart', .6);
        for (const part of [.58, .5, .4, .3]) await touch('touchMove', part);
        await page.waitForFunction(text => document.querySelector('[data-kind=soc] .when').textContent !== text, latest);
        await touch('touchEnd');
        await touch('touchStart', .45, .55);
        for (const step of [.02, .08, .16, .25]) await touch('touchMove', .45 - step, .55 + step);
        await touch('touchEnd');
        const whole = page.locator('button', { hasText: 'Whole period' });
        await whole.waitFor();
        await whole.tap();
        await whole.waitFor({ state: 'hidden' });
        await page.locator('[data-kind=cells] .legend button').nth(2).tap();
        check(await page.locator('[data-kind=cells] .legend button').nth(2).getAttribute('aria-pressed') === 'true', 'a cell by a tap');
        await page.evaluate(() => { location.hash = '#boat'; });
        await page.locator('.cellgrid .min').waitFor();
        for (const width of [390, 768]) {
            await page.setViewportSize({ width, height: 1024 });   // on the wider one, the views are at the top
            const room = await page.locator('.cellgrid a').evaluateAll(all => Math.min(...all.map(n => n.children[2].getBoundingClientRect().left - n.children[1].getBoundingClientRect().right)));
            check(room > 2 && (await overlapping(page)).length === 0, `${width}: ${room} px between a voltage and how far it is from the mean`);
            const columns = await page.locator('.cellgrid li').evaluateAll(all => new Set(all.map(n => n.getBoundingClientRect().left)).size);
            check(columns > 1, `${width}: cells in ${columns} column`);
        }
        const narrow = await page.evaluate(() => [...document.querySelectorAll('nav a, main :is(a, button, select, input)')].filter(n => n.offsetParent)
            .map(n => [n.textContent.slice(0, 20), n.getBoundingClientRect()]).filter(([, r]) => r.width < 44 || r.height < 44).map(([text, r]) => `${text} ${r.width} × ${r.height}`));
        check(!narrow.length, `less than 44 px: ${narrow}`);
    },

    // Without [history] it says how to get one.
    async no_history() {
        const page = await open({}, '#/charts');
        await has(page.locator('main'), 'There is no history yet');
        await has(page.locator('pre'), '[history]');
        check(await page.locator('main .hint:visible').count() === 0, 'no chart to be zoomed');
        await page.goto(asked.url + '#/report/shed');
        await has(page.locator('.report pre'), '[history]');
        await has(page.locator('h1'), /^shed, /);
        complaints.length = 0;   // the browser itself complains of an answer with 404
    },

    async switches() {
        const page = await open({ hasTouch: true, isMobile: true }, '#shed'), complained = () => complaints.splice(0, Infinity).filter(c => !/status of 40[19]|status of 50[34]/.test(c));
        const row = page.locator('.switch').first(), dialog = page.locator('dialog');
        await has(row, 'on');
        await row.locator('button', { hasText: 'Switch off' }).click();
        await has(dialog, 'solar yield');
        check(await page.locator('#session').isHidden(), 'nobody is logged in');
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        await page.locator('.switch').nth(1).locator('button').click();
        await has(dialog, 'goes dark');
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        await row.locator('button').click();
        check((await dialog.locator('input[type=password]').boundingBox()).height >= 44, 'a field for a finger');
        await dialog.locator('input[type=password]').fill('no');
        await dialog.locator('button[type=submit]').click();
        await has(dialog.locator('[role=status]'), 'Wrong password');
        await has(row, 'on');
        await dialog.locator('input[type=password]').fill(asked.password);
        await page.keyboard.press('Enter');
        await has(dialog.locator('[role=status]'), 'Confirmed by the BMS');
        await has(row.locator('b'), 'off');
        await has(page.locator('.more'), 'charging is switched off');
        await dialog.waitFor({ state: 'detached' });
        const value = await page.evaluate(() => fetch('api/v1/packs/shed').then(r => r.json()).then(p => p.charge_mos));
        check(value === 0, `the BMS says ${value}`);
        // Logged in by now, which the page says, also after it was loaded anew: no password a second time. An order that comes too
        // late is said to be one.
        await page.locator('#session').waitFor();
        await page.reload();
        await page.locator('#session').waitFor();
        await row.locator('button', { hasText: 'Switch on' }).click();
        await page.route('**/switch', route => route.fulfill({ status: 503, body: '{"error":"too late"}' }));
        await dialog.locator('button[type=submit]').click();
        await has(dialog.locator('[role=status]'), 'Came too late');
        await page.unroute('**/switch');
        check(await dialog.locator('input[type=password]').isHidden(), 'no password is asked for again');
        await dialog.locator('button[type=submit]').click();
        await has(row.locator('b'), 'on');
        await page.locator('#session').click();
        const leave = page.locator('button', { hasText: 'Log out' });
        await leave.click();
        await page.locator('#login').waitFor();
        await page.locator('#session').waitFor({ state: 'hidden' });
        await page.goto(asked.url + '#shed');
        await row.locator('button', { hasText: 'Switch off' }).click();
        await dialog.locator('input[type=password]').waitFor();
        await dialog.locator('button', { hasText: 'Cancel' }).click();
        await dialog.waitFor({ state: 'detached' });
        await page.goto(asked.url + '#locked');
        await has(page.locator('main'), 'Cannot be switched from here');
        await page.locator('[data-section=settings]').waitFor({ state: 'hidden' });   // the BMS tells none
        // What is set in a BMS, where it says so.
        await page.goto(asked.url + '#limits');
        const set = await page.evaluate(() => fetch('api/v1/packs/limits').then(r => r.json()));
        await has(page.locator('[data-section=settings]'), `${(set.set_cell_high_mv / 1000).toFixed(3)}\u202fV`);
        await has(page.locator('[data-section=settings]'), `released at ${(set.set_cell_high_release_mv / 1000).toFixed(3)}`);
        const shown = await page.locator('[data-section=settings] dl > div:visible').count();
        check(shown >= 8, `${shown} settings`);
        // A tunnel for ten minutes, with the password.
        await page.goto(asked.url + '#/setup/at/tunnels');
        const tunnel = page.locator('[data-section=tunnels]');
        await has(tunnel, 'closed');
        await tunnel.locator('button', { hasText: 'Open for 10 min' }).click();
        await has(dialog, 'can change the settings');
        await dialog.locator('input[type=password]').fill(asked.password);
        await page.keyboard.press('Enter');
        await dialog.waitFor({ state: 'detached' });
        await has(tunnel, /open until \d/);
        const opened = await page.evaluate(() => fetch('api/v1/gateway').then(r => r.json()).then(g => g.tunnels[0].open));
        check(opened, 'the gateway says that it is open');
        await tunnel.locator('button', { hasText: 'Close' }).click();
        await dialog.locator('button[type=submit]').click();
        await dialog.waitFor({ state: 'detached' });
        await has(tunnel, 'closed');
        check(!complained().length, 'no other complaints');
    },

    // What is to be known of the gateway, and what others need to connect.
    async setup() {
        const page = await open({}, '#/setup');
        await settled(page, '#/setup');
        await has(page.locator('[data-section=gateway]'), asked.version);
        await has(page.locator('[data-section=lines]'), 'shed');
        await has(page.locator('[data-section=events]'), 'State of charge low');
        const config = page.locator('[data-section=config]');
        await has(config, '[pack shed]');
        check(!(await config.textContent()).includes(asked.secret), 'secrets are masked');
        await has(page.locator('[data-section=connect]'), 'broker = mqtt://');
        const names = await page.locator('.files a').evaluateAll(all => all.map(a => a.getAttribute('href')));
        check(names.length > 8, `${names.length} files`);
        for (const name of names) {
            const text = await page.evaluate(n => fetch(n).then(r => r.ok ? r.text() : ''), name);
            check(text.length > 100, `${name} has ${text.length} characters`);
        }
        // A file that was broken by hand: each mistake at its line, and that it is not in force.
        say('break the configuration');
        await page.locator('.mistake').first().waitFor();
        await has(config.locator('li', { hasText: asked.broken }).locator('.mistake'), asked.mistake);
        await has(config, 'not in force');
        check(!(await config.textContent()).includes(asked.secret), 'secrets are masked now as well');
        say('mend the configuration');
        await page.locator('.mistake').first().waitFor({ state: 'detached' });
        const telegraf = await page.evaluate(() => fetch('api/v1/files/telegraf.conf').then(r => r.text()));
        check(telegraf.includes(new URL(asked.url).hostname), 'files have the address of the gateway');
        // The way to Home Assistant follows the connection to the broker.
        let connected = true;
        await page.route('**/api/v1/gateway', async route => {
            const response = await route.fetch();
            await route.fulfill({ response, json: { ...await response.json(), outlets: [{ kind: 'mqtt', name: 'home', running: true, connected }] } });
        });
        await page.reload();
        await page.locator('[data-section=connect] .pill.connected').waitFor({ state: 'attached' });
        connected = false;
        await page.locator('[data-section=connect] .pill.not_connected').waitFor({ state: 'attached' });
    },

    // Who asks on the port of a [present] and what it was told, in both themes, on a phone over the whole width; no problem.
    async presented() {
        const page = await open({}, '#/setup/at/outlets');
        for (const width of [390, 1280])
            for (const colorScheme of ['light', 'dark']) {
                await page.setViewportSize({ width, height: 844 });
                await page.emulateMedia({ colorScheme });
                const section = page.locator('[data-section=outlets]');
                const row = section.locator('tr', { hasText: 'present x' }), says = row.locator('[data-head=Report]');
                await has(says, /answers; asked every .* by 127\.0\.0\.1:.*; told: charge .* up to .* V, discharge .* A/);
                check(await row.locator('.problem').count() === 0, 'an answer is no problem');
                await has(section.locator('tr', { hasText: 'present can' }).locator('.problem'), 'the port is not open');
                await says.scrollIntoViewIfNeeded();
                const [own, whole] = [await says.boundingBox(), await row.boundingBox()];
                if (width < 600) check(own.width > 0.95 * whole.width, `${own.width} of ${whole.width} for the report`);
                check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `nothing is cut off at ${width}`);
            }
    },

    // The pictures of the documentation: as WebP, which the browser itself makes of what it shows.
    async pictures() {
        const desktop = { viewport: { width: 1200, height: 840 } }, phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
        const shots = [
            ['now', '', desktop], ['charts', '#/charts/shed', { viewport: { width: 1200, height: 1040 } }],
            ['phone', '', { ...phone, colorScheme: 'dark' }],
        ];
        for (const [file, hash, options] of shots) {
            const page = await open(options, hash);
            await settled(page, hash);
            await page.waitForTimeout(2000);   // the levels have come to rest
            await picture(page, path.join(asked.folder, file));
            await page.context().close();
        }
    },

    // How soon something is there, with nothing of the page in the browser's memory.
    async paint() {
        const rounds = [];
        for (let i = 0; i < asked.rounds; i++) {
            const context = await browser.newContext({ viewport: { width: 1280, height: 860 } }), page = await context.newPage();
            let sent = 0;
            const session = await context.newCDPSession(page);
            await session.send('Network.enable');
            session.on('Network.loadingFinished', event => { sent += event.encodedDataLength; });
            await page.addInitScript(() => {
                new MutationObserver((_, me) => {
                    const soc = document.querySelector('.soc');
                    if (!soc || !/\d/.test(soc.textContent)) return;
                    globalThis.figures = performance.now();
                    me.disconnect();
                }).observe(document, { childList: true, subtree: true, characterData: true });
            });
            await page.goto(asked.url);
            await page.waitForFunction(() => globalThis.figures && performance.getEntriesByName('first-contentful-paint').length);
            rounds.push(await page.evaluate(() => ({ paint: performance.getEntriesByName('first-contentful-paint')[0].startTime, figures: globalThis.figures })));
            rounds.at(-1).sent = sent;
            await context.close();
        }
        // What the browser itself takes for a line of text, at the same moment.
        const floor = [];
        for (let i = 0; i < asked.rounds; i++) {
            const context = await browser.newContext(), page = await context.newPage();
            await page.goto(asked.url + 'healthz');
            await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length);
            floor.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
            await context.close();
        }
        const middle = key => rounds.map(r => r[key]).sort((a, b) => a - b)[Math.floor(rounds.length / 2)];
        console.log(`  first paint ${middle('paint').toFixed(0)} ms, first figures ${middle('figures').toFixed(0)} ms, ${(middle('sent') / 1000).toFixed(0)} kB sent (middle of ${rounds.length}; a line of text is painted after ${floor.sort((a, b) => a - b)[Math.floor(floor.length / 2)].toFixed(0)} ms)`);
    },

    // 64 packs in four banks: folded, filtered, and none of them lost.
    async many() {
        const page = await open({ viewport: { width: 1440, height: 900 } });
        await page.locator('article.bank').nth(3).waitFor();
        check(await page.locator('article.bank').count() === 4 && await page.locator('.minis i').count() === 64, 'four banks, 64 packs');
        await page.locator('.chips button', { hasText: 'All' }).filter({ hasText: '64' }).waitFor();
        await page.locator('summary').first().click();
        check(await page.locator('.tile:visible').count() === 16, 'sixteen tiles of one bank');
        const looks = await page.evaluate(() => {
            const bank = document.querySelector('.bank:has(.tile)'), border = part => getComputedStyle(bank.querySelector(part)).borderStyle;
            bank.setAttribute('data-old', '');
            const found = [border('.left > .bat'), border('.tile .bat')];
            bank.removeAttribute('data-old');
            return found.join();
        });
        check(looks === 'dashed,solid', `a fresh pack in a stale bank: ${looks}`);
        await page.locator('.tile').first().click();
        await page.locator('.cellgrid li').first().waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll('.cellgrid .num:not(.dev)')].every(n => /^\d\.\d{3}/.test(n.textContent)));
        await page.goto(asked.url);
        await page.locator('article.bank').nth(3).waitFor();
        const cost = await page.evaluate(() => document.querySelectorAll('*').length);
        check(cost < 8000, `${cost} elements`);
    },

    // Names are what people see, the ids stay in the addresses.
    async names() {
        const page = await open();
        await has(page.locator('.tile .name'), 'Küchenbatterie links');
        await has(page.locator('.tile .name'), 'boat');
        await card(page, 'Batteriespeicher Haus').waitFor();
        await has(page.locator('.brand'), 'Hof <b> & Halle Sonnenhangstraße');
        check((await page.title()).endsWith('Hof <b> & Halle Sonnenhangstraße'), await page.title());
        for (const width of [320, 768, 1280]) {
            await page.setViewportSize({ width, height: 860 });
            // As long as words are where packs are called by what they are and where they stand.
            const torn = await page.locator('.card h2 a, .tile .name').evaluateAll(all => all.flatMap(n => [...n.firstChild.data.matchAll(/\S+/g)].filter(word => {
                const range = document.createRange();
                range.setStart(n.firstChild, word.index);
                range.setEnd(n.firstChild, word.index + word[0].length);
                return range.getClientRects().length > 1;
            })).join());
            check(!torn || width < 400, `${width}: torn: ${torn}`);
            const [brand, live, theme] = await Promise.all(['.brand', '.live', '#theme'].map(part => page.locator(part).boundingBox()));
            check(brand.x + brand.width <= live.x && live.x + live.width <= theme.x && theme.x + theme.width <= width, `${width}: ${JSON.stringify({ brand, live, theme })}`);
        }
        await page.locator('.tile', { hasText: 'Küchenbatterie links' }).click();
        await has(page.locator('h1'), 'Küchenbatterie links');
        check(new URL(page.url()).hash === '#shed', page.url());
        await page.goto(asked.url + '#/setup/at/packs_h');
        await has(page.locator('tr', { hasText: 'Küchenbatterie links' }), 'shed');
    },

    // A gateway without packs says what to do.
    async without_packs() {
        const page = await open();
        await page.goto(asked.url + '#/charts');
        await has(page.locator('h1'), 'Charts');
        await page.goto(asked.url + '#');
        await page.locator('.empty a[href="#/setup/ports"]').waitFor();
        await page.goto(asked.url + '#/setup');
        await page.locator('[data-section=gateway]').waitFor();
        for (const empty of ['lines', 'packs_h']) check(await page.locator(`[data-section=${empty}]`).isHidden(), `no card of ${empty}`);
        await page.goto(asked.url + '#');
        say('add a pack');
        await card(page, 'shed').waitFor();
        complaints.splice(0, Infinity, ...complaints.filter(words => !/ERR_CONNECTION_REFUSED/.test(words)));   // while the page's process starts anew
    },

    // 4 to 48 cells, a meter without cells.
    async cells() {
        const page = await open({ viewport: { width: 1600, height: 900 } });
        for (const count of asked.cells) {
            await page.locator('.card', { has: page.locator(`h2 a:text-is("cells-${count}")`) }).waitFor();
            const bars = page.locator('.card', { has: page.locator(`h2 a:text-is("cells-${count}")`) }).locator('.bars span');
            await page.waitForFunction(n => [...document.querySelectorAll('.card')].some(c => c.querySelectorAll('.bars span').length === n), count);
            check(await bars.count() === count, `${count} cells: ${await bars.count()} bars`);
        }
        check(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
    },
};

Object.assign(cases, require('./guide.js')({ open, turn, check, has, say, complaints, picture, asked: () => asked }));

async function run(line) {
    asked = JSON.parse(line);
    complaints.length = 0;
    try {
        check(cases[asked.case], `no case ${asked.case}`);
        await cases[asked.case]();
        check(!complaints.length, complaints.join('\n'));
        console.log('done');
    } catch (error) {
        console.log(`failed: ${error.stack || error}\n${complaints.join('\n')}`.trim().replaceAll('\n', '\n  '));
        console.log('failed');
    }
    await putBack();
}

async function main() {
    // Room for what axe-core throws away, in MB: else a good part of its time goes into the collection.
    const args = ['--js-flags=--min-semi-space-size=32', ...process.getuid() === 0 ? ['--no-sandbox'] : []];
    browser = await chromium.launch({ executablePath: process.argv[2], args });
    for await (const line of readline.createInterface({ input: process.stdin })) await run(line);
    await browser.close();
}

main();
