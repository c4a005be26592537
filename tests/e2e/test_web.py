# SPDX-License-Identifier: MIT
# tests/run: 45 s
"""The page's server: values as JSON and as a stream, and requests that are rejected."""

import base64
import concurrent.futures
import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse

import test_influx_clock
from harness import PACKGATE, PATIENCE, Program, main, outlet_pid, simulate, until, with_crc16
from web_harness import PACKS, Page, Stream, read_all

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 1s\n"

BOAT = "profile=fixed,cells=8,temps=2,voltage_v=26.1,current_a=-3,soc_percent=12"


def test_values():
    with Page() as page:
        packs = page.await_fresh()
        assert list(packs) == ["shed", "boat", "all"]
        shed = packs["shed"]
        assert shed["kind"] == "pack" and shed["state"] == "fresh" and shed["unit"] == 1 and shed["protocol"] == "topbms"
        assert shed["cell_count"] == 16 and 3000 < shed["cell_mv.16"] < 3600 and "cell_mv.17" not in shed
        assert shed["writable"] == 1 and packs["boat"]["writable"] == 0
        assert shed["alarms"] == [] and shed["alarm_level"] == 0 and "last" not in shed
        assert packs["all"]["kind"] == "bank" and packs["all"]["members"] == ["shed", "boat"]
        one = page.json("/api/v1/packs/shed")
        assert one["pack"] == "shed" and set(one) >= {"voltage_v", "soc_percent", "temp_max_c", "charged_wh", "polls"}
        assert page.ask("/healthz")[2] == b"ok\n"
        # Without [history].
        for path in ("packs/shed/history", "packs/shed/history.csv", "packs/shed/alarms", "packs/shed/health"):
            status, _, body = page.ask(f"/api/v1/{path}")
            assert status == 404 and "[history]" in json.loads(body)["error"]
        assert page.json("/api/v1/today") == {}


def test_page():
    with Page() as page:
        status, headers, body = page.ask("/")
        assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8" and body
        # The style is part of the page and allowed by its hash; injected scripts or styles are not.
        text = gzip.decompress(body).decode()
        style = base64.b64encode(hashlib.sha256(re.search("<style>(.*)</style>", text, re.S)[1].encode()).digest()).decode()
        assert "<script>" not in text and " style=" not in text, text
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy == {"default-src": "'none'", "script-src": "'self'", "style-src": f"'self' 'sha256-{style}'", "connect-src": "'self'",
                          "img-src": "'self'", "manifest-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Access-Control-Allow-Origin"] is None
        status, _, body = page.ask("/", headers={"If-None-Match": headers["ETag"]})
        assert status == 304 and body == b""
        # Files that it loads have names that change with their contents, and are requested once.
        names = re.findall(r'(?:src|href)="(a/[^"]+)"', text)
        assert len(names) > 10 and len({name.split("/")[1] for name in names}) == 1, names
        for name in names:
            status, headers, body = page.ask("/" + name)
            assert status == 200 and "immutable" in headers["Cache-Control"] and headers["Content-Encoding"] == "gzip", (name, headers.items())
            assert gzip.decompress(body) and headers["Content-Type"].split(";")[0] in ("text/javascript", "image/svg+xml", "image/png", "application/manifest+json", "text/css"), name
        assert page.ask("/a/0123456789/app.js")[0] == 404


