# SPDX-License-Identifier: MIT
# tests/run: 40 s
"""The history: the values of packs are in a database that others can read; it survives faults of processes and files,
and `packgate export` prints it."""

import csv
import datetime
import http.client
import io
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from control_harness import Link
from harness import Gateway, PACKGATE, PATIENCE, children_of, main, outlet_pid, simulate, until
from influx_harness import kill_outlet
from web_harness import Page

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nwritable = yes\n"
HISTORY = "[history]\nfile = {}\ncommit = 10s\n"


class Place:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="packgate-history-")
        self.file = os.path.join(self.folder, "history.db")
        return self

    def __exit__(self, *arguments):
        shutil.rmtree(self.folder)

    def ask(self, sql, *values):
        database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=PATIENCE)
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    def await_rows(self, sql, enough=lambda rows: rows):
        return until(lambda: self.ask(sql), enough, bears=sqlite3.OperationalError)


def export(place, *arguments):
    result = subprocess.run([PACKGATE, "export", "--file", place.file, *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def remembers_values_and_events():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8,soc_percent=55,current_a=-10")
    with server, Place() as place:
        started = time.time()
        with Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file)) as gateway:
            gateway.wait_published("shed")
            assert place.await_rows("SELECT kind FROM event") == [("started",)]
            place.await_rows("SELECT name FROM recents")
        # At its end it writes all levels that are still in memory.
        rows = place.ask("SELECT name, t, voltage_v, current_a, soc_percent, \"cell_mv.8\", power_w FROM recents ORDER BY t")
        assert {row[0] for row in rows} == {"shed"} and len(rows) >= 2, rows
        for _, at, volt, ampere, soc, cell, watt in rows:
            assert at % 10 == 0 and started - 10 <= at <= time.time(), at
            assert abs(volt - 26.4) < 0.05 and abs(ampere + 10) < 0.05 and soc == 55, rows
            assert abs(watt - volt * ampere) < 2, rows
        assert rows[-1][5], rows  # the first values of a pack are the vital ones
        assert place.ask("SELECT count(*) FROM minutes")[0][0] >= 1
        assert place.ask("SELECT count(*) FROM hours")[0][0] in (1, 2)
        days = place.ask("SELECT day, fresh_s, soc_peak_percent FROM days ORDER BY day")
        wanted = sorted({datetime.date.fromtimestamp(at).strftime("%Y%m%d") for _, at, *_ in rows})  # two at midnight
        assert [str(day) for day, _, _ in days] == wanted and sum(fresh_s for _, fresh_s, _ in days) >= 20, (days, wanted)
        assert all(peak == 55 for _, _, peak in days), days


def exports_csv():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8,soc_percent=55")
    with server, Place() as place:
        with Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file)) as gateway:
            gateway.wait_published("shed")
            place.await_rows("SELECT name FROM recents")
        status, out, _ = export(place, "--level", "recent")
        rows = list(csv.reader(io.StringIO(out)))
        assert status == 0 and rows[0][:4] == ["time", "voltage_v", "current_a", "power_w"] and rows[0][-1] == "cell_mv.8", out
        assert out.count("\r\n") == len(rows) and abs(float(rows[1][1]) - 26.4) < 0.05
        at = datetime.datetime.fromisoformat(rows[1][0])
        assert at.tzinfo is not None and abs(at.timestamp() - time.time()) < PATIENCE * 2
        status, out, _ = export(place, "--pack", "shed", "--level", "hour", "--extremes")
        assert status == 0 and "voltage_v_min" in out.splitlines()[0], out
        status, out, said = export(place, "--pack", "boat")
        assert status == 1 and "shed" in said and not out, said
        status, _, said = export(place, "--from", "yesterday")
        assert status == 2 and "2026-11-01T12:00" in said, said
        assert export(place, "--from", "2001-01-01", "--to", "2001-01-02")[1].count("\n") == 1
        # Without a beginning it is the day before the end.
        later = str(int(time.time()) + 80000)
        assert export(place, "--to", later)[1].count("\n") > 1 and export(place, "--to", later + "0")[1].count("\n") == 1
        for begin, end in (("2001-01-02", "2001-01-01"), ("2001-01-01", "2001-01-01")):
            status, out, said = export(place, "--from", begin, "--to", end)
            assert status == 2 and f"--from {begin} is not before --to {end}" in said and not out, said
        # If the configuration names the file.
        ini = os.path.join(place.folder, "packgate.ini")
        with open(ini, "w") as file:
            file.write(PACK.format("shed", url, 1) + HISTORY.format(place.file))
        result = subprocess.run([PACKGATE, "export", "-c", ini, "--level", "recent"], stdout=subprocess.PIPE, timeout=PATIENCE)
        assert result.returncode == 0 and result.stdout.startswith(b"time,"), result


