# SPDX-License-Identifier: MIT
"""What the tests of MQTT share: a real mosquitto on a port of its own, a client that notes all that passes, certificates,
and Home Assistant's rules for what it is told, as its source has them."""

import contextlib
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import jinja2
import jinja2.sandbox
import paho.mqtt.client as paho

from harness import PATIENCE, Program

LINE = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 1s\n{3}\n"
# A reply that a busy machine brings late is no lost one: what counts is that none is missing.
PATIENT = LINE.replace("protocol = daly\n", "protocol = daly\nreply_timeout = 60s\n")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Broker(Program):
    """mosquitto, bound to 127.0.0.1. A port that somebody else was quicker to take is tried again."""

    def __init__(self, settings="allow_anonymous true\n", port=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="packgate-mqtt-")
        self.own_folder = folder is None
        for attempt in range(5):
            self.port = port or free_port()
            path = os.path.join(self.folder, "mosquitto.conf")
            with open(path, "w") as file:
                # As root it would become another user, who may not look into our folders.
                file.write(f"{'user root' if os.geteuid() == 0 else ''}\nlistener {self.port} 127.0.0.1\n{settings}")
            super().__init__(shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", path)
            try:
                self.wait_for(r"mosquitto version .* running")
                return
            except AssertionError:
                if port or attempt == 4:
                    raise
                self.stop()

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Listener:
    """A client that subscribes to everything and notes what comes."""

    def __init__(self, broker, topic="#", **tls):
        self.queue = queue.Queue()
        self.seen = []  # (topic, payload, retained)
        self.came = []  # (when, topic, payload) of all, as they came
        self.ready = threading.Event()
        self.client = paho.Client()
        if tls:
            self.client.tls_set(**tls)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE)

    def _take(self, client, data, message):
        self.came.append((time.time(), message.topic, message.payload))
        self.queue.put((message.topic, message.payload, bool(message.retain)))

    def wait_for(self, topic, wanted=lambda payload: True):
        """The payload of the next message on a topic that is wanted; all before it are passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                message = self.queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"nothing wanted on {topic}; seen: {self.seen[-30:]}") from None
            self.seen.append(message)
            if message[0] == topic and wanted(message[1]):
                return message[1]

    def wait_json(self, topic, wanted=lambda value: True):
        return json.loads(self.wait_for(topic, lambda payload: payload and wanted(json.loads(payload))))

    def publish(self, topic, payload, **options):
        self.client.publish(topic, payload, qos=1, **options).wait_for_publish(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.client.disconnect()
        self.client.loop_stop()


class Proxy:
    """Between a client and a broker: passes everything on, or stands still in the middle of it, as a network does."""

    def __init__(self, broker):
        self.target = ("127.0.0.1", broker.port)
        self.flows = threading.Event()
        self.flows.set()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ends = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near, _ = self.socket.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            self.ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source, target):
        try:
            while data := source.recv(4096):
                self.flows.wait()
                target.sendall(data)
        except OSError:
            pass
        for end in source, target:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.flows.set()
        self.socket.close()
        for end in self.ends:
            end.close()


class Liar:
    """A listener that does something else than a broker with whoever connects."""

    def __init__(self, talk):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.talk = talk
        self.kept = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.kept.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        try:
            connection.recv(4096)
            self.talk(connection)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.socket.close()
        for connection in self.kept:
            connection.close()


CONNACK = bytes.fromhex("20020000")


def huge(connection):
    """Announces a message of 256 MB and begins to send it."""
    connection.sendall(CONNACK + bytes.fromhex("30ffffff7f") + b"\0\5topic" + bytes(1 << 16))


def flood(connection):
    connection.sendall(CONNACK)
    while True:
        connection.sendall(bytes.fromhex("3009") + b"\0\5topic" + b"hi" * 1)


# A name server that never answers: what asks it waits for ever. In packgate-outlet and its children only.
DEAF = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(program_invocation_short_name, "packgate-outlet") != 0)
        return real(host, service, hints, found);
    for (;;)
        sleep(1);
}
"""


@contextlib.contextmanager
def name_servers_silent(folder):
    """For outlets of gateways that are started meanwhile. `folder` has to stay for as long as they run."""
    with open(f"{folder}/deaf.c", "w") as file:
        file.write(DEAF)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", f"{folder}/deaf.so", f"{folder}/deaf.c", "-ldl"],
                   check=True)
    before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "ASAN_OPTIONS")}
    os.environ["LD_PRELOAD"] = f"{folder}/deaf.so"
    # What the sanitized build says of a library in front of its own.
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (before["ASAN_OPTIONS"], "verify_asan_link_order=0")))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def retained(broker, topic="#"):
    """{topic: payload} of what the broker keeps. Retained messages come before one that is sent after the subscription."""
    with Listener(broker, topic) as listener:
        with Listener(broker, "none") as other:
            other.publish("packgate-test/end", b"end")
        if topic != "#":
            time.sleep(0.2)
        found = {}
        while True:
            try:
                name, payload, keeps = listener.queue.get(timeout=PATIENCE if topic == "#" else 0.5)
            except queue.Empty:
                return found
            if name == "packgate-test/end":
                return found
            if keeps:
                found[name] = payload


def await_retained(broker, wanted, what):
    deadline = time.monotonic() + PATIENCE
    while True:
        found = retained(broker)
        if wanted(found):
            return found
        assert time.monotonic() < deadline, (what, sorted(found))
        time.sleep(0.1)


