# SPDX-License-Identifier: MIT
# tests/run: 90 s
"""The line protocol: what databases receive, whatever they answer, and that no row is missing in the end. Intervals
have ten seconds, so one gateway feeds many databases at the same time, each with a different fault."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from harness import Gateway, PACKGATE, PATIENCE, main, simulate, until
from influx_harness import Database, InfluxDB, VictoriaMetrics, kill_outlet, outlet_pid, parse
from mqtt_harness import make_certificates

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 200ms\n"
HISTORY = "[history]\nfile = {}\ncommit = 10s\n"


class Place:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="packgate-influx-")
        self.file = os.path.join(self.folder, "history.db")
        self.state = os.path.join(self.folder, "state")
        return self

    def __exit__(self, *arguments):
        shutil.rmtree(self.folder)

    def secret(self, text):
        path = os.path.join(self.folder, "secret")
        with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text + "\n")
        return path

    def times(self, pack):
        """The ten-second rows of the history."""
        try:
            database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=PATIENCE)
        except sqlite3.OperationalError:
            return []
        try:
            return [row[0] for row in database.execute("SELECT t FROM recents WHERE name = ? ORDER BY t", [pack])]
        except sqlite3.OperationalError:
            return []
        finally:
            database.close()

    def await_rows(self, pack, count):
        return until(lambda: self.times(pack), lambda times: len(times) >= count, patience=3 * PATIENCE)


def status_of(gateway, section):
    return next(outlet for outlet in gateway.status()["outlets"] if outlet["name"] == section)


def await_status(gateway, section, wanted):
    return until(lambda: status_of(gateway, section), wanted)


def await_line(gateway, text):
    """Waits for it, or finds it already there: the outlets may be faster than the packs that were awaited."""
    if not any(re.search(text, line) for line in gateway.lines):
        gateway.wait_for(text)


def await_all(database, place, pack, upto):
    """Waits until the database has every row of the history up to a time."""
    def rows():
        wanted = [t for t in place.times(pack) if t <= upto]
        return wanted, set(wanted) - set(database.times(pack))
    return until(rows, lambda rows: rows[0][-1:] == [upto] and not rows[1], patience=3 * PATIENCE)[0]


def section(name, url, more=""):
    return f"[influx {name}]\nurl = {url}\ngateway = hut 1, east\n{more}\n"


def await_sample(database, wanted):
    """The first time at which the names of the pack shed are as `wanted`."""
    def rows():
        names = {}
        with database.lock:
            for pack, name, at in database.samples:
                if pack == "shed":
                    names.setdefault(at, set()).add(name)
        return names
    names = until(rows, lambda names: any(map(wanted, names.values())), patience=2 * PATIENCE)
    return max(at for at in names if wanted(names[at]))


def what_it_sends():
    """As for InfluxDB 2, and in the other layout."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8,soc_percent=55,current_a=-10,temps=2")
    with server, Place() as place, Database() as two, Database() as fields:
        text = PACK.format("shed", url, 1) + "[bank both]\npacks = shed\nunit = 9\n" + HISTORY.format(place.file) + \
            section("two", two.url + "/api/v2/write?org=us&bucket=packs", f"password_file = {place.secret('s3cret')}") + \
            section("wide", fields.url + "/write?db=x", "layout = fields\npacks = shed\nuser = me\n"
                    f"password_file = {place.secret('s3cret')}")
        with Gateway(text) as gateway:
            gateway.wait_published("shed")
            # At first values arrive in parts, and inactive alarms once a minute.
            at = await_sample(two, lambda names: {"voltage_v", "soc_percent", "cell_mv.8", "temp_c.1", "fresh", "charged_wh_total"} <= names)
            await_sample(two, lambda names: any(name.startswith("alarm.soc_low.") for name in names))
            wide = await_sample(fields, lambda names: "cell_mv_08" in names)
            version = subprocess.run([PACKGATE, "--version"], stdout=subprocess.PIPE, timeout=PATIENCE, check=True).stdout.decode().split()[1]
            until(lambda: [key for key in list(two.samples) if key[0] is None], lambda keys: any(name == f"build_info.{version}" for _, name, _ in keys))
        times = two.times("shed")
        assert all(t % 10 == 0 for t in times) and abs(times[-1] - time.time()) < 3 * PATIENCE, times
        _, _, headers, path = two.requests[0]
        assert path == "/api/v2/write?org=us&bucket=packs" and headers["Authorization"] == "Token s3cret", (path, headers)
        assert headers["Content-Encoding"] == "gzip" and headers["User-Agent"].startswith("packgate/")
        assert abs(two.samples["shed", "voltage_v", at][0] - 26.4) < 0.05 and set(two.samples["shed", "soc_percent", at]) == {55}, at
        assert abs(two.samples["shed", "current_a", at][0] + 10) < 0.05 and 3200 < two.samples["shed", "cell_mv.8", at][0] < 3400
        assert ("shed", "cell_mv.9", at) not in two.samples and set(two.samples["shed", "fresh", at]) == {1}
        assert any(pack == "both" and name == "soc_percent" for pack, name, _ in two.samples)
        assert "Authorization" in fields.requests[0][2] and fields.requests[0][2]["Authorization"].startswith("Basic ")
        assert 3200 < fields.samples["shed", "cell_mv_08", wide][0] < 3400
        assert not [name for pack, name, _ in fields.samples if pack == "both" or pack and "." in name]