def export_by(ini):
    return subprocess.run([PACKGATE, "export", "-c", ini, "--level", "recent"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          timeout=PATIENCE)


def exports_what_is_in_memory_only():
    """The gateway requests a commit: after the first one, half a minute after the start, the next would come only
    after an hour."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8,soc_percent=55")
    with server, Place() as place:
        with Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file).replace("10s", "1h")) as gateway:
            gateway.wait_published("shed")
            newest, deadline = set(), time.monotonic() + PATIENCE
            while len(newest) < 3:
                assert time.monotonic() < deadline, newest
                result = export_by(gateway.path)
                newest |= {line.split(b",")[0] for line in result.stdout.splitlines()[1:][-1:]}
                time.sleep(0.5)
            # Repeated requests do not wear out a memory card.
            with Link(gateway) as link:
                begin, answers = time.monotonic(), [link.ask("commit") for _ in range(5)]
                until(lambda: link.ask("commit", since=0)["asked"], lambda asked: not asked)
                written = link.ask("commit", since=0)["written"] - answers[0]["written"]
            assert written <= 1 + (time.monotonic() - begin) // 10 and answers[0]["written"] >= 3, (written, answers)
            # Who asks again while the first request is not done yet has to wait for it, too.
            os.kill(outlet_pid(gateway, "history"), signal.SIGSTOP)
            until(lambda: export_by(gateway.path).returncode, lambda status: status == 1)
            assert export_by(gateway.path).returncode == 1
            os.kill(outlet_pid(gateway, "history"), signal.SIGCONT)
            until(lambda: export_by(gateway.path).returncode, lambda status: status == 0)


def fails_without_the_latest_rows():
    """The gateway was asked to write them, and does not confirm it, or does not answer any more."""
    with Place() as place:
        tool = os.path.join(os.path.dirname(PACKGATE), "packgate-outlet-history")
        subprocess.run([tool, "simulate", place.file, "1", "shed=16:150:72:1:0"], check=True, timeout=PATIENCE)
        ini, control = os.path.join(place.folder, "packgate.ini"), os.path.join(place.folder, "control")
        with open(ini, "w") as file:
            file.write(f"[gateway]\ncontrol = {control}\n" + PACK.format("shed", "sim:", 1) + HISTORY.format(place.file))

        def ask():
            result = subprocess.run([PACKGATE, "export", "-c", ini], capture_output=True, text=True, timeout=PATIENCE)
            return result.returncode, result.stdout[:5], result.stderr

        assert ask() == (0, "time,", f"packgate export: no gateway listens at {control}; is it running?\n")

        def serve(listener, answers):
            with listener.accept()[0] as client, client.makefile("rb") as asked:
                for n, _ in enumerate(asked):
                    if n < answers:
                        client.sendall(b'{"written": 3, "asked": true}\n')

        for answers in 1000, 1:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(control)
                listener.listen()
                server = threading.Thread(target=serve, args=(listener, answers))
                server.start()
                status, out, said = ask()
                server.join(PATIENCE)
            os.unlink(control)
            assert (status, out) == (1, "") and f"latest rows in time; try again, or export only the earlier ones: --file {place.file}\n" in said, said


def says_when_there_is_nothing_yet():
    server, url = simulate("daly", "silent=1")
    with server, Place() as place, Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file)):
        place.await_rows("SELECT kind FROM event")
        status, out, said = export(place)
        assert status == 1 and "commit" in said and not out, (out, said)


def survives_its_death_and_lost_files():
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place:
        with Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file)) as gateway:
            gateway.wait_published("shed")
            place.await_rows("SELECT name FROM recents")
            for _ in range(2):
                pid = outlet_pid(gateway, "history")
                os.kill(pid, signal.SIGKILL)
                until(lambda: outlet_pid(gateway, "history") != pid)
            assert place.ask("PRAGMA integrity_check") == [("ok",)]
            # Damaged unnoticed: it is set aside, and a new one begins.
            kill_outlet(gateway, "history")
            os.unlink(place.file + "-wal")
            with open(place.file, "r+b") as file:
                file.write(b"\x5a" * 8192)
            gateway.wait_for(r"history: .*history\.db is damaged: renamed to .*history\.db\.bad")
            place.await_rows("SELECT name FROM recents")
        assert place.ask("PRAGMA integrity_check") == [("ok",)]
        assert os.path.exists(place.file + ".bad")


def says_where_it_cannot_write():
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place:
        missing = os.path.join(place.folder, "later", "history.db")
        with Gateway(PACK.format("shed", url, 1) + HISTORY.format(missing)) as gateway:
            gateway.wait_for(r"history: .*later/history\.db: unable to open database file; rows are kept in memory, retrying")
            gateway.wait_published("shed")
            os.mkdir(os.path.dirname(missing))
            gateway.wait_for(r"history: .*later/history\.db can be written again")
            place.file = missing
            place.await_rows("SELECT name FROM recents")


def waits_for_nothing_in_its_place():
    """A pipe in place of the database: the page answers, and the history continues when it is removed."""
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place:
        os.mkfifo(place.file)
        with Page(HISTORY.format(place.file), packs=PACK.format("shed", url, 1)) as gateway:
            gateway.await_fresh("shed")
            for path in ("history?level=recent", "history.csv", "health"):
                assert gateway.ask(f"/api/v1/packs/shed/{path}")[0] in (200, 503), path
            os.unlink(place.file)
            gateway.wait_for(r"history: .*history\.db can be written again")
            place.await_rows("SELECT name FROM recents")
        assert any("it is not a file" in line for line in gateway.lines), gateway.lines


def is_not_waited_for_by_the_page():
    """Four requests at a time read a database that another program has locked, and hang; everything else is answered.
    They are killed before an idle connection is closed."""
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place:
        other = sqlite3.connect(place.file, isolation_level=None)
        for order in ("PRAGMA journal_mode = WAL", "PRAGMA locking_mode = EXCLUSIVE", "CREATE TABLE pack(id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
                      "BEGIN EXCLUSIVE"):
            other.execute(order)
        with Page(HISTORY.format(place.file), packs=PACK.format("shed", url, 1)) as gateway:
            gateway.await_fresh("shed")
            page = outlet_pid(gateway, "web")
            found = {}

            def ask(number, path):
                try:
                    found[number] = path, gateway.ask(path)[0]
                except http.client.HTTPException:
                    found[number] = path, "cut"

            paths = [f"/api/v1/{path}" for path in ("packs/shed/history", "packs/shed/history.csv", "packs/shed/health", "gateway") for _ in range(3)]
            asking = [threading.Thread(target=ask, args=(number, path)) for number, path in enumerate(paths)]
            for thread in asking:
                thread.start()
            deadline, hung = time.monotonic() + PATIENCE, set()
            while len(hung) < 4:
                assert time.monotonic() < deadline, "fewer than four read at a time"
                for child in children_of(page):
                    os.kill(child, signal.SIGSTOP)
                hung = set(children_of(page))
            resting = http.client.HTTPConnection("127.0.0.1", gateway.web, timeout=PATIENCE)
            resting.request("GET", "/metrics")
            resting.getresponse().read()
            for path in ("/api/v1/packs", "/metrics", "/"):
                assert gateway.ask(path)[0] == 200
                assert len(hung) == 4 and set(children_of(page)) == hung, "it waited, or more than four read at a time"
            for thread in asking:
                thread.join()
            answers = sorted(found.values(), key=str)
            assert {answer for path, answer in answers if path.endswith("gateway")} == {200}, answers
            assert len([answer for path, answer in answers if answer in (503, "cut")]) >= 1, answers
            assert not select.select([resting.sock], [], [], 0)[0], "it was closed before those that hung were ended"
            resting.close()
            assert gateway.ask("/api/v1/packs/shed/history?level=recent")[0] == 200
        other.close()


if __name__ == "__main__":
    main([survives_its_death_and_lost_files, remembers_values_and_events, exports_csv, exports_what_is_in_memory_only,
          fails_without_the_latest_rows,
          says_when_there_is_nothing_yet, says_where_it_cannot_write, waits_for_nothing_in_its_place,
          is_not_waited_for_by_the_page], at_once=8)
