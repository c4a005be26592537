# SPDX-License-Identifier: MIT
"""`make fleet`: many gateways through nginx into VictoriaMetrics and, live, through mosquitto, with the files of conf/fleet and
Debian's packages, all on 127.0.0.1. Each part is killed and begun again; afterwards every sample is counted.

    fleet.py PACKGATE           FLEET_GATEWAYS (1000) of the load generator, FLEET_REAL (6) real ones, FLEET_SECONDS (60) of peace
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import paho.mqtt.client as paho  # noqa: E402

from harness import PACKGATE, PATIENCE, Program, free_port  # noqa: E402
from influx_harness import VictoriaMetrics, ask  # noqa: E402

CONF = os.path.join(ROOT, "conf", "fleet")
TICK = os.sysconf("SC_CLK_TCK")
NAME = "fleet.example.net"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    return path


class Certificates:
    """An authority, a certificate of the server, and one for each gateway that comes in with one."""

    def __init__(self, folder):
        self.folder = folder
        self.ca, self.ca_key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=fleet ca",
                "-keyout", self.ca_key, "-out", self.ca)
        self.cert, self.key = self.make("server", NAME, f"subjectAltName=DNS:{NAME},IP:127.0.0.1")

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, file, name, extension="keyUsage=digitalSignature"):
        cert, key, request = self.path(file + ".pem"), self.path(file + ".key"), self.path(file + ".csr")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O=fleet/CN={name}", "-keyout", key,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", "2", "-out", cert,
                "-extfile", write(self.path(file + ".ext"), extension + "\n"))
        return cert, key


class Nginx(Program):
    def __init__(self, folder, port, database, certificates, tokens):
        text = read(os.path.join(CONF, "nginx.conf"))
        for pattern, other in ((r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"), (r"\n *listen \[::\]:443 ssl;", ""),
                               (r"127\.0\.0\.1:8428", f"127.0.0.1:{database}"), (r"/etc/nginx/fleet-tokens\.map", tokens),
                               (r"/etc/nginx/fleet-ca\.pem", certificates.ca),
                               (r"ssl_certificate_key +\S+;", f"ssl_certificate_key {certificates.key};"),
                               (r"ssl_certificate +\S+;", f"ssl_certificate {certificates.cert};")):
            text, count = re.subn(pattern, other, text)
            assert count, pattern
        path = write(os.path.join(folder, "nginx.conf"), f"""{'user root;' if os.geteuid() == 0 else ''} worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 8000; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; map_hash_bucket_size 256; map_hash_max_size 20000;
{text}
}}""")
        super().__init__(shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", path, "-g", "daemon off;", start_new_session=True)
        self.await_port(port)

    def await_port(self, port):
        import socket
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return
            assert self.process.poll() is None and time.monotonic() < deadline, list(self.queue.queue)
            time.sleep(0.1)

    def kill(self):
        """The workers as well."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Mosquitto(Program):
    def __init__(self, folder, port, certificates, users):
        self.passwords = os.path.join(folder, "passwords")
        if not os.path.exists(self.passwords):
            write(self.passwords, "".join(f"{user}:{password}\n" for user, password in users.items()))
            subprocess.run(["mosquitto_passwd", "-U", self.passwords], check=True)
        text = read(os.path.join(CONF, "mosquitto.conf"))
        for pattern, other in ((r"listener 8883", f"listener {port} 127.0.0.1"), (r"certfile \S+", f"certfile {certificates.cert}"),
                               (r"keyfile \S+", f"keyfile {certificates.key}"), (r"password_file \S+", f"password_file {self.passwords}"),
                               (r"acl_file \S+", f"acl_file {os.path.join(CONF, 'mosquitto-acl')}")):
            text, count = re.subn(pattern, other, text)
            assert count, pattern
        path = write(os.path.join(folder, "mosquitto.conf"), ("user root\n" if os.geteuid() == 0 else "") + text)
        super().__init__(shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", path)
        self.wait_for(r"mosquitto version .* running")


class Watcher:
    """Somebody who looks at all gateways: what came of each."""

    def __init__(self, port, certificates, user, password):
        self.seen, self.ready = {}, threading.Event()
        self.client = paho.Client()
        self.client.username_pw_set(user, password)
        self.client.tls_set(ca_certs=certificates.ca)
        self.client.on_connect = lambda client, *_: client.subscribe("packgate/#", 0)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._take
        self.client.reconnect_delay_set(1, 2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE)

    def _take(self, client, data, message):
        name = message.topic.split("/")[1]
        self.seen[name] = self.seen.get(name, 0) + 1
        self.seen[message.topic] = self.seen.get(message.topic, 0) + 1

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


class Real:
    """A real gateway on simulated packs, with a history, the line protocol by token or certificate, and MQTT."""

    def __init__(self, folder, name, https, mqtts, certificates, token, password, with_certificate):
        self.name, self.folder = name, os.path.join(folder, name)
        os.makedirs(self.folder)
        self.history = os.path.join(self.folder, "history.db")
        write(os.path.join(self.folder, "token"), token + "\n")
        write(os.path.join(self.folder, "password"), password + "\n")
        way = f"token_file = {self.folder}/token"
        if with_certificate:
            cert, key = certificates.make(name, name)
            way = f"client_cert = {cert}\nclient_key = {key}"
        self.path = write(os.path.join(self.folder, "packgate.ini"), f"""[gateway]
listen = 127.0.0.1:0
state_file = {self.folder}/state
control = {self.folder}/control
[line a]
port = sim:cells=16,soc=60,seed={len(name)}
protocol = daly
[line b]
port = sim:cells=8,soc=40
protocol = jbd
[pack a]
line = a
unit = 1
[pack b]
line = b
unit = 2
[history]
file = {self.history}
commit = 10s
[influx fleet]
url = https://127.0.0.1:{https}/write
ca_file = {certificates.ca}
gateway = i-am-somebody-else
{way}
[mqtt fleet]
broker = mqtts://127.0.0.1:{mqtts}
ca_file = {certificates.ca}
user = {name}
password_file = {self.folder}/password
topic = packgate/{name}
discovery = off
interval = 2s
""")
        self.start()

    def start(self):
        self.program = Program(PACKGATE, "run", "-c", self.path)
        self.program.wait_for(r"listening on")

    def kill(self):
        self.program.process.kill()
        self.program.stop()

    def behind(self):
        result = subprocess.run([PACKGATE, "status", "-c", self.path, "--json"], stdout=subprocess.PIPE, timeout=PATIENCE)
        outlets = json.loads(result.stdout)["outlets"] if result.returncode in (0, 1) and result.stdout else []
        return next((outlet["behind_s"] for outlet in outlets if outlet["kind"] == "influx"), None)

    def rows(self, upto):
        """{pack: times} of the history."""
        database = sqlite3.connect(f"file:{self.history}?mode=ro", uri=True, timeout=PATIENCE)
        try:
            return {pack: [row[0] for row in database.execute("SELECT t FROM recents WHERE name = ? AND t <= ?", [pack, upto])] for pack in "ab"}
        finally:
            database.close()


def cpu_of(pid):
    """Processor seconds of a process and its children that are there."""
    total = 0.0
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total = (int(fields[11]) + int(fields[12])) / TICK
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            total += sum(cpu_of(int(child)) for child in file.read().split())
    return total


def size_of(folder):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)