def silent_packs_say_so():
    """No stale value looks fresh: for a silent pack there is only the fact that it is silent."""
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place, Database() as database:
        with Gateway(PACK.format("shed", url, 1) + "stale_after = 1s\n" + HISTORY.format(place.file) +
                     section("one", database.url)) as gateway:
            gateway.wait_published("shed")
            database.await_times("shed", lambda got: got)
            server.process.send_signal(signal.SIGSTOP)
            try:
                stopped = time.time()
                silent = until(lambda: [at for (_, name, at), value in list(database.samples.items())
                                        if name == "fresh" and at > stopped + 2 and value[0] == 0])
            finally:
                server.process.send_signal(signal.SIGCONT)
            said = {name for _, name, at in list(database.samples) if at in silent}
            assert "fresh" in said and not {"voltage_v", "soc_percent", "cell_mv.1"} & said, said


class Trouble:
    """Answers with `bad` until `over`."""

    def __init__(self, bad):
        self.over, self.bad, self.first = False, bad, None

    def __call__(self, database, lines, headers, path):
        answer = (204, b"", {}) if self.over else self.bad(database, lines, headers)
        self.first = self.first or (answer if answer is None or answer[0] != 204 else None)
        return answer


def one_bad_line(database, lines, headers):
    return (400, b'{"error":"unable to parse"}', {}) if any("pack=odd" in line for line in lines) else (204, b"", {})


def more_than_one_row(database, lines, headers):
    """Never rejects a single line: that would be dropped, as it should."""
    rows = {(tags.get("pack"), at) for tags, _, at in map(parse, lines)}
    return (413, b"", {}) if len(rows) > 1 else (204, b"", {})


def takes_two_requests(database, lines, headers):
    return (204, b"", {}) if len(database.requests) < 2 else (400, b"<html>no client certificate", {})