def test_headers():
    """All answers have them: a document that a browser opens by its address is one of our pages, too."""
    json_type = {"Content-Type": "application/json"}
    cases = [("/api/v1/packs", {}, 200), ("/api/v1/packs/shed", {}, 200), ("/api/v1/gateway", {}, 200), ("/metrics", {}, 200),
             ("/healthz", {}, 200), ("/api/v1/files/evcc.yaml", {}, 200), ("/api/v1/packs/shed/history", {}, 200),
             ("/api/v1/packs/shed/history.csv", {}, 200), ("/api/v1/packs/shed/health", {}, 200),
             ("/api/v1/events", {"method": "HEAD"}, 200), ("/api/v1/packs/nobody", {}, 404), ("/nothing", {}, 404),
             ("/api/v1/packs", {"method": "POST"}, 405), ("/api/v1/login", {"method": "POST", "body": "{}"}, 415),
             ("/api/v1/login", {"method": "POST", "headers": json_type, "body": "{}"}, 403), ("/", {"host": "evil.example"}, 421)]
    with past([(int(time.time()) // 60 * 60 - 3600, 53000, 3300)]) as page:
        for path, how, wanted in cases:
            status, headers, _ = page.ask(path, **how)
            assert status == wanted, (path, status)
            assert headers.get_all("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"], (path, headers.items())
            assert headers.get_all("Cache-Control") in (["no-store"], ["no-store, no-transform"]), (path, headers.items())
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer", path
        with Stream(page.web) as stream:
            assert stream.answer.headers.get_all("Cache-Control") == ["no-store, no-transform"]
        for path in ("/", "/favicon.ico"):
            headers = page.ask(path)[1]
            assert len(headers.get_all("Content-Security-Policy")) == len(headers.get_all("Cache-Control")) == 1, headers.items()


def test_frame():
    """Only listed sites may show the page in a frame."""
    with Page("frame = http://homeassistant.local:8123") as page:
        policy = page.ask("/")[1]["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors http://homeassistant.local:8123"), policy


def test_compression():
    """Large answers are compressed for clients that accept it, and only for these."""
    with Page() as page:
        page.await_fresh()
        for path in ("/api/v1/packs", "/metrics", "/api/v1/gateway", "/api/v1/files/evcc.yaml", "/api/v1/files/map.json"):
            for accept, packed in (("gzip, deflate, br", True), ("deflate;q=1, GZIP;q=0.5", True), ("gzip;q=0", False),
                                   ("br", False), (None, False)):
                status, headers, body = page.ask(path, headers={"Accept-Encoding": accept})
                assert status == 200 and headers["Vary"] == "Accept-Encoding", (path, headers.items())
                is_packed = headers["Content-Encoding"] == "gzip"
                text = gzip.decompress(body) if is_packed else body
                assert is_packed == (packed and len(text) >= 2048), (path, accept, len(text))
        status, headers, body = page.ask("/api/v1/packs/nobody", headers={"Accept-Encoding": "gzip"})
        assert status == 404 and not headers["Content-Encoding"] and json.loads(body)["error"]
        # A browser's HEAD, and one by curl.
        assert page.ask("/api/v1/packs", "HEAD", headers={"Accept-Encoding": "gzip"})[2] == b""
        got = subprocess.run(["curl", "-sSf", "--compressed", f"http://localhost:{page.web}/api/v1/packs"], check=True,
                             stdout=subprocess.PIPE).stdout
        assert len(json.loads(got)) == 3


def test_silent_pack():
    """Stale values are in an object of their own, and the stream reports the change."""
    program, port = simulate("daly", "cells=8,soc=50")
    boat = PACK.format("boat", "sim:cells=8", 2).replace("1s", "60s")  # the bank stays fresh on a slow machine, too
    both = PACK.format("shed", port, 1) + boat + "[bank all]\npacks = shed, boat\nmin_packs = 1\nunit = 9\n"
    with program, Page(packs=both) as page:
        page.await_fresh()
        with Stream(page.web) as stream:
            program.process.send_signal(signal.SIGSTOP)
            try:
                while (event := stream.next("alarm")[1])["kind"] == "alarm":
                    pass
                assert event.pop("time") > 0 and event == {"pack": "shed", "kind": "stale"}, event
                while (pack := stream.next("pack")[1])["fresh"]:
                    pass
                assert pack["state"] == "stale" and "soc_percent" not in pack and pack["last"]["soc_percent"] == 50
                while (later := stream.next("pack")[1])["pack"] != "shed":
                    pass
                assert later["age_s"] > pack["age_s"] and abs(later["time"] - pack["time"]) < 0.3, (pack, later)
                whole = page.json("/api/v1/packs/shed")
                assert "cell_mv.1" not in whole and "cell_mv.1" in whole["last"] and whole["age_s"] > 0.5, whole
                assert whole["alarms"] == [] and whole["polls"] > 0
                # The bank goes on: its alarm began while somebody looked. On a busy machine the outlet may find the bank stale for
                # long, before it gets what was combined without shed; then it does not know when the alarm began.
                alarm, = until(lambda: page.json("/api/v1/packs/all").get("alarms"))
                assert alarm["name"] == "communication_fault", alarm
                stale = [event for event in page.json("/api/v1/gateway")["events"] if event["kind"] == "stale" and event["pack"] == "all"]
                assert stale or 0 <= time.time() + 1 - alarm["since"] < PATIENCE, alarm
            finally:
                program.process.send_signal(signal.SIGCONT)
            while stream.next("alarm")[1]["kind"] != "back":
                pass
        page.await_fresh()


def test_bank_that_is_stale_for_a_moment():
    """The values of shed end here before the gateway has sent the bank without them. Its alarm begins with these; after more than
    two seconds it may have begun before."""
    program, port = simulate("daly", "cells=8,soc=50")
    both = (PACK.format("shed", port, 1) + PACK.format("boat", "sim:cells=8", 2).replace("1s", "60s") +
            "[bank all]\npacks = shed, boat\nmin_packs = 1\nunit = 9\n")
    with program, Page(packs=both) as page:
        def await_event(stream, kind):
            while (event := stream.next("alarm")[1])["kind"] != kind or event["pack"] != "all":
                pass

        def is_known(pause_s):
            """Whether the beginning is, and how long the bank was without values."""
            page.await_fresh()
            until(lambda: page.json("/api/v1/packs/all")["alarms"], lambda alarms: not alarms)
            with Stream(page.web) as stream:
                begun = time.monotonic()
                page.process.send_signal(signal.SIGSTOP)
                program.process.send_signal(signal.SIGSTOP)
                try:
                    await_event(stream, "stale")
                    time.sleep(pause_s)
                finally:
                    page.process.send_signal(signal.SIGCONT)
                try:
                    await_event(stream, "back")
                    took = time.monotonic() - begun
                    alarm, = until(lambda: page.json("/api/v1/packs/all").get("alarms"))
                finally:
                    program.process.send_signal(signal.SIGCONT)
            assert alarm["name"] == "communication_fault" and 0 <= time.time() + 1 - alarm.get("since", time.time()) < PATIENCE, alarm
            return "since" in alarm, took

        assert until(lambda: is_known(0), lambda got: got[1] < 2)[0]
        assert not is_known(3)[0]


def test_an_alarm_keeps_its_age():
    """The clock of a board without a battery is set long after an alarm began."""
    test_influx_clock.PACE = 1
    program, port = simulate("daly", BOAT + ",+5:alarm.soc_low=1")
    with tempfile.TemporaryDirectory() as folder:
        clock = test_influx_clock.Clock(folder)
        clock.move(-1e9)
        with clock.for_programs():
            page = Page(packs=PACK.format("boat", port, 2).replace("1s", "60s"))
        with program, page:
            alarm, = until(lambda: page.json("/api/v1/packs/boat").get("alarms"))
            for moved in (0, 1e8, -3600):
                age = clock.now() - alarm["since"]
                assert 0 <= age + 1 < PATIENCE, (alarm, clock.now())
                clock.move(moved)
                alarm, = page.json("/api/v1/packs/boat")["alarms"]


def test_stream():
    with Page() as page:
        page.await_fresh()
        with Stream(page.web, "/api/v1/events?detail=boat%2Cnobody") as stream:
            assert stream.answer.headers["Content-Type"] == "text/event-stream"
            event, data = stream.next()
            assert event == "beat" and abs(data["time"] - time.time()) < PATIENCE and data["zone"] == time.localtime().tm_gmtoff, data
            first = {data["pack"]: data for data in (stream.next("pack")[1] for _ in range(3))}
            assert list(first) == ["shed", "boat", "all"]
            brief = {"pack", "kind", "state", "fresh", "age_s", "time", "alarms", "soc_percent", "power_w", "voltage_v", "current_a",
                     "cell_delta_mv", "temp_max_c", "alarm_level"}
            assert set(first["shed"]) == brief, set(first["shed"]) ^ brief
            assert "cell_mv.8" in first["boat"]
            for data in first.values():  # when its values were read
                assert 0 <= data["age_s"] and abs(data["time"] + data["age_s"] - time.time()) < PATIENCE, data
            stream.next("beat")


def test_stream_has_news_only():
    """An unchanged pack is not sent again, a silent one with each beat, and nothing more than once a second."""
    stopped, port = simulate("daly", "profile=fixed,cells=8,soc=50")
    packs = PACK.format("gone", port, 1)
    for unit, name in ((2, "calm"), (3, "watched")):
        packs += PACK.format(name, "sim:profile=fixed,cells=8,soc=50", unit).replace("stale_after = 1s\n", "")
    with stopped, Page(packs=packs) as page:
        page.await_fresh()
        with page.raw(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode()) as raw:
            begin = b""
            while b"event:" not in begin:
                begin += raw.recv(1000)
            assert begin.partition(b"\r\n\r\n")[2].startswith(b"retry: 3000\n\n"), begin
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            with Stream(page.web, "/api/v1/events?detail=watched") as stream:
                told = {}
                while told.get("gone", {}).get("fresh") != 0 or len(told) < 3:
                    told.update({event["pack"]: event for event in [stream.next("pack")[1]]})
                stream.next("beat")
                deadline, counts = time.monotonic() + PATIENCE, {}
                # All values of a pack include its counters, which increase. On a busy machine packs may be late once.
                while not (counts.get("gone") == 1 and counts["calm"] == 0 and counts["watched"] >= 2):
                    assert time.monotonic() < deadline, counts
                    counts = {"gone": 0, "calm": 0, "watched": 0}
                    while (event := stream.next())[0] != "beat":
                        if event[0] == "pack":
                            name, state = event[1]["pack"], event[1]["state"]
                            counts[name] += state == told[name]["state"]
                            told[name] = event[1]
                    assert max(counts.values()) <= 11, counts
        finally:
            stopped.process.send_signal(signal.SIGCONT)


def test_a_hung_gateway_is_not_well():
    with Page() as page:
        page.await_fresh()
        head = page.ask("/api/v1/packs")[1]
        assert "X-Packgate" not in head and abs(int(head["X-Packgate-Time"]) - time.time()) < PATIENCE
        with Stream(page.web) as stream:
            page.process.send_signal(signal.SIGSTOP)
            try:
                until(lambda: page.ask("/healthz")[0] == 503)
                assert page.ask("/api/v1/packs")[1]["X-Packgate"] == "silent"
                assert all(pack["state"] == "stale" for pack in page.json("/api/v1/packs"))
                while stream.next("pack")[1]["fresh"]:
                    pass
            finally:
                page.process.send_signal(signal.SIGCONT)
        page.await_fresh()
        assert page.ask("/healthz")[0] == 200


def test_hosts():
    with Page("hosts = battery.example.net") as page:
        for host, status in [("battery.example.net", 421), (f"battery.example.net:{page.web}", 200),
                             (f"localhost:{page.web}", 200), (f"LocalHost.:{page.web}", 200), (f"[::1]:{page.web}", 200),
                             (f"evil.example:{page.web}", 421), ("127.0.0.1", 421), ("a b", 400)]:
            for path in ("/", "/api/v1/packs", "/healthz"):
                assert page.ask(path, host=host)[0] == status, (host, path)
        # An absolute URL in the request line takes precedence over the header.
        assert page.ask(f"http://evil.example:{page.web}/healthz")[0] == 421
        assert page.ask(f"http://localhost:{page.web}/healthz", host="evil.example")[0] == 200
        with page.raw(b"GET /healthz HTTP/1.0\r\n\r\n") as raw:
            assert b" 400 " in read_all(raw).split(b"\r\n")[0]


def test_addresses_and_methods():
    with Page() as page:
        for path in ("/x", "/api", "/api/v1/", "/api/v1/packs/", "/api/v1/packs/nobody", "/api/v1/packs/shed/x", "//",
                     "/../etc/passwd", "/a/../../etc/passwd", "/%2e%2e/etc/passwd", "/a/..%2f..%2fetc%2fpasswd", "/healthz/", "/etc/passwd", "/a/", "/.git/config", "/api/v1/packs/sh%65d"):
            status, _, body = page.ask(path)
            assert status == 404 and "error" in json.loads(body), (path, status, body)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, body = page.ask("/api/v1/packs", method=method)
            assert status == 405 and headers["Allow"] == "GET, HEAD", (method, status, headers.items())
            assert json.loads(body)["error"], body  # and no body
        status, headers, body = page.ask("/api/v1/packs", method="HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 0 and body == b""


@contextlib.contextmanager
def past(rows=(), packs=PACKS):
    """A gateway whose history has these rows of a minute of shed: (t, voltage_mv, c1)."""
    with tempfile.TemporaryDirectory(prefix="packgate-web-") as folder:
        file = os.path.join(folder, "history.db")
        web = f"[history]\nfile = {file}\ncommit = 10s\n"
        if rows:
            with Page(web) as page:
                page.await_fresh()
                await_file(file)
            database = sqlite3.connect(file)
            with database:
                database.execute("DELETE FROM minute")
                database.execute("INSERT OR IGNORE INTO pack(name) VALUES ('shed')")
                database.executemany("INSERT INTO minute(pack, t, n, voltage_mv, voltage_mv_min, voltage_mv_max, c1) VALUES "
                                     "((SELECT id FROM pack WHERE name = 'shed'), ?1, 6, ?2, ?2 - 1000, ?2 + 1000, ?3)", rows)
            database.close()
        with Page(web, packs) as page:
            page.file = file
            yield page


def await_file(file):
    """Until the history has made all its tables, the view of days last."""
    def columns():
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return [row[1] for row in database.execute("PRAGMA table_info(days)")]
        return []
    until(columns, lambda found: "fresh_s" in found)


def history(page, **arguments):
    return page.json("/api/v1/packs/shed/history?" + urllib.parse.urlencode(arguments))


def test_history():
    """In columns, with regular steps, null for missing rows."""
    begin = int(time.time()) // 3600 * 3600 - 7200
    rows = [(begin + 60 * i, 53000 + i, 3300 + i) for i in range(60) if not 10 <= i < 20]
    with past(rows) as page:
        got = history(page, **{"from": begin, "to": begin + 3600, "values": "voltage_v,cell_mv.1", "level": "minute"})
        assert got["level"] == "minute" and got["step"] == 60
        assert got["t"] == [begin + 60 * i for i in range(60)]
        assert got["voltage_v"] == [None if 10 <= i < 20 else (53000 + i) / 1000 for i in range(60)]
        assert got["cell_mv.1"] == [None if 10 <= i < 20 else 3300 + i for i in range(60)]
        assert set(got) == {"level", "step", "t", "voltage_v", "cell_mv.1"}
        # ISO 8601, too; the finest step that needs no more than the requested points.
        iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin))
        assert history(page, **{"from": iso, "to": begin + 3600, "values": "voltage_v", "points": 60})["level"] == "minute"
        assert history(page, **{"from": iso, "to": begin + 3600, "values": "voltage_v", "points": 59})["level"] == "hour"
        extremes = history(page, **{"from": begin, "to": begin + 120, "values": "voltage_v", "extremes": 1, "level": "minute"})
        assert extremes["voltage_v_min"] == [52, 52.001] and extremes["voltage_v_max"] == [54, 54.001]
        days = history(page, **{"from": begin - 3 * 86400, "to": begin, "values": "charged_wh,soc_peak_percent", "level": "day"})
        assert days["step"] == 86400 and 3 <= len(days["t"]) <= 5
        assert days["day"] == [time.strftime("%Y-%m-%d", time.localtime(t)) for t in days["t"]], days
        assert all(time.localtime(t)[3:6] == (0, 0, 0) for t in days["t"])
        for wrong in ({"values": "colour"}, {"from": "yesterday"}, {"points": 3}, {"level": "week"}, {"points": "9" * 30},
                      {"from": begin, "to": begin - 1}, {"values": ""}, {"from": "2026-02-30"}, {"day": "2026-02-30"}, {"from": "2026-02-22T24:30"}):
            status, _, body = page.ask("/api/v1/packs/shed/history?" + urllib.parse.urlencode(wrong))
            assert status == 400 and json.loads(body)["error"].startswith("'" + next(iter(wrong))), (wrong, body)


def test_history_ends_now():
    """Rows that are not in the database yet come from memory."""
    with past() as page:
        page.await_fresh()

        def times():
            got = history(page, **{"from": int(time.time()) - 60, "values": "soc_percent,cell_mv.16"})
            assert got["step"] == 10
            return [t for t, soc in zip(got["t"], got["soc_percent"]) if soc is not None]
        known = until(times, lambda known: len(known) >= 3 and known[-1] > time.time() - 21)
        # No value is counted twice, and none is lost between database and memory.
        assert known == list(range(known[0], known[-1] + 1, 10)), known
        day = history(page, **{"from": int(time.time()) - 60, "values": "soc_percent,charged_wh", "level": "day"})
        # At midnight there are two days, and the new one has no rows yet.
        assert any(soc is not None for soc in day["soc_percent"]) and any(wh is not None for wh in day["charged_wh"]), day


def insert(file, table, **values):
    database = sqlite3.connect(file, timeout=PATIENCE)
    with database:
        name = values.pop("pack")
        database.execute("INSERT OR IGNORE INTO pack(name) VALUES (?)", [name])
        database.execute(f"INSERT OR REPLACE INTO {table}(pack, {', '.join(values)}) VALUES ((SELECT id FROM pack WHERE name = ?)"
                         + ", ?" * len(values) + ")", [name, *values.values()])
    database.close()


def midnight():
    return int(time.mktime((*time.localtime()[:3], 0, 0, 0, 0, 0, -1)))


def test_today():
    """Energy, extremes and the power of each source; for a pack that reports none of it, nothing."""
    mute = "[line mute]\nport = tcp://127.0.0.1:9\nprotocol = daly\n[pack mute]\nline = mute\nunit = 3\n"
    with past(packs=PACKS + mute) as page:
        page.await_fresh("shed", "boat", "all")
        await_file(page.file)
        half = int(time.time()) // 1800 * 1800 - 7200
        day = int(time.strftime("%Y%m%d"))
        for minute, watts in ((0, 100), (60, 200), (1740, 900), (1800, -50)):
            insert(page.file, "minute", pack="shed", t=half + minute, n=6, power_w=watts)
        insert(page.file, "minute", pack="boat", t=half + 7200 - 86400 - 60, n=6, power_w=77)
        insert(page.file, "day", pack="shed", day=day, n=6, power_w=10, charged_wh=5000.26, discharged_wh=70, soc_permille_min=203,
               soc_permille_max=999, fresh_s=100, c1_min=3101, c1_max=3300, c2_min=3200, c2_max=3599)
        insert(page.file, "day", pack="mute", day=day, n=6, charged_wh=0, discharged_wh=0)
        got = page.json("/api/v1/today")
        if int(time.strftime("%Y%m%d")) != day:
            return  # midnight has just passed
        so_far = time.time() - midnight()
        assert so_far - PATIENCE <= got["mute"].pop("gap_s") <= so_far, got
        assert list(got) == ["shed", "boat", "mute", "all"] and got["mute"] == {"power_w": []}, got
        shed = got["shed"]
        assert shed["power_w"][:2] == [[half, 400], [half + 1800, -50]], shed
        # The current interval is there, too, from memory; never more than a day.
        assert shed["power_w"][-1][0] > time.time() - 3600 and got["boat"]["power_w"][0][0] > time.time() - 3600, got
        assert so_far - 100 - PATIENCE <= shed["gap_s"] <= max(0, so_far - 100), (shed, so_far)
        assert 5000.2 <= shed["charged_wh"] < 5100 and 70 <= shed["discharged_wh"] < 100, shed
        assert shed["soc_min_percent"] == 20.3 and shed["soc_max_percent"] == 99.9
        assert [shed[f"cell_{name}"] for name in ("min_mv", "min_index", "max_mv", "max_index")] == [3101, 1, 3599, 2], shed
        assert "charged_wh" in got["all"] and "cell_min_mv" not in got["all"], got["all"]
        assert page.ask("/api/v1/today", method="POST", body="{}")[0] in (403, 405)
    # With many packs the steps are longer.
    with past(packs="".join(mute.replace("mute", f"mute-{n}").replace("unit = 3", f"unit = {n}").replace(":9", f":{n}") for n in range(1, 10))) as page:
        await_file(page.file)
        hour = int(time.time()) // 3600 * 3600 - 7200
        insert(page.file, "hour", pack="mute-9", t=hour, n=6, power_w=-123)
        assert page.json("/api/v1/today")["mute-9"] == {"power_w": [[hour, -123]]}


def test_alarms():
    """From the events of the database, and newer ones from memory."""
    low, port = simulate("daly", BOAT + ",alarm.soc_low=1")
    begun = int(time.time())
    with low, past(packs=PACK.format("boat", port, 1)) as page:
        path = "/api/v1/packs/boat/alarms"
        page.await_fresh()
        await_file(page.file)
        # Since when is not known of the first values.
        alarm, = until(lambda: page.json("/api/v1/packs/boat")["alarms"], bool)
        assert alarm["name"] == "soc_low" and "since" not in alarm, alarm
        for t, text in ((50, "on"), (90, "off")):
            insert(page.file, "event", pack="boat", t=begun - 7200 + t, kind="alarm", name="cell_imbalance", level=2, text=text)
        # Which cell that was is told by the minute in which it began.
        insert(page.file, "minute", pack="boat", t=(begun - 7150) // 60 * 60, n=6, c1=3300, c2=3310, c3=3210, c4=3300)
        old = {"name": "cell_imbalance", "level": "protection", "since": begun - 7150, "until": begun - 7110, "cell": 3}

        first, going_on = until(lambda: page.json(path), lambda got: len(got) == 2)
        assert first == old and going_on["name"] == "soc_low" and going_on["until"] is None, going_on
        # A ten-second row, and later the event itself.
        assert begun - 10 <= going_on["since"] <= time.time() + 1, (going_on, begun)
        low.stop()
        with Program(PACKGATE, "simulate", "--protocol", "daly", "--tcp", port.removeprefix("tcp://"), "--options", BOAT):
            ended = until(lambda: page.json(path), lambda got: got[-1]["until"])[-1]
        assert begun < ended["until"] <= time.time() + 1, ended
        assert page.json(f"{path}?from={begun - 7120}&to={begun - 7000}") == [old]
        assert page.json(f"{path}?from={begun - 7000}&to={begun - 6000}") == []
        assert page.ask(f"{path}?from=yesterday")[0] == 400 and page.ask(path, method="POST", body="{}")[0] in (403, 405)


def test_alarms_of_a_bank():
    """Each says in which pack it began, and in which of its cells, if the history has both."""
    with past() as page:
        page.await_fresh()
        await_file(page.file)
        begun = int(time.time()) // 60 * 60 - 3600

        def alarm(pack, t, text, name="cell_over_voltage"):
            insert(page.file, "event", pack=pack, t=begun + t, kind="alarm", name=name, level=1, text=text)
        # That of shed goes on when that of boat begins, which is the same one to the bank.
        for pack, t, text in (("nobody", 0, "on"), ("shed", 0, "on"), ("all", 1, "on"), ("boat", 20, "on"), ("shed", 30, "off"), ("boat", 60, "off"),
                              ("all", 60, "off"), ("boat", 600, "on"), ("all", 600, "on"), ("boat", 630, "off"), ("all", 631, "off"), ("all", 640, "on"), ("all", 660, "off")):
            alarm(pack, t, text)
        for text in ("on", "off"):
            alarm("shed", 1200, text, "soc_low")
            alarm("all", 1200 + (text == "off"), text, "soc_low")
        insert(page.file, "minute", pack="shed", t=begun, n=6, c1=3300, c2=3610, c3=3300)
        first, second, third, fourth = page.json("/api/v1/packs/all/alarms")
        assert first == {"name": "cell_over_voltage", "level": "warning", "since": begun + 1, "until": begun + 60, "pack": "shed", "cell": 2}, first
        assert second["pack"] == "boat" and "cell" not in second, second
        assert "pack" not in third and "cell" not in third, third
        assert fourth["name"] == "soc_low" and fourth["pack"] == "shed" and "cell" not in fourth, fourth


def test_csv():
    begin = int(time.time()) // 3600 * 3600 - 7200
    rows = [(begin + 60 * i, 53000 + i % 1000, 3300 + i % 100) for i in range(-12000, 60) if not 10 <= i < 20]
    with past(rows) as page:
        arguments = urllib.parse.urlencode({"from": begin, "to": begin + 3600, "level": "minute", "values": "voltage_v,cell_mv.1"})
        status, headers, body = page.ask(f"/api/v1/packs/shed/history.csv?{arguments}")
        assert status == 200 and headers["Content-Type"] == "text/csv; charset=utf-8"
        assert headers["Content-Disposition"].startswith('attachment; filename="shed-20')
        text = body.decode()
        assert text.endswith("\r\n")
        table = list(csv.reader(io.StringIO(text, newline="")))
        assert table[0] == ["time", "voltage_v", "cell_mv.1"] and len(table) == 51
        assert table[11][1:] == ["53.020", "3320"]
        # The same as the program prints without the service.
        arguments = urllib.parse.urlencode({"from": begin, "to": begin + 3600, "level": "minute"})
        exported = subprocess.run([PACKGATE, "export", "-c", page.path, "--pack", "shed", "--from", str(begin), "--to",
                                   str(begin + 3600), "--level", "minute"], check=True, stdout=subprocess.PIPE).stdout.decode()
        downloaded = page.ask(f"/api/v1/packs/shed/history.csv?{arguments}")[2].decode()
        table = [list(csv.DictReader(io.StringIO(text, newline=""))) for text in (downloaded, exported)]
        # The page asks a gateway that may have read the cells by now, the program uses the configuration: columns
        # that both have.
        both = [name for name in table[0][0] if name in table[1][0]]
        assert {"time", "voltage_v", "soc_percent"} <= set(both) and len(table[0]) == len(table[1]) == 50, both
        assert [[row[name] for name in both] for row in table[0]] == [[row[name] for name in both] for row in table[1]]
        # A long one arrives in pieces, and each row once.
        everything = page.ask(f"/api/v1/packs/shed/history.csv?from={begin - 12000 * 60}&level=minute")[2].decode()
        times = [row[0] for row in csv.reader(io.StringIO(everything, newline=""))][1:]
        assert len(everything) > 600000 and len(rows) <= len(times) == len(set(times)), (len(everything), len(times))
        assert page.ask("/api/v1/packs/shed/history.csv", method="HEAD")[0] == 200
        day = time.strftime("%Y-%m-%d", time.localtime(begin))
        table = list(csv.reader(io.StringIO(page.ask(f"/api/v1/packs/shed/history.csv?day={day}")[2].decode())))
        assert table[1][0].startswith(day)


PASSWORD = "correct horse"


@contextlib.contextmanager
def locked(more="", packs=PACKS.replace("topbms", "daly"), password=PASSWORD):
    """A page with a password."""
    with tempfile.TemporaryDirectory(prefix="packgate-web-") as folder:
        file = os.path.join(folder, "password")
        subprocess.run([PACKGATE, "password", file], input=password.encode() + b"\n", check=True, stdout=subprocess.DEVNULL)
        assert os.stat(file).st_mode & 0o777 == 0o600
        with open(file) as written:
            text = written.read()
        assert text.startswith("$y$") and password not in text
        with Page(f"password_file = {file}\n{more}", packs) as page:
            page.file = file
            page.await_fresh()
            yield page


def post(page, path, body, cookie=None, **headers):
    """From a page of this server, unless `headers` differ (None: without)."""
    usual = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{page.web}", "Cookie": cookie}
    headers = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    return page.ask("/api/v1/" + path, "POST", headers, body if isinstance(body, (str, bytes)) else json.dumps(body))


def log_in(page):
    status, headers, body = post(page, "login", {"password": PASSWORD})
    assert status == 204 and body == b"", (status, body)
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    return cookie, attributes


def test_switching():
    with locked() as page:
        order = {"charge_mos": 0}
        assert page.json("/api/v1/packs/shed")["charge_mos"] == 1
        assert post(page, "packs/shed/switch", order)[0] == 401
        assert post(page, "packs/shed/switch", order, "packgate=" + "0" * 64)[0] == 401
        cookie, attributes = log_in(page)
        assert re.fullmatch("packgate=[0-9a-f]{64}", cookie)
        assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/"}
        with Stream(page.web) as stream:
            status, _, body = post(page, "packs/shed/switch", order, cookie)
            assert status == 200 and json.loads(body) == {"result": "confirmed"}, (status, body)
            while (event := stream.next("alarm")[1])["kind"] != "switched":
                pass
            assert event["pack"] == "shed" and event["confirmed"] == 1
        page.wait_for(r"web: 127\.0\.0\.1 orders shed")
        until(lambda: page.json("/api/v1/packs/shed")["charge_mos"], lambda on: on == 0)
        assert post(page, "packs/shed/switch", {"charge_mos": True, "discharge_mos": 1}, cookie)[0] == 200
        assert post(page, "packs/boat/switch", order, cookie)[0] == 403  # not writable
        assert post(page, "packs/all/switch", order, cookie)[0] == 403
        assert post(page, "packs/nobody/switch", order, cookie)[0] == 404
        for wrong in ({}, {"charge_mos": 2}, {"charge_mos": "0"}, {"charge_mos": None}, {"mos": 1}, {"charge_mos": 1, "x": 1}, [],
                      "", "{", '{"charge_mos":0,"charge_mos":1}', b"\xff", "null"):
            assert post(page, "packs/shed/switch", wrong, cookie)[0] == 400, wrong
        assert post(page, "logout", {}, cookie)[0] == 204
        assert post(page, "packs/shed/switch", order, cookie)[0] == 401


def request_of(page, path, body, cookie):
    """The bytes of a POST."""
    body = json.dumps(body)
    return (f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\nOrigin: http://127.0.0.1:{page.web}\r\nCookie: {cookie}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def test_old_orders():
    """Orders that were in a socket while the page's process stood still are not executed, by whatever way they
    arrived; nor those in the pipe of a gateway that stood still."""
    tunnel = PACKS.replace("topbms", "daly") + "[tunnel shed]\nlisten = 127.0.0.1:0\n"
    with locked(packs=tunnel) as page, contextlib.ExitStack() as opened:
        cookie, _ = log_in(page)
        off, tunnel = request_of(page, "packs/shed/switch", {"charge_mos": 0}, cookie), request_of(page, "tunnels/shed", {"for": "1h"}, cookie)
        rested = opened.enter_context(page.raw(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode()))
        while not rested.recv(4096).endswith(b"ok\n"):
            pass
        begun = opened.enter_context(page.raw(off[:-10]))
        page.json("/api/v1/packs")  # it has read this by now
        outlet = outlet_pid(page, "web")
        os.kill(outlet, signal.SIGSTOP)
        try:
            rested.sendall(off)
            begun.sendall(off[-10:])
            clients = [rested, begun, *(opened.enter_context(page.raw(request)) for request in (off, tunnel))]
            time.sleep(4)  # the stop is what is tested
        finally:
            os.kill(outlet, signal.SIGCONT)
        # Closed, or refused: in a turn that had begun before the stop, which a busy machine draws out, nothing is closed yet.
        said = [read_all(client) for client in clients]
        assert all(not text or text.startswith((b"HTTP/1.1 409 ", b"HTTP/1.1 503 ")) for text in said), said
        until(lambda: page.ask("/healthz"), bears=ConnectionResetError)  # on a busy machine another turn can be late
        assert page.json("/api/v1/packs/shed")["charge_mos"] == 1 and not page.json("/api/v1/gateway")["tunnels"][0]["open"]
        assert post(page, "packs/shed/switch", {"charge_mos": 0}, cookie)[0] == 200
        until(lambda: page.json("/api/v1/packs/shed")["charge_mos"], lambda on: on == 0)

        page.process.send_signal(signal.SIGSTOP)
        try:
            waiting = opened.enter_context(page.raw(request_of(page, "packs/shed/switch", {"charge_mos": 1}, cookie)))
            assert post(page, "tunnels/shed", {"for": "1h"}, cookie)[0] == 504
        finally:
            page.process.send_signal(signal.SIGCONT)
        assert waiting.recv(4096).startswith(b"HTTP/1.1 504 ")
        page.await_fresh()
        assert not page.json("/api/v1/gateway")["tunnels"][0]["open"] and page.json("/api/v1/packs/shed")["charge_mos"] == 0


def test_only_pages_of_ours_change_anything():
    with locked() as page:
        cookie, _ = log_in(page)
        for path, body in (("packs/shed/switch", {"charge_mos": 0}), ("tunnels/shed", {"for": "1m"}), ("login", {"password": PASSWORD}), ("logout", {})):
            for origin in (None, "null", "http://evil.example", f"http://evil.example:{page.web}", "http://127.0.0.1",
                           f"http://localhost:{page.web}"):
                assert post(page, path, body, cookie, Origin=origin)[0] == 403, (path, origin)
            for kind in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"):
                assert post(page, path, body, cookie, Content_Type=kind)[0] == 415, (path, kind)
            # The client behind the proxy is unknown.
            for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Proto"):
                assert post(page, path, body, cookie, **{name: "127.0.0.1"})[0] == 403, (path, name)
            assert page.ask("/api/v1/" + path)[0] == 405
        assert page.json("/api/v1/packs/shed")["charge_mos"] == 1


def test_tunnel():
    tunnel = PACKS.replace("topbms", "daly") + "[tunnel shed]\nlisten = 127.0.0.1:0\n"
    with locked(packs=tunnel) as page:
        def state():
            return page.json("/api/v1/gateway")["tunnels"][0]

        assert not state()["open"]
        assert post(page, "tunnels/shed", {"for": "10m"})[0] == 401
        cookie, _ = log_in(page)
        assert post(page, "tunnels/shed", {"for": "10m"}, cookie, Origin="http://evil.example")[0] == 403
        status, _, body = post(page, "tunnels/shed", {"for": "10m"}, cookie)
        told = json.loads(body)
        assert status == 200 and told["open"] and abs(told["until"] - time.time() - 600) < PATIENCE, (status, body)
        page.wait_for(r"tunnel shed: opened by .*127\.0\.0\.1 for 600 s")
        opened = state()
        assert opened["open"] and "127.0.0.1" in opened["by"], opened
        # Only users who are logged in, and clients on this host, see the sender.
        away = page.json("/api/v1/gateway", headers={"X-Forwarded-For": "192.0.2.1"})["tunnels"][0]
        assert away["open"] and "by" not in away and "client" not in away, away
        host, port = opened["listen"][0].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as program:
            assert post(page, "tunnels/shed", {"for": "0s"}, cookie)[0] == 200
            with contextlib.suppress(ConnectionResetError):  # closed before the gateway had accepted it
                assert program.recv(1) == b""
        assert not state()["open"]
        assert post(page, "tunnels/shed", {"for": "1h"}, cookie)[0] == 200 and state()["open"]
        for name, status in (("nobody", 404), ("", 404), ("a%20b", 404), ("x" * 40, 404)):
            assert post(page, f"tunnels/{name}", {"for": "10m"}, cookie)[0] == status, name
        for wrong in ({}, {"for": "25h"}, {"for": 600}, {"for": "ever"}, {"for": "10m", "who": "x"}, {"for": "-1s"}, {"for": "100ms"}):
            assert post(page, "tunnels/shed", wrong, cookie)[0] in (400, 409), wrong
        assert page.ask("/api/v1/tunnels/shed")[0] == 405


def test_only_from_allow_write():
    with locked("allow_write = 192.0.2.0/24") as page:
        assert post(page, "login", {"password": PASSWORD})[0] == 403
        assert page.ask("/api/v1/packs")[0] == 200
    with Page() as page:  # without a password nobody can
        assert post(page, "login", {"password": ""})[0] == 403
        assert post(page, "packs/shed/switch", {"charge_mos": 0})[0] == 403


def test_nobody_waits_for_a_password():
    """A file that cannot be read (here: a pipe in its place) rejects the login at once, and no other client waits."""
    with locked() as page:
        with open(page.file) as file:
            written = file.read()
        os.unlink(page.file)
        os.mkfifo(page.file)
        with Stream(page.web) as stream:
            page.await_fresh()
            assert post(page, "login", {"password": PASSWORD})[0] >= 400
            stream.next("pack")
            assert page.ask("/healthz")[0] == 200
        os.unlink(page.file)
        with open(page.file, "w") as file:
            file.write(written)
        assert log_in(page)[0].startswith("packgate=")


def test_a_password_that_cannot_be_compared_now():
    """The page has no descriptors left for the process that compares it: that is no fault of the password file."""
    with locked() as page:
        child = outlet_pid(page, "web")
        before = resource.prlimit(child, resource.RLIMIT_NOFILE)
        status = 204
        while status == 204:  # the page has closed a descriptor meanwhile
            used = {int(name) for name in os.listdir(f"/proc/{child}/fd")}
            free = next(number for number in range(len(used) + 1) if number not in used)
            most = next(number for number in range(free + 1, len(used) + 2) if number not in used)  # one more client, and no pipe
            resource.prlimit(child, resource.RLIMIT_NOFILE, (most, before[1]))
            status, headers, body = post(page, "login", {"password": PASSWORD})
            resource.prlimit(child, resource.RLIMIT_NOFILE, before)
        assert status == 429 and headers["Retry-After"] == "1", (status, body)
        assert log_in(page)[0].startswith("packgate=")


def test_login_is_throttled():
    with locked() as page:
        for wrong in ("", {}, {"password": 1}, {"password": "x" * 300}, {"password": PASSWORD, "x": 1}):
            assert post(page, "login", wrong)[0] == 400
        # Many simultaneous attempts do not bypass the limit.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            tries = list(pool.map(lambda n: post(page, "login", {"password": f"guess {n}"})[0], range(8)))
        assert sorted(tries) == [401] * 5 + [429] * 3, tries
        status, headers, _ = post(page, "login", {"password": PASSWORD})
        assert status == 429 and 0 < int(headers["Retry-After"]) <= 60
        # No other client waits.
        assert page.ask("/healthz")[0] == 200
    with locked() as page:
        for _ in range(7):  # the right password is not a failure
            log_in(page)
        with open(page.file, "w") as file:
            file.write(PASSWORD + "\n")  # an unhashed password does not count
        status, _, body = post(page, "login", {"password": PASSWORD})
        assert status == 403 and b"cannot be used" in body


def test_gateway():
    """The output of `packgate status`, with the configuration for those who may see it; secrets for nobody."""
    with locked() as page:
        gateway = page.json("/api/v1/gateway")
        assert gateway["version"] and gateway["lines"][0]["name"] == "shed" and gateway["modbus"]["listen"] == [f"127.0.0.1:{page.port}"]
        assert gateway["session"] is False and gateway["web"]["clients"] >= 1
        until(lambda: page.json("/api/v1/gateway")["outlets"][0]["connected"])
        assert "[web]" in gateway["config"]["text"] and gateway["config"]["mistakes"] == []
        assert [event["kind"] for event in gateway["events"]] == ["started"]
        cookie, _ = log_in(page)
        assert page.json("/api/v1/gateway", headers={"Cookie": cookie})["session"] is True
        # A client behind a foreign proxy is not this host.
        stranger = {"X-Forwarded-For": "203.0.113.7"}
        seen = page.json("/api/v1/gateway", headers=stranger)
        assert "config" not in seen and "connections" not in seen["modbus"] and "configuration" not in seen
        assert "config" in page.json("/api/v1/gateway", headers={"Cookie": cookie, **stranger})
        # The gateway is not asked for each of them.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(answer[0] == 200 for answer in pool.map(lambda _: page.ask("/api/v1/gateway"), range(40)))


def test_visitors():
    """A visitor sees what happens, not which host asked for it: neither masters of the battery that is presented, nor the senders of orders."""
    presented = "[present x]\nof = shed\nport = tcp-listen:127.0.0.1:0\nprotocol = modbus-rtu\n"
    with locked(packs=PACKS.replace("topbms", "daly") + presented) as page, Stream(page.web) as stream, page.client() as client:
        listening = r"present x: listening on port (\d+)"  # before or after the line that Page waits for
        port = int((re.search(listening, "\n".join(page.lines)) or page.wait_for(listening))[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as master:
            master.sendall(with_crc16(bytes((1, 4, 0, 0, 0, 1))))
            assert master.recv(1)
            assert not client.write_coil(0, False, slave=1).isError()

            def seen(**headers):
                answer = page.json("/api/v1/gateway", headers=headers)
                return json.dumps(answer), {outlet["kind"]: outlet for outlet in answer["outlets"]}["present"], answer["events"][0]

            sender = f"client 127.0.0.1:{client.port()}"
            own = until(seen, lambda found: "asked by 127.0.0.1:" in found[1].get("error", "") and found[2].get("from") == sender)
            assert own[2]["kind"] == "switched", own
            text, present, event = seen(**{"X-Forwarded-For": "203.0.113.7"})
            assert present["running"] and event == {name: value for name, value in own[2].items() if name != "from"}
            assert "asked by" not in text and sender not in text, text
        while (event := stream.next("alarm")[1])["kind"] != "switched":
            pass
        assert event["confirmed"] == 1 and "from" not in event, event


def test_events_of_the_past():
    program, port = simulate("daly", "cells=8,soc=50")
    with program, past(packs=PACK.format("shed", port, 1)) as page:
        page.await_fresh()
        await_file(page.file)
        for t, kind, name, level, text in ((1000, "alarm", "soc_low", 1, "on"), (1001, "alarm", "soc_low", 2, "off"), (1003, "switched", "SOC 50 %", 1, "x"),
                                           (1002, "switched", "charge off, discharge on", 0, "modbus 192.0.2.1")):
            insert(page.file, "event", pack="shed", t=t, kind=kind, name=name, level=level, text=text)
        # The gateway was restarted within a second: what the one before has written counts, what this one writes is in the page already.
        start = next(event["time"] for event in page.json("/api/v1/gateway")["events"] if event["kind"] == "started")
        for rowid, kind in ((-1, "back"), (1000, "twice")):
            insert(page.file, "event", rowid=rowid, pack="shed", t=start, kind=kind)
        program.process.send_signal(signal.SIGSTOP)
        try:
            events = until(lambda: page.json("/api/v1/gateway")["events"], lambda events: events[0]["kind"] == "stale")
        finally:
            program.process.send_signal(signal.SIGCONT)
        # As in live events: levels as words, and an order that was not confirmed as such.
        order = {"time": 1002, "pack": "shed", "kind": "switched", "confirmed": 0, "from": "modbus 192.0.2.1"}
        assert events[1:] == [
            {"time": start, "kind": "started"}, {"time": start, "pack": "shed", "kind": "back"},
            {"time": 1003, "pack": "shed", "kind": "switched", "name": "SOC 50 %", "confirmed": 1, "from": "x"},
            order | {"name": "charge_mos", "text": "off"}, order | {"name": "discharge_mos", "text": "on"},
            {"time": 1001, "pack": "shed", "kind": "alarm", "name": "soc_low", "level": "protection", "text": "off", "active": 0},
            {"time": 1000, "pack": "shed", "kind": "alarm", "name": "soc_low", "level": "warning", "text": "on", "active": 1}], events
        assert events[0]["pack"] == "shed" and abs(events[0]["time"] - time.time()) < PATIENCE
        visited = page.json("/api/v1/gateway", headers={"X-Forwarded-For": "203.0.113.7"})["events"]
        assert visited[-3] == {name: value for name, value in events[-3].items() if name != "from"}, visited


def test_files():
    with Page() as page:
        page.await_fresh()
        names = page.json("/api/v1/gateway")["files"]
        assert {"homeassistant.yaml", "evcc.yaml", "telegraf.conf", "nodered.json", "tasmota.txt", "map.csv"} <= set(names)
        for name in names:
            status, headers, body = page.ask("/api/v1/files/" + name)
            assert status == 200 and headers["Content-Disposition"] == f'attachment; filename="{name}"' and body, name
        text = page.ask("/api/v1/files/homeassistant.yaml")[2].decode()
        assert "shed" in text and "boat" in text and "127.0.0.1" in text
        json.loads(page.ask("/api/v1/files/nodered.json")[2])
        for name in ("", "x", "../packgate.ini", "homeassistant.yaml/", "packgate.ini"):
            assert page.ask("/api/v1/files/" + name)[0] == 404


def test_password_command():
    with tempfile.TemporaryDirectory(prefix="packgate-web-") as folder:
        file = os.path.join(folder, "password")

        def set_password(text, *arguments):
            return subprocess.run([PACKGATE, "password", *(arguments or [file])], input=text, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        for bad in (b"", b"short\n", b"x" * 5000):
            done = set_password(bad)
            assert done.returncode == 1 and done.stderr and not os.listdir(folder), (bad, done)
        assert set_password(b"long enough\n").returncode == 0
        with open(file) as written:
            first = written.read()
        assert set_password(b"long enough\n").returncode == 0
        with open(file) as written:
            assert written.read() != first  # salted
        assert os.listdir(folder) == ["password"]
        assert set_password(b"long enough\n", folder + "/none/file").returncode == 1
        assert b"usage" in set_password(b"", "--help").stdout


if __name__ == "__main__":
    main([test_alarms, test_alarms_of_a_bank, test_stream_has_news_only, test_history_ends_now, test_today, test_a_hung_gateway_is_not_well, test_stream, test_history, test_csv,
          test_values, test_page, test_headers, test_frame, test_compression, test_silent_pack, test_bank_that_is_stale_for_a_moment,
          test_an_alarm_keeps_its_age,
          test_hosts, test_addresses_and_methods, test_switching, test_only_pages_of_ours_change_anything,
          test_only_from_allow_write, test_old_orders, test_tunnel, test_nobody_waits_for_a_password, test_login_is_throttled,
          test_a_password_that_cannot_be_compared_now,
          test_password_command, test_gateway, test_visitors, test_events_of_the_past, test_files], at_once=4)