def make_certificates(folder):
    """An authority, a certificate for 127.0.0.1 and one for a client, and another authority."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN=packgate test {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name, alternative in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:client")):
        with open(os.path.join(folder, f"{name}.ext"), "w") as file:
            file.write(alternative + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o644)


# ---- Home Assistant's rules ----

ROOT_KEYS = {"dev", "o", "cmps", "stat_t", "cmd_t", "avty", "avty_mode", "avty_t", "qos", "encoding"}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sa", "sn", "via_device", "cu"}
ORIGIN_KEYS = {"name", "sw", "url"}
COMMON = {"p", "uniq_id", "def_ent_id", "name", "dev_cla", "ent_cat", "en", "val_tpl", "stat_t", "avty", "avty_mode", "qos"}
COMPONENT_KEYS = {
    "sensor": COMMON | {"stat_cla", "unit_of_meas", "sug_dsp_prc", "exp_aft"},
    "binary_sensor": COMMON | {"pl_on", "pl_off", "exp_aft"},
    "switch": COMMON | {"pl_on", "pl_off", "stat_on", "stat_off", "cmd_t", "opt", "ret"},
}
CLASSES = {
    "sensor": {"voltage": {"V", "mV"}, "current": {"A"}, "power": {"W"}, "battery": {"%"}, "temperature": {"°C"},
               "energy": {"Wh"}, "duration": {"s"}},
    "binary_sensor": {"problem", "power", "running", "connectivity"},
    "switch": {"switch"},
}
STATE_CLASSES = {"energy": {"total", "total_increasing"}}
# The part of a topic behind the prefix by which an announcement is known as one.
DISCOVERY_TOPIC = re.compile(r"[^/]+/(?P<platform>\w+)/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")


def check_topic(topic):
    """One that can be published to: of these only are there any here."""
    assert isinstance(topic, str) and 0 < len(topic.encode()) < 65536 and not set(topic) & set("+#\0"), topic


def check_url(url):
    found = urllib.parse.urlparse(url)
    assert found.scheme in ("http", "https", "homeassistant") and found.netloc, url


def check_availability(config):
    assert config.get("avty_mode", "latest") in ("all", "any", "latest"), config
    for one in config.get("avty", []):
        assert not set(one) - {"t", "pl_avail", "pl_not_avail", "val_tpl"}, one
        check_topic(one["t"])


def check_base(config):
    """The device, where the announcement comes from, and what else is not a component's alone."""
    device, origin = config["dev"], config["o"]
    assert not set(device) - DEVICE_KEYS and device["ids"] and device["name"], device
    assert all(isinstance(value, str) for name, value in device.items() if name not in ("ids", "cns")), device
    assert all(isinstance(one, str) for one in device["ids"]), device
    assert not set(origin) - ORIGIN_KEYS and origin["name"], origin
    for url in filter(None, (device.get("cu"), origin.get("url"))):
        check_url(url)
    assert config.get("qos", 0) in (0, 1, 2)
    check_availability(config)


def check_component(component, root, platform=None):
    platform = platform or component["p"]
    unknown = set(component) - COMPONENT_KEYS[platform] - ({"dev", "o"} if root is component else set())
    assert not unknown, (unknown, component)
    assert component["uniq_id"] and component["name"], component
    domain, _, entity = component["def_ent_id"].partition(".")
    assert domain == platform and entity and not set(entity) - set("abcdefghijklmnopqrstuvwxyz0123456789_"), component
    assert component.get("stat_t") or root.get("stat_t"), component
    kind = component.get("dev_cla")
    if platform == "sensor" and kind:
        assert component["unit_of_meas"] in CLASSES["sensor"][kind], component
        assert component.get("stat_cla") in STATE_CLASSES.get(kind, {"measurement", None}), component
    elif kind:
        assert kind in CLASSES[platform], component
    if platform == "sensor":
        assert component.get("stat_cla") in (None, "measurement", "total", "total_increasing"), component
    assert component.get("ent_cat") in (None, "diagnostic"), component
    check_availability(component)
    for name in "stat_t", "cmd_t":
        if name in component:
            check_topic(component[name])
    assert component.get("sug_dsp_prc", 0) >= 0 and component.get("exp_aft", 1) > 0, component
    assert isinstance(component.get("sug_dsp_prc", 0), int) and isinstance(component.get("exp_aft", 1), int), component
    assert component.get("en", False) is False and len(component["uniq_id"]) < 256, component
    assert all(isinstance(component.get(name, ""), str) for name in ("pl_on", "pl_off", "stat_on", "stat_off")), component
    if platform == "switch":
        assert component["cmd_t"] and component["opt"] is False and component["ret"] is False, component


def check_device(payload):
    """A device discovery message: {key: component}, or an exception when Home Assistant would not take it."""
    root = json.loads(payload)
    assert not set(root) - ROOT_KEYS, set(root) - ROOT_KEYS
    check_base(root)
    if "stat_t" in root:
        check_topic(root["stat_t"])
    assert root["cmps"] and all(isinstance(key, str) and component["p"] in COMPONENT_KEYS
                                for key, component in root["cmps"].items()), root["cmps"]
    for component in root["cmps"].values():
        if set(component) != {"p"}:
            check_component(component, root)
    ids = [component["uniq_id"] for component in root["cmps"].values() if "uniq_id" in component]
    assert len(ids) == len(set(ids))
    return root


def render(template, payload):
    """As Home Assistant renders a value template; what looks like JSON is there as value_json."""
    text = payload.decode()
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.Undefined)
    return environment.from_string(template).render(value=text, value_json=value).strip()