def nothing_is_lost():
    """Each rejects in its own way, and outlets and gateway are killed meanwhile; in the end all have the same rows."""
    troubles = {
        "unauthorized": Trouble(lambda *_: (401, b'{"error":"authorization failed"}', {})),
        "busy": Trouble(lambda *_: (429, b"", {"Retry-After": "3"})),
        "broken": Trouble(lambda *_: (500, b"<html>", {})),
        "misnamed": Trouble(lambda *_: (400, b'{"error":"no such bucket"}', {})),
        "fickle": Trouble(takes_two_requests),
        "large": Trouble(more_than_one_row),
        "mute": Trouble(lambda *_: None),
        "bad-line": Trouble(one_bad_line),
    }
    shed, shed_url = simulate("daly", "profile=fixed,cells=8")
    odd, odd_url = simulate("daly", "profile=fixed,cells=8")
    with shed, odd, Place() as place:
        databases = {name: Database(trouble) for name, trouble in troubles.items()}
        text = PACK.format("shed", shed_url, 1) + PACK.format("odd", odd_url, 2) + HISTORY.format(place.file) + \
            "".join(section(name, database.url + "/write") for name, database in databases.items())
        with Gateway(text, state=place.state) as gateway:
            gateway.wait_published("shed", "odd")
            until(lambda: not any(not trouble.first and name != "mute" for name, trouble in troubles.items()))
            place.await_rows("shed", 3)
            status = await_status(gateway, "broken", lambda status: "behind" in status["error"])
            assert "500" in status["error"] and not status["connected"], status
            assert "401" in status_of(gateway, "unauthorized")["error"]
            for name in databases:
                kill_outlet(gateway, name)
            before = len(place.times("shed"))
            place.await_rows("shed", before + 1)
            gateway.process.kill()
        with Gateway(text, state=place.state) as gateway:
            gateway.wait_published("shed", "odd")
            for trouble in troubles.values():
                trouble.over = trouble.bad is not one_bad_line
            upto = place.await_rows("shed", len(place.times("shed")) + 2)[-1]
            for name, database in databases.items():
                wanted = await_all(database, place, "shed", upto)
                assert name == "bad-line" or await_all(database, place, "odd", place.times("odd")[-3]), name
                await_status(gateway, name, lambda status: status["behind_s"] <= 30)
            assert len(wanted) >= 6
            # Bad rows were dropped and logged, and nothing else was.
            assert not databases["bad-line"].times("odd") and status_of(gateway, "bad-line")["dropped"] > 0
            assert all(status_of(gateway, name)["dropped"] == 0 for name in databases if name != "bad-line")
            await_line(gateway, "influx bad-line: the database rejects")
        # Logged once, however many intervals had such a row.
        assert sum("influx bad-line: the database rejects" in line for line in gateway.lines) == 1, gateway.lines
        # A row that was sent twice is the same: the mean of ten seconds does not depend on its source.
        for database in databases.values():
            for (pack, name, at), values in list(database.samples.items()):
                assert name not in ("voltage_v", "soc_percent", "cell_mv.1") or max(values) - min(values) <= 0.5, (name, at, values)
        for database in databases.values():
            database.__exit__()