def resident_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


class Fleet:
    def __init__(self, gateways, real, say=print):
        self.gateways, self.say = gateways, say
        self.folder = tempfile.mkdtemp(prefix="packgate-fleet-")
        self.watcher = self.database = self.nginx = self.mosquitto = self.load = None
        self.reals = []
        try:
            self.start(gateways, real)
        except BaseException:
            self.stop()
            raise

    def start(self, gateways, real):
        self.certificates = Certificates(self.folder)
        self.https, self.mqtts = free_port(), free_port()
        names = [f"load-{n:05}" for n in range(gateways)] + [f"hut-{n}" for n in range(real)]
        self.tokens = {name: os.urandom(12).hex() for name in names}
        write(self.path("tokens.map"), "".join(f'"Token {token}" {name};\n' for name, token in self.tokens.items()))
        write(self.path("load.tokens"), "".join(f"{name} {token}\n" for name, token in self.tokens.items() if name.startswith("load")))
        self.users = {**{f"hut-{n}": os.urandom(6).hex() for n in range(real)}, "watcher": "looks", "operator": "orders"}
        self.began = int(time.time()) // 10 * 10 - 10
        self.database = VictoriaMetrics(self.path("victoria"))
        self.start_nginx()
        self.start_mosquitto()
        self.watcher = Watcher(self.mqtts, self.certificates, "watcher", self.users["watcher"])
        for n in range(real):
            self.reals.append(Real(self.folder, f"hut-{n}", self.https, self.mqtts, self.certificates, self.tokens[f"hut-{n}"],
                                   self.users[f"hut-{n}"], n % 2 == 1))
        self.load = Program(sys.executable, os.path.join(ROOT, "tests", "fleet", "load.py"), self.https, self.certificates.ca,
                            self.path("load.tokens"), gateways)
        self.load.wait_for("ready")

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_nginx(self):
        os.makedirs(self.path("nginx"), exist_ok=True)
        self.nginx = Nginx(self.path("nginx"), self.https, self.database.port, self.certificates, self.path("tokens.map"))

    def start_mosquitto(self):
        os.makedirs(self.path("mosquitto"), exist_ok=True)
        self.mosquitto = Mosquitto(self.path("mosquitto"), self.mqtts, self.certificates, self.users)

    def total(self):
        self.load.process.send_signal(signal.SIGUSR1)
        return json.loads(self.load.wait_for(r"^(\{.*\})$")[1])

    def parts(self):
        return {"nginx": self.nginx.process.pid, "victoria-metrics": self.database.process.pid, "mosquitto": self.mosquitto.process.pid,
                "load generator": self.load.process.pid}

    def measure(self, seconds):
        """Rates and costs while nothing is wrong."""
        before, began = {name: cpu_of(pid) for name, pid in self.parts().items()}, time.monotonic()
        real_before = [cpu_of(real.program.process.pid) for real in self.reals]
        first = self.total()
        time.sleep(seconds)
        last, span = self.total(), time.monotonic() - began
        requests = (last.get("requests", 0) - first.get("requests", 0)) / span
        samples = requests * 4 * 36
        sent = (last.get("bytes", 0) - first.get("bytes", 0)) / span
        self.say(f"{self.gateways} gateways x 4 packs x 36 values each 10 s: {requests:.1f} requests/s, {samples:.0f} samples/s "
                 f"of {self.gateways * 4 * 36 / 10:.0f} that are due")
        self.say(f"on the wire {sent / 1000:.0f} kB/s compressed, {sent / max(samples, 1):.2f} B a sample, "
                 f"{sent / max(self.gateways, 1) * 86400 / 1e6:.2f} MB a gateway and day")
        for name, pid in self.parts().items():
            share = (cpu_of(pid) - before[name]) / span
            self.say(f"{name}: {100 * share:.1f} % of a core, {resident_of(pid):.0f} MiB resident, "
                     f"{1e6 * share / max(requests, 1):.0f} us a request")
        costs = [(cpu_of(real.program.process.pid) - cost) / span for real, cost in zip(self.reals, real_before)]
        if costs:
            self.say(f"a real gateway with its outlets: {100 * sum(costs) / len(costs):.2f} % of a core")
        pipeline = {name: (cpu_of(pid) - before[name]) / span for name, pid in self.parts().items() if name in ("nginx", "victoria-metrics")}
        dearest = max(pipeline, key=pipeline.get)
        if pipeline[dearest] > 0:
            self.say(f"what limits: {dearest}, at {samples / pipeline[dearest]:.0f} samples/s a core "
                     f"({self.gateways / pipeline[dearest]:.0f} gateways a core)")
        else:
            self.say("what limits: so few gateways cost too little to tell")
        return samples

    def kill_each(self, pause=15):
        """Each part dies without a word and stays away for longer than an interval."""
        self.say("killing victoria-metrics")
        self.database.process.kill()
        self.database.process.wait()
        time.sleep(pause)
        self.database = VictoriaMetrics(self.database.folder, self.database.port)
        self.say("killing nginx")
        self.nginx.kill()
        time.sleep(pause)
        self.start_nginx()
        self.say("stopping victoria-metrics for a while")
        self.database.process.send_signal(signal.SIGSTOP)
        time.sleep(pause)
        self.database.process.send_signal(signal.SIGCONT)
        self.say("killing mosquitto")
        self.mosquitto.process.kill()
        self.mosquitto.process.wait()
        self.start_mosquitto()
        if self.reals:
            self.say(f"killing {self.reals[0].name}")
            self.reals[0].kill()
            self.reals[0].start()

    def await_live(self):
        """Values of each real gateway come by MQTT, after all that was."""
        before = dict(self.watcher.seen)
        deadline = time.monotonic() + 2 * PATIENCE
        while any(self.watcher.seen.get(f"packgate/{real.name}/a/state", 0) <= before.get(f"packgate/{real.name}/a/state", 0)
                  for real in self.reals):
            assert time.monotonic() < deadline, self.watcher.seen
            time.sleep(0.2)

    def check_rights(self):
        """A gateway writes below its own name alone, and nobody comes in without a name."""
        intruder = Watcher(self.mqtts, self.certificates, "hut-0", self.users["hut-0"])
        intruder.client.publish("packgate/hut-1/a/state", "forged", 1).wait_for_publish(PATIENCE)
        intruder.client.publish("packgate/hut-0/mark", "own", 1).wait_for_publish(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while "packgate/hut-0/mark" not in self.watcher.seen:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "packgate/hut-1/a/info" not in intruder.seen and not [topic for topic in intruder.seen if topic.startswith("packgate/hut-1")]
        intruder.stop()
        import urllib.error
        import urllib.request
        context = ssl.create_default_context(cafile=self.certificates.ca)
        for path, token, wanted in (("/write", "Token wrong", 401), ("/write", "", 401), ("/api/v1/query", f"Token {self.tokens['hut-0']}", 404)):
            request = urllib.request.Request(f"https://127.0.0.1:{self.https}{path}", data=b"x y=1", headers={"Authorization": token})
            try:
                status = urllib.request.urlopen(request, timeout=PATIENCE, context=context).status
            except urllib.error.HTTPError as error:
                status = error.code
            assert status == wanted, (path, token, status)

    def count(self):
        """(what the load generator says, wanted, found, doubled): every sample that was sent against what is there, gateway by gateway,
        as each has its own number of intervals: they did not all begin at once."""
        self.load.process.send_signal(signal.SIGTERM)
        sent = json.loads(self.load.wait_for(r"^(\{.*per_pack.*\})$")[1])
        assert sent["owed"] == 0, sent
        wanted = sent["ticks"] * sent["packs"] * sent["per_pack"]
        ask(self.database.url + "/internal/force_flush")
        now = int(time.time()) + 1
        window = f"[{now - self.began}s]"

        def query(text):
            import urllib.parse
            answer = ask(self.database.url + "/api/v1/query?" + urllib.parse.urlencode({"query": text, "time": now, "nocache": 1}))
            return {row["metric"].get("gateway"): float(row["value"][1]) for row in json.loads(answer)["data"]["result"]}

        # A tenth of them at a time: the database gives up what takes it half a minute.
        found, most = {}, {}
        for digit in range(10):
            series = f'count_over_time({{gateway=~"load-.*{digit}",__name__=~"packgate_.*"}}{window})'
            found.update(query(f"sum by (gateway) ({series})"))
            most.update(query(f"max by (gateway) ({series})"))
        doubled = {name: (most[name], ticks) for name, ticks in sent["by_gateway"].items() if most.get(name, 0) > ticks}
        return sent, wanted, int(sum(found.values())), doubled

    def await_reals(self):
        """Until each real gateway has delivered what its history has; (rows wanted, missing, doubled)."""
        upto = int(time.time()) // 10 * 10 - 20
        deadline = time.monotonic() + 5 * PATIENCE
        while True:
            wanted, missing, doubled = 0, [], []
            for real in self.reals:
                for pack, times in real.rows(upto).items():
                    rows = self.database.rows(f'packgate_voltage_v{{gateway="{real.name}",pack="{pack}"}}')
                    found = rows[0][1] if rows else []
                    wanted += len(times)
                    missing += [(real.name, pack, t) for t in times if t not in found]
                    doubled += [(real.name, pack, t) for t in set(found) if found.count(t) > 1]
            if wanted and not missing:
                break
            assert time.monotonic() < deadline, missing[:20]
            time.sleep(1)
        strangers = self.database.rows('packgate_fresh{gateway="i-am-somebody-else"}')
        return wanted, missing, doubled, strangers

    def __enter__(self):
        return self

    def stop(self):
        if self.watcher:
            self.watcher.stop()
        for real in self.reals:
            real.program.stop()
        for program in (self.load, self.mosquitto, self.database):
            if program:
                program.stop(signal.SIGKILL)
        if self.nginx:
            with contextlib.suppress(ProcessLookupError):
                self.nginx.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *arguments):
        self.stop()


