# SPDX-License-Identifier: MIT
"""Shared by the tests of the line protocol: a stand-in for a database whose answers the test decides, and Debian's
real ones."""

import gzip
import json
import os
import re
import shutil
import signal
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from harness import PATIENCE, Program, free_port, outlet_pid, until
from http_standin import HttpStandin

POINT = re.compile(r"^((?:\\.|[^\\ ])+) ((?:\\.|[^\\ ])+) (\d+)$")
COMMA, EQUALS, ESCAPED = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)="), re.compile(r"\\(.)")


def parse(line):
    """({tags}, {fields}, seconds); the measurement is packgate."""
    head, fields, at = POINT.match(line).groups()
    parts = COMMA.split(head)
    assert parts[0] == "packgate" and at.endswith("000000000"), line
    tags = {name: ESCAPED.sub(r"\1", value) for name, value in map(EQUALS.split, parts[1:])}
    return tags, {name: float(value) for name, value in (field.split("=") for field in fields.split(","))}, int(at[:-9])


class Database(HttpStandin):
    """A stand-in. `answer(database, lines, headers, path)` returns (status, body, headers), or None for no answer.
    Rows accepted with 2xx, and those that `keep` accepts, are in `samples` {(pack, name, seconds): [values]};
    `pack` is None for rows of the gateway itself."""

    def __init__(self, answer=lambda *_: (204, b"", {}), keep=lambda status: status // 100 == 2):
        self.decide, self.keep = answer, keep
        self.samples, self.requests, self.lock = {}, [], threading.Lock()
        super().__init__(self.answer)

    def answer(self, request, body):
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.decode().splitlines()
        with self.lock:
            status, text, headers = self.decide(self, lines, request.headers, request.path) or (None, b"", {})
            self.requests.append((status, len(lines), dict(request.headers), request.path))
            if status is None or self.keep(status):
                self.store(lines)
        if status:
            return status, headers, text
        request.wfile.write(b"HTTP/1.1 204 No Con")  # and never sends the rest of it
        self.over.wait(10 * PATIENCE)
        return None

    def store(self, lines):
        for line in lines:
            tags, fields, at = parse(line)
            for name, value in fields.items():
                for tag in ("finding", "cell", "sensor", "alarm", "level", "version"):
                    name += "." + tags[tag] if tag in tags else ""
                self.samples.setdefault((tags.get("pack"), name, at), []).append(value)

    def times(self, pack, name="voltage_v"):
        with self.lock:
            return sorted(at for (of, value, at) in self.samples if of == pack and value == name)

    def await_times(self, pack, wanted):
        """Waits until `wanted(times)` of a pack."""
        return until(lambda: self.times(pack), wanted, patience=3 * PATIENCE)


def ask(url, data=None):
    """The body of an answer, parsed if it is JSON."""
    request = urllib.request.Request(url, data=data.encode() if isinstance(data, str) else data)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


def await_answer(url):
    return until(lambda: ask(url), lambda _: True, bears=(urllib.error.URLError, ConnectionError, TimeoutError))


class VictoriaMetrics(Program):
    """Debian's, on a port of its own. What is sent twice is there once."""

    def __init__(self, folder=None, port=None, tls=None):
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="packgate-victoria-")
        self.port = port or free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        super().__init__(shutil.which("victoria-metrics"), f"-storageDataPath={self.folder}", "-dedup.minScrapeInterval=1ms",
                         f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y", "-memory.allowedPercent=5",
                         *(["-tls", f"-tlsCertFile={tls}/server.pem", f"-tlsKeyFile={tls}/server.key"] if tls else []))
        if tls:
            self.wait_for(f"started .*{self.port}/?|starting .*https?://127.0.0.1:{self.port}/")
        else:
            await_answer(self.url + "/health")

    def rows(self, selector):
        """[(labels, [seconds], [values])]"""
        ask(self.url + "/internal/force_flush")
        text = ask(self.url + "/api/v1/export?" + urllib.parse.urlencode({"match[]": selector}))
        rows = [json.loads(line) for line in text.splitlines()]
        return [(row["metric"], [t // 1000 for t in row["timestamps"]], row["values"]) for row in rows]

    def times(self, pack, name="voltage_v"):
        found = self.rows(f'packgate_{name}{{pack="{pack}"}}')
        return found[0][1] if found else []

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)


class InfluxDB(Program):
    """Debian's InfluxDB 1 with a database `packs`; also its second port is one of this host alone."""

    def __init__(self, folder=None, port=None):
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="packgate-influxdb-")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = os.path.join(self.folder, "influxdb.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'''reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{self.folder}/meta"
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
[monitor]
store-enabled = false
''')
        super().__init__(shutil.which("influxd"), "-config", path)
        await_answer(self.url + "/ping")
        ask(self.url + "/query", urllib.parse.urlencode({"q": "CREATE DATABASE packs"}))

    def times(self, pack, name="voltage_v"):
        query = urllib.parse.urlencode({"db": "packs", "epoch": "s", "q": f"SELECT {name} FROM packgate WHERE pack='{pack}'"})
        result = json.loads(ask(self.url + "/query?" + query))["results"][0]
        return [row[0] for row in result["series"][0]["values"]] if "series" in result else []

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)


def kill_outlet(gateway, *words):
    os.kill(outlet_pid(gateway, *words), signal.SIGKILL)