def real_databases():
    """Debian's, stopped, killed and restarted while the gateway continues; then every row is there, once."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8")
    with tempfile.TemporaryDirectory(prefix="packgate-database-", ignore_cleanup_errors=True) as folder:
        with server, Place() as place, VictoriaMetrics(folder) as victoria, InfluxDB() as influx:
            with Gateway(PACK.format("shed", url, 1) + HISTORY.format(place.file) + section("victoria", victoria.url + "/write") +
                         section("influx", influx.url + "/write?db=packs")) as gateway:
                gateway.wait_published("shed")
                until(lambda: victoria.times("shed") and influx.times("shed"))
                influx.process.send_signal(signal.SIGSTOP)
                victoria.process.kill()
                victoria.process.wait()
                place.await_rows("shed", len(place.times("shed")) + 3)
                await_status(gateway, "victoria", lambda status: status["behind_s"] > 0)
                influx.process.send_signal(signal.SIGCONT)
                with VictoriaMetrics(folder, victoria.port) as again:
                    upto = place.await_rows("shed", len(place.times("shed")) + 1)[-1]
                    for database in (again, influx):
                        await_all(database, place, "shed", upto)
                        times = database.times("shed")
                        assert len(times) == len(set(times)), times
                    labels, _, values = again.rows('packgate_cell_mv{pack="shed",cell="1"}')[0]
                    assert labels["gateway"] == "hut 1, east" and labels["line"] == "shed" and 3200 < values[0] < 3400, labels


def without_a_history(lost=False):
    """Rows in memory are still sent. A deleted history does not delay anything."""
    server, url = simulate("daly", "profile=fixed")
    away = Trouble(lambda *_: (503, b"", {}))
    with server, Place() as place, Database(away) as database:
        with Gateway(PACK.format("shed", url, 1) + (HISTORY.format(place.file) if lost else "") + section("one", database.url)) as gateway:
            gateway.wait_published("shed")
            if lost:
                place.await_rows("shed", 1)
            for name in os.listdir(place.folder):
                if name.startswith("history.db") and ".sent" not in name:
                    os.unlink(os.path.join(place.folder, name))
            await_status(gateway, "one", lambda status: status["behind_s"] >= 30)
            away.over = True
            times = database.await_times("shed", lambda got: len(got) >= 4)
            assert all(b - a == 10 for a, b in zip(times, times[1:])), times


def with_a_lost_history():
    without_a_history(lost=True)


class Telegraf:
    """Answers like Telegraf's listeners (1.40; plugins/inputs/influxdb_listener, influxdb_v2_listener and
    http_listener_v2 of its source, from which statuses and texts are): the first accepts the good lines of a
    request with bad ones, the others accept none of it. `most` metrics at a time is `max_undelivered_metrics` of
    the second. Lines of the pack odd are bad."""

    PATHS = {"influxdb_listener": "/write", "influxdb_v2_listener": "/api/v2/write", "http_listener_v2": "/telegraf"}

    def __init__(self, plugin, most=None):
        self.plugin, self.most, self.busy, self.said = plugin, most, most is not None, []

    def __call__(self, database, lines, headers, path):
        answer = self.answer(database, lines, headers, path.partition("?")[0])
        self.said.append(answer[0])
        return answer

    def answer(self, database, lines, headers, path):
        if path != self.PATHS[self.plugin]:
            return 404, b"404 page not found\n", {}
        if self.plugin == "influxdb_v2_listener" and headers.get("Authorization") != "Token s3cret":
            return 401, b"Unauthorized\n", {}
        if self.most and len(lines) > self.most:
            return 413, b"", {}
        if self.busy:  # its outputs have not accepted the previous ones
            return 429, b"", {}
        bad = [line for line in lines if "pack=odd" in line]
        if not bad:
            return 204, b"", {}
        if self.plugin == "http_listener_v2":
            return 400, b'{"error":"http: bad request"}', {"Content-Type": "application/json"}
        if self.plugin == "influxdb_v2_listener":
            return 400, b'{"code":"invalid","message":"metric parse error: expected field at 1:40: \\"...\\"","op":"","err":"..."}', {}
        database.store([line for line in lines if line not in bad])
        more = f" (and {len(bad) - 1} other parse errors)" if len(bad) > 1 else ""
        return 400, b'{"error":"metric parse error: expected field at 1:40%s"}' % more.encode(), {"X-Influxdb-Version": "1.0"}


def telegraf_takes_it():
    """Each of its listeners, with lines that it rejects, with too many at once, and without outputs."""
    shed, shed_url = simulate("daly", "profile=fixed,cells=8")
    odd, odd_url = simulate("daly", "profile=fixed,cells=8")
    with shed, odd, Place() as place, contextlib.ExitStack() as stack:
        listeners = {"first": Telegraf("influxdb_listener"), "second": Telegraf("influxdb_v2_listener", most=70),
                     "http": Telegraf("http_listener_v2")}
        databases = {name: stack.enter_context(Database(listener)) for name, listener in listeners.items()}
        text = PACK.format("shed", shed_url, 1) + PACK.format("odd", odd_url, 2) + HISTORY.format(place.file)
        for name, listener in listeners.items():
            text += section(name, databases[name].url + Telegraf.PATHS[listener.plugin] + "?bucket=x",
                            f"password_file = {place.secret('s3cret')}" if name == "second" else "")
        with Gateway(text) as gateway:
            gateway.wait_published("shed", "odd")
            upto = place.await_rows("shed", 5)[-1]
            assert 429 in listeners["second"].said
            listeners["second"].busy = False  # more rows are pending than it accepts at a time
            for name, database in databases.items():
                await_all(database, place, "shed", upto)
                assert not database.times("odd"), name
                await_status(gateway, name, lambda status: status["dropped"] > 0)
        assert {400, 204} <= set(listeners["first"].said) and {400, 204} <= set(listeners["http"].said)
        assert {413, 429, 400, 204} <= set(listeners["second"].said), listeners["second"].said


def niceness(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[16])


def catches_up_behind_others():
    """Hours of rows are sent with a lower priority than that of the gateway, and small gaps do not change that."""
    server, url = simulate("daly", "profile=fixed,cells=8")
    with server, Place() as place, Database() as database:
        text = PACK.format("shed", url, 1) + HISTORY.format(place.file) + section("one", database.url)
        with Gateway(text) as gateway:
            gateway.wait_published("shed")
            place.await_rows("shed", 1)
            database.await_times("shed", lambda got: len(got) >= 2)
            assert niceness(outlet_pid(gateway, "influx")) == niceness(gateway.process.pid)
        end = int(time.time()) // 10 * 10 - 600
        wanted = range(end - 3000 * 10, end, 10)
        with contextlib.closing(sqlite3.connect(place.file, timeout=PATIENCE)) as file, file:
            cells = ", ".join(f"c{n}" for n in range(1, 9))
            file.executemany(f"INSERT INTO recent(pack, t, n, voltage_mv, soc_permille, {cells}, flags) "
                             f"VALUES(1, ?, 10, 26400, 550{', 3300' * 8}, 0)", ([t] for t in wanted))
        os.unlink(place.file + ".sent-one")
        with Gateway(text + "interval = 10s, backfill all\ncatch_up = 200\n") as gateway:
            times = database.await_times("shed", lambda got: len(got) >= len(wanted) + 2)
            assert set(wanted) <= set(times), sorted(set(wanted) - set(times))[:3]
            # The database itself knows which rows it lacks.
            assert max(values[0] for (_, name, _), values in list(database.samples.items()) if name == "behind_s") > 600
            assert niceness(outlet_pid(gateway, "influx")) == min(os.nice(0) + 10, 19) and niceness(gateway.process.pid) == os.nice(0)


def resident(pid):
    """MiB, as ps shows it."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) / 1024