def run(gateways, real, seconds, say=print):
    """The whole thing; an AssertionError where a sample is missing or doubled."""
    with Fleet(gateways, real, say) as fleet:
        # All have connected by then.
        deadline = time.monotonic() + 2 * PATIENCE
        while fleet.total().get("connections", 0) < gateways:
            assert time.monotonic() < deadline
            time.sleep(1)
        fleet.await_live()
        fleet.measure(seconds)
        fleet.kill_each()
        time.sleep(max(20, seconds / 2))
        fleet.await_live()
        fleet.check_rights()
        wanted, missing, doubled, strangers = fleet.await_reals()
        say(f"{real} real gateways: {wanted} rows of their histories, {len(missing)} missing, {len(doubled)} doubled")
        sent, samples, found, repeated = fleet.count()
        say(f"load generator: {sent['ticks']} intervals, {samples} samples sent and confirmed, {found} found, "
            f"{samples - found} missing, {len(repeated)} gateways with doubled ones; not taken at once: "
            + (", ".join(f"{count} x {status}" for status, count in sent.items() if status.startswith("status")) or "none"))
        say(f"the database has {size_of(fleet.path('victoria')) / 1e6:.1f} MB, {size_of(fleet.path('victoria')) / max(found, 1):.1f} B a sample "
            "(a young one: it shrinks when parts are merged)")
        assert not doubled and not strangers and found == samples and not repeated, (doubled, strangers, found, samples, repeated)


if __name__ == "__main__":
    begun = time.monotonic()
    run(int(os.environ.get("FLEET_GATEWAYS") or 1000), int(os.environ.get("FLEET_REAL") or 6), int(os.environ.get("FLEET_SECONDS") or 60))
    print(f"all of it is there, after {time.monotonic() - begun:.0f} s")
