# SPDX-License-Identifier: MIT
"""`make fleet`: many gateways through nginx into VictoriaMetrics and, live, through mosquitto, on a centre that the commands of
docs/fleet.md have set up (centre.py). Each part is killed and begun again; afterwards every sample is counted. Then come the other
steps of the page: certificates, alerts, lock out, backup and restore, shards.

    fleet.py PACKGATE           FLEET_GATEWAYS (1000) of the load generator, FLEET_REAL (6) real ones, FLEET_SECONDS (60) of peace
                                FLEET_INTERVAL (10) of the load generator
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
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import centre

import paho.mqtt.client as paho

from harness import PACKGATE, PATIENCE, Program, until
from influx_harness import ask

TICK = os.sysconf("SC_CLK_TCK")
URL = f"https://{centre.NAME}"
CREDENTIALS = "/run/credentials/packgate.service"
UNITS = ("nginx", "victoria-metrics", "mosquitto")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    return path


def given_to(name, what):
    """The token or password that fleet-admit has made."""
    return read(f"/var/lib/fleet/{name}/{what}").strip()


def post(text, token=None, certificate=None, path="/write"):
    """The status of a request to nginx."""
    context = ssl.create_default_context()
    if certificate:
        context.load_cert_chain(*certificate)
    headers = {"Authorization": f"Token {token}"} if token else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(URL + path, data=text.encode(), headers=headers), timeout=PATIENCE, context=context).status
    except urllib.error.HTTPError as error:
        return error.code


def served_certificate(port):
    return ssl.get_server_certificate((centre.NAME, port))


def await_post(wanted, *arguments, **named):
    """nginx goes over to what it has loaded anew within a moment."""
    deadline = time.monotonic() + PATIENCE
    while (status := post("x y=1", *arguments, **named)) != wanted:
        assert time.monotonic() < deadline, (status, arguments, named)
        time.sleep(0.1)


class Watcher:
    """Somebody who looks at all gateways: what came of each."""

    def __init__(self, user, password):
        self.seen, self.ready = {}, threading.Event()
        self.client = paho.Client()
        self.client.username_pw_set(user, password)
        self.client.tls_set()
        self.client.on_connect = lambda client, *_: client.subscribe("packgate/#", 0)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._take
        self.client.reconnect_delay_set(1, 2)
        self.client.connect(centre.NAME, 8883)
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

    def __init__(self, folder, name, certificate):
        self.name, self.folder = name, os.path.join(folder, name)
        os.makedirs(self.folder)
        self.history = os.path.join(self.folder, "history.db")
        way = f"password_file = /var/lib/fleet/{name}/token"
        if certificate:
            way = "client_cert = {}, {}".format(*certificate)
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
url = {URL}/write
gateway = i-am-somebody-else
{way}
[mqtt fleet]
broker = mqtts://{centre.NAME}
user = {name}
password_file = /var/lib/fleet/{name}/password
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

    def rows(self, upto):
        """{pack: times} of the history."""
        database = sqlite3.connect(f"file:{self.history}?mode=ro", uri=True, timeout=PATIENCE)
        try:
            return {pack: [row[0] for row in database.execute("SELECT t FROM recents WHERE name = ? AND t <= ?", [pack, upto])] for pack in "ab"}
        finally:
            database.close()


class OfThePage:
    """The gateway hut-1 with the configuration of the page, down to its addresses and paths."""

    def __init__(self):
        self.simulator = Program(PACKGATE, "simulate", "--protocol", "topbms", "--tcp", "192.0.2.49:6126")
        self.simulator.wait_for(r"tcp://")
        os.makedirs(CREDENTIALS)
        os.makedirs("/etc/packgate", exist_ok=True)
        os.makedirs("/var/lib/packgate", exist_ok=True)
        os.makedirs("/run/packgate", exist_ok=True)
        self.take_credentials()
        self.path = write("/etc/packgate/packgate.ini", centre.blocks("ini", read(centre.PAGE))[0])
        self.start()

    def take_credentials(self):
        """As systemd hands them over."""
        for what in ("token", "password"):
            shutil.copy(f"/var/lib/fleet/hut-1/{what}", f"{CREDENTIALS}/fleet-{what}")

    def start(self):
        self.program = Program(PACKGATE, "run", "-c", self.path)
        self.program.wait_for(r"listening on")

    def stop(self):
        self.program.stop()
        self.simulator.stop()


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


class Fleet(contextlib.AbstractContextManager):
    def __init__(self, gateways, real, interval, say=print):
        self.gateways, self.interval, self.say = gateways, interval, say
        self.watcher = self.load = self.page = None
        self.reals = []
        self.centre = centre.Centre()
        self.folder, self.follow = self.centre.folder, self.centre.follow
        try:
            self.start(real)
        except BaseException:
            self.stop()
            raise

    def start(self, real):
        self.began = int(time.time()) // 10 * 10 - 10
        self.centre.set_up()
        self.database = self.centre.database
        self.follow("Admit a gateway")
        names = [f"load-{n:05}" for n in range(self.gateways)]
        huts = [f"hut-{n}" for n in range(3, 3 + real)]
        begun = time.monotonic()
        centre.run("fleet-admit", *names, *huts, "operator")
        self.say(f"fleet-admit of {len(names) + real + 1} names took {time.monotonic() - begun:.1f} s")
        write(self.path("credentials"), "".join(f"{name} {given_to(name, 'token')} {given_to(name, 'password')}\n" for name in names))
        self.page = OfThePage()
        certificate = self.sign_hut_2()
        # It waits until a gateway has sent a state.
        assert self.follow("Look at the values", "mosquitto_sub")[0].count("voltage_v") == 1
        self.watcher = Watcher("watcher", read("/var/lib/fleet/watcher").strip())
        for name in huts:
            self.reals.append(Real(self.folder, name, None))
        centre.run("fleet-admit", "hut-2")
        self.reals.append(Real(self.folder, "hut-2", certificate))
        self.load = Program(sys.executable, os.path.join(centre.ROOT, "tests", "fleet", "load.py"), self.path("credentials"), self.interval)
        self.load.wait_for("ready")

    def sign_hut_2(self):
        """By the page; (certificate, key)."""
        self.follow("Certificates in place of tokens")
        certificate = self.path("hut-2.pem"), self.path("fleet.key")
        await_post(204, certificate=certificate)
        return certificate

    def path(self, name):
        return os.path.join(self.folder, name)

    def total(self):
        self.load.process.send_signal(signal.SIGUSR1)
        return json.loads(self.load.wait_for(r"^(\{.*\})$")[1])

    def parts(self):
        return {**{unit: self.centre.pid(unit) for unit in UNITS}, "load generator": self.load.process.pid}

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
        self.say(f"{self.gateways} gateways x 4 packs x 36 values each {self.interval} s: {requests:.1f} requests/s, {samples:.0f} samples/s "
                 f"of {self.gateways * 4 * 36 / self.interval:.0f} that are due")
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

    def kill(self, unit):
        """All its processes, without a word."""
        os.killpg(os.getpgid(self.centre.pid(unit)), signal.SIGKILL)

    def kill_each(self, pause=12):
        """Each part dies and stays away for longer than an interval."""
        for unit in UNITS:
            self.say(f"killing {unit}")
            self.kill(unit)
            time.sleep(pause)
            centre.run("systemctl", "restart", unit)
        self.say("stopping victoria-metrics for a while")
        os.kill(self.centre.pid("victoria-metrics"), signal.SIGSTOP)
        time.sleep(pause)
        os.kill(self.centre.pid("victoria-metrics"), signal.SIGCONT)
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
        intruder = Watcher("hut-2", given_to("hut-2", "password"))
        intruder.client.publish("packgate/hut-1/house-1/state", "forged", 1).wait_for_publish(PATIENCE)
        intruder.client.publish("packgate/hut-2/mark", "own", 1).wait_for_publish(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while "packgate/hut-2/mark" not in self.watcher.seen:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not [topic for topic in intruder.seen if topic.startswith("packgate/hut-1")]
        intruder.stop()
        token = given_to("hut-1", "token")
        serial = re.search(r"certificate:(\w+) hut-2;", read("/etc/nginx/fleet/gateways.map"))[1]
        for wanted, path, given in ((401, "/write", "wrong"), (401, "/write", None), (404, "/api/v1/query", token), (204, "/write", token),
                                    (401, "/write", f"certificate:{serial}")):
            assert post("x y=1", given, path=path) == wanted, (path, given)

    def query(self, text, at):
        """{gateway: value}"""
        answer = ask(self.database.url + "/api/v1/query?" + urllib.parse.urlencode({"query": text, "time": at, "nocache": 1}))
        return {row["metric"].get("gateway"): float(row["value"][1]) for row in json.loads(answer)["data"]["result"]}

    def log_of_nginx(self):
        """What it complained of, how often; nothing of it may be about its own limits."""
        counts = {}
        for level, text in re.findall(r"\[(warn|error|crit|alert|emerg)\] \d+#\d+: (?:\*\d+ )?([^,\n]*)", read("/var/log/nginx/error.log")):
            if "setrlimit" not in text:  # a container whose hard limit is lower
                counts[f"{level}: {text}"] = counts.get(f"{level}: {text}", 0) + 1
        assert not [text for text in counts if "worker_connections" in text or "Too many open files" in text or "hash" in text], counts
        return ", ".join(f"{count} x {text}" for text, count in counts.items()) or "nothing"

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
        # Some hundred at a time: the database gives up what takes it half a minute.
        found, most = {}, {}
        for ending in range(10) if self.gateways <= 2000 else range(100):
            digits = str(ending) if self.gateways <= 2000 else f"{ending:02}"
            series = f'count_over_time({{gateway=~"load-.*{digits}",__name__=~"packgate_.*"}}{window})'
            found.update(self.query(f"sum by (gateway) ({series})", now))
            most.update(self.query(f"max by (gateway) ({series})", now))
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

    def check_steps(self):
        """The other steps of the page, on what is there."""
        self.follow("Watch the centre")
        version = centre.run(PACKGATE, "--version").split()[1]
        deadline = time.monotonic() + 2 * PATIENCE
        # A gateway reports its version once a minute, and not later what the database has missed of that.
        versions = []
        while not versions or any(f'"version":"{version}"' not in said for said in versions):
            assert time.monotonic() < deadline, versions
            versions = self.follow("Versions and upgrades")
            time.sleep(0.5)
        deadline = time.monotonic() + 5 * PATIENCE
        while b"AlertsWork" not in (said := urllib.request.urlopen("http://127.0.0.1:9093/api/v2/alerts", timeout=PATIENCE).read()):
            assert time.monotonic() < deadline, said
            time.sleep(0.5)
        # A renewed certificate is in use at both ports.
        before = [served_certificate(port) for port in (443, 8883)]
        self.follow("Set up the centre", "certbot certonly")
        deadline = time.monotonic() + PATIENCE
        while any(served_certificate(port) == old for port, old in zip((443, 8883), before)):
            assert time.monotonic() < deadline, before
            time.sleep(0.1)
        # A new token beside the old one, which is valid until its line is taken out; then neither is.
        old = given_to("hut-1", "token")
        self.follow("Replace a token, lock a gateway out", "fleet-admit")
        new = given_to("hut-1", "token")
        assert new != old
        await_post(204, new)
        assert post("x y=1", old) == 204
        self.page.program.stop()
        self.page.take_credentials()
        self.page.start()
        self.page.program.wait_for("mqtt fleet: connected")
        self.follow("Replace a token, lock a gateway out", "sed -i")
        await_post(401, new)
        await_post(401, old)

    def check_backup(self):
        """Values that are there after the loss of the database."""
        query = "sum by (gateway) (count_over_time(packgate_voltage_v[1h]))"
        before = self.query(query, int(time.time()))
        centre.run("install", "-d", "-o", "_victoria-metrics", "/var/backups/fleet")
        self.follow("Back up and restore", "vmbackup")
        self.kill("victoria-metrics")
        at = int(time.time())
        centre.run("sh", "-c", "rm -r /var/lib/victoria-metrics/*")
        self.follow("Back up and restore", "vmrestore")
        self.database = self.centre.database = centre.Database()
        after = self.query(query, at)
        assert before and set(after) == set(before) and all(after[name] >= count for name, count in before.items()), (before, after)
        self.say(f"backup and restore: the values of {len(after)} gateways are there")

    def check_shards(self):
        """Each gateway has all its values in one of two databases."""
        page = centre.blocks("nginx", centre.section("Two shards"))[0]
        shipped = read("/usr/share/doc/packgate/examples/fleet/databases-two.conf")
        assert shipped.endswith(page), (shipped, page)
        shutil.copy("/usr/share/doc/packgate/examples/fleet/databases-two.conf", "/etc/nginx/fleet/databases.conf")
        programs, shards = [], []
        for address in ("192.0.2.11", "192.0.2.12"):
            programs.append(Program("/usr/bin/victoria-metrics", f"-storageDataPath={self.path(address)}", f"-httpListenAddr={address}:8428"))
            shards.append(centre.Database(address))
        names = [f"load-{n:05}" for n in range(min(self.gateways, 40))]
        centre.run("systemctl", "restart", "nginx")
        self.centre.await_port(443)
        for _ in range(3):
            for name in names:
                assert post("packgate voltage_v=1", given_to(name, "token")) == 204
        # The real gateways send as well; those are not waited for. A database shows a value some time after it has accepted it.
        counts = until(lambda: [{labels["gateway"]: len(values) for labels, _, values in shard.rows('packgate_voltage_v{gateway=~"load-.*"}')}
                                for shard in shards], lambda counts: sum(sum(count.values()) for count in counts) >= 3 * len(names))
        found = [set(count) for count in counts]
        assert found[0] | found[1] == set(names) and not found[0] & found[1] and (len(names) < 8 or all(found)), counts
        for program in programs:
            program.stop()
        self.say(f"two shards: {len(found[0])} and {len(found[1])} gateways")

    def stop(self):
        if self.watcher:
            self.watcher.stop()
        for real in self.reals:
            real.program.stop()
        if self.page:
            self.page.stop()
        if self.load:
            self.load.stop(signal.SIGKILL)

    def __exit__(self, *arguments):
        self.stop()


def listen_overflows():
    """Connections that the kernel has refused because the queue of a listener was full."""
    names, numbers = [line.split() for line in read("/proc/net/netstat").splitlines() if line.startswith("TcpExt:")]
    return int(numbers[names.index("ListenOverflows")])


def run(gateways, real, seconds, interval, say=print):
    """The whole thing; an AssertionError where a sample is missing or doubled."""
    with Fleet(gateways, real, interval, say) as fleet:
        # All have connected by then: they begin within an interval.
        deadline = time.monotonic() + interval + 2 * PATIENCE
        while (total := fleet.total()).get("connections", 0) < gateways or total.get("logins", 0) < gateways:
            assert time.monotonic() < deadline, total
            time.sleep(1)
        fleet.await_live()
        fleet.measure(seconds)
        fleet.kill_each()
        time.sleep(max(interval + 2, seconds / 2))
        fleet.await_live()
        fleet.check_rights()
        wanted, missing, doubled, strangers = fleet.await_reals()
        say(f"{real + 1} real gateways: {wanted} rows of their histories, {len(missing)} missing, {len(doubled)} doubled")
        sent, samples, found, repeated = fleet.count()
        say(f"load generator: {sent['ticks']} intervals, {samples} samples wanted, {samples} sent and confirmed, {found} found, "
            f"{samples - found} missing, {len(repeated)} gateways with doubled ones; not taken at once: "
            + (", ".join(f"{count} x {status}" for status, count in sent.items() if status.startswith("status")) or "none"))
        live = sum(count for name, count in fleet.watcher.seen.items() if name.startswith("load-"))
        say(f"live: {sent['logins']} connections made to mosquitto, {sent['published']} states published, {live} seen; "
            f"{listen_overflows()} connections refused by a full queue")
        say("log of nginx: " + fleet.log_of_nginx())
        assert not doubled and not strangers and found == samples and not repeated, (doubled, strangers, found, samples, repeated)
        fleet.check_steps()
        fleet.check_backup()
        fleet.check_shards()


if __name__ == "__main__":
    centre.enter()
    begun = time.monotonic()
    run(int(os.environ.get("FLEET_GATEWAYS") or 1000), int(os.environ.get("FLEET_REAL") or 5), int(os.environ.get("FLEET_SECONDS") or 60),
        int(os.environ.get("FLEET_INTERVAL") or 10))
    print(f"all of it is there, after {time.monotonic() - begun:.0f} s")