def says_what_is_wrong_with_a_server():
    """A real database: its certificate, and a port of the other kind."""
    with tempfile.TemporaryDirectory(prefix="packgate-tls-") as folder:
        make_certificates(folder)
        with VictoriaMetrics(tls=folder) as safe, VictoriaMetrics() as plain:
            def section(name, url, more=f"ca_file = {folder}/ca.pem\n"):
                return f"[influx {name}]\nurl = {url}/write\ninterval = 10s\n{more}"
            cases = (("good", safe.url, None, ""),
                     ("wrong-authority", safe.url, f"ca_file = {folder}/other.pem\n", "its certificate is not from the authority in ca_file;"),
                     ("unknown-authority", safe.url, "", "its certificate is from an authority that this host does not know: set ca_file;"),
                     ("other-name", safe.url.replace("127.0.0.1", "localhost"), None, "its certificate is for another name: use a name that is in"),
                     ("unencrypted", safe.url.replace("https:", "http:"), "", ".*its port (is|may be) one for https://;"),
                     ("encrypted", plain.url.replace("http:", "https:"), None, ".*: its port may be one for http://;"))
            with Gateway(PACK.format("shed", "sim:", 1) +
                         "".join(section(name, url, *([] if more is None else [more])) for name, url, more, _ in cases)) as gateway:
                for name, _, _, said in cases[1:]:
                    await_line(gateway, f"influx {name}: {said}")
                await_status(gateway, "good", lambda status: status["published"] > 0)


def is_small():
    """Together with notifications below 16 MiB, after both have sent something: memory touched only while libcurl was
    loaded is released. The shadow memory of sanitizers is not counted."""
    packs = "".join(f"[line l{n}]\nport = sim:cells=16,seed={n}\nprotocol = daly-d2\n[pack p{n}]\nline = l{n}\nunit = {n}\npoll = 1s\n"
                    for n in range(1, 65))
    with Place() as place, Database() as database, Database(keep=lambda status: False) as phone:
        with Gateway(packs + HISTORY.format(place.file) + section("one", database.url) +
                     f"[notify phone]\ntype = webhook\nurl = {phone.url}/\nevents = started\n") as gateway:
            database.await_times("p64", lambda got: len(got) >= 2)
            gateway.wait_for("notify phone: sent ")
            until(lambda: {name: resident(outlet_pid(gateway, name)) for name in ("influx", "notify")},
                  lambda sizes: sum(sizes.values()) < 16 or "sanitized" in PACKGATE)


if __name__ == "__main__":
    for tool in ("influxd", "victoria-metrics"):
        assert shutil.which(tool), f"{tool} is missing"
    main([nothing_is_lost, what_it_sends, silent_packs_say_so, real_databases, without_a_history,
          with_a_lost_history, telegraf_takes_it, is_small, catches_up_behind_others,
          says_what_is_wrong_with_a_server], at_once=10)
