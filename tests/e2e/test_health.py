# SPDX-License-Identifier: MIT
# tests/run: 50 s
"""Health findings from constructed days in the history, in the page's API, the database and the line protocol."""

import json
import os
import signal
import sqlite3
import time

from harness import Gateway, PATIENCE, main, simulate, until
from influx_harness import Database
from mqtt_harness import PATIENT
from test_influx import HISTORY, PACK, Place, section
from web_harness import Page

CELLS = 8
DAY = 86400


def midnight(days_ago):
    now = time.localtime()
    return int(time.mktime((now.tm_year, now.tm_mon, now.tm_mday - days_ago, 0, 0, 0, 0, 0, -1)))


def fill(path):
    """Yesterday in steps of ten seconds, with steps of the current and a weak cell 3; and the days and hours before
    it, each day full."""
    database = sqlite3.connect(path, timeout=PATIENCE)
    pack, = database.execute("SELECT id FROM pack WHERE name = 'shed'").fetchone()
    cells = ", ".join(f"c{i + 1}" for i in range(CELLS))
    rows = []
    for i in range(DAY // 10 - 1):
        ampere = -40 if i // 10 % 2 else 0
        rows.append([pack, midnight(1) + 10 * i, 10, 26400, ampere * 1000, 500, 50000, 215] +
                    [round(3300 + ampere * (3 if cell == 2 else 1)) for cell in range(CELLS)])
    database.executemany(f"INSERT OR IGNORE INTO recent(pack, t, n, voltage_mv, current_ma, soc_permille, remaining_mah, temp_dc, {cells}) "
                         f"VALUES({', '.join('?' * (8 + CELLS))})", rows)
    for n in range(1, 12):
        day = time.strftime("%Y%m%d", time.localtime(midnight(n) + DAY // 2))
        database.execute("INSERT OR IGNORE INTO day(pack, day, n, charged_wh, discharged_wh, soc_peak_permille, soc_peak_at, fresh_s) "
                         "VALUES(?, ?, 8640, 2400, 2160, 1000, ?, 85800)", [pack, day, midnight(n) + DAY // 2])
        for hour in range(24):
            database.execute("INSERT OR IGNORE INTO hour(pack, t, n, charged_wh, discharged_wh) VALUES(?, ?, 360, 100, 90)",
                             [pack, midnight(n) // 3600 * 3600 + 3600 * hour])
    database.commit()
    database.close()


def a_built_past_is_told():
    server, url = simulate("daly", "profile=fixed,cells=8")
    with server, Place() as place:
        text = PACK.format("shed", url, 1) + HISTORY.format(place.file)
        with Page(packs=text) as page:
            page.wait_published("shed")
            place.await_rows("shed", 1)
        fill(place.file)
        with Database() as database, Page(packs=text + section("one", database.url)) as page:
            got = until(lambda: page.json("/api/v1/packs/shed/health"), lambda got: len(got["t"]) >= 11, patience=3 * PATIENCE)
            assert got["t"][-1] == midnight(1), (got["t"], midnight(1))
            assert abs(got["milliohm.3"][-1] - 3) < 0.1 and abs(got["milliohm.1"][-1] - 1) < 0.1, got
            assert abs(got["load_mv.3"][-1] + 80) < 1 and abs(got["rest_mv.3"][-1]) < 1 and "load_mv.9" not in got
            assert got["charged_wh"][-1] == 2400 and abs(got["efficiency_percent"][-1] - 90) < 0.5, got
            assert got["silent_s"][0] is None and got["silent_s"][-1] == 600, got["silent_s"]
            # Eleven days are too few for a trend, and enough to show missing data.
            assert [finding["kind"] for finding in got["findings"]] == ["silent"], got["findings"]
            assert got["findings"][0]["text"] == "no data for 70 minutes of the last 7 days", got["findings"]
            assert page.ask("/api/v1/packs/shed/health?days=3")[0] == 200
            assert len(page.json("/api/v1/packs/shed/health?days=3")["t"]) == 3
            assert page.ask("/api/v1/packs/nobody/health")[0] == 404
            assert page.ask("/api/v1/packs/shed/health", method="POST", body="{}")[0] in (403, 405)
            rows = sqlite3.connect(f"file:{place.file}?mode=ro", uri=True).execute(
                "SELECT day, efficiency_percent FROM health_days WHERE name = 'shed' ORDER BY day DESC LIMIT 1").fetchall()
            assert abs(rows[0][1] - 90) < 0.5, rows
        # The line protocol gets them when it reads the history, at the latest after a restart.
        with Database() as database, Page(packs=text + section("two", database.url)) as page:
            until(lambda: ("shed", "cell_milliohm.3", midnight(1)) in database.samples)
            assert abs(database.samples["shed", "cell_milliohm.3", midnight(1)][0] - 3) < 0.1
            assert abs(database.samples["shed", "efficiency_percent", midnight(1)][0] - 90) < 0.5
            until(lambda: ("shed", "finding.silent", midnight(1)) in database.samples)
            assert database.samples["shed", "finding.silent", midnight(1)][0] == 70 * 60
            assert not any(name.startswith("finding") and at != midnight(1) for _, name, at in database.samples)


def the_report_has_a_line_of_it():
    """From the database to a notification."""
    with Place() as place:
        program, told = os.path.join(place.folder, "tell"), os.path.join(place.folder, "told")
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\ncat >>{told}\necho >>{told}\n")
        os.chmod(program, 0o755)

        def text(soc):
            return PATIENT.format("shed", f"sim:profile=fixed,cells={CELLS},soc_percent={soc}", 1, "") + HISTORY.format(place.file) + \
                f"[notify somebody]\ntype = command\nurl = {program}\nevents = started, report full\nhold = 0s\n"

        with Gateway(text(90), "spikes = 0") as gateway:
            gateway.wait_published("shed")
            place.await_rows("shed", 1)
        fill(place.file)
        with Gateway(text(90), "spikes = 0") as gateway:
            gateway.wait_published("shed")
            until(lambda: count_days(place.file), patience=3 * PATIENCE)
            with open(gateway.path, encoding="utf-8") as file:
                before = file.read()
            with open(gateway.path, "w", encoding="utf-8") as file:
                file.write(before.replace("soc_percent=90", "soc_percent=100"))
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for('sent "shed: report"')
            with open(told, encoding="utf-8") as file:
                reports = [found["text"] for line in file if line.strip() and (found := json.loads(line))["event"] == "report"]
            assert len(reports) == 1 and "Health: no data for 70 minutes of the last 7 days." in reports[0].splitlines(), reports


def count_days(path):
    """Whether all constructed days were evaluated."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE)
    try:
        return database.execute("SELECT count(*) FROM health_days WHERE name = 'shed'").fetchone()[0] >= 11
    finally:
        database.close()


if __name__ == "__main__":
    # In a time zone that is not near midnight, so that yesterday stays yesterday.
    os.environ["TZ"] = "Europe/Rome" if 1 <= time.gmtime().tm_hour < 21 else "America/New_York"
    time.tzset()
    main([a_built_past_is_told, the_report_has_a_line_of_it], at_once=2)
