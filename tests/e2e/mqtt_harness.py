# SPDX-License-Identifier: MIT
"""Shared by the tests of MQTT: a real mosquitto on its own port, a client that records all messages, certificates."""

import contextlib
import json
import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import paho.mqtt.client as paho

from harness import PATIENCE, Program, Standin, Way, free_port, preloading

LINE = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 60s\n{3}\n"
SOON_STALE = LINE.replace("60s", "2s")  # for what becomes of that; otherwise a busy machine does not make a pack stale
# A reply that a busy machine brings late is no lost one: what counts is that none is missing.
PATIENT = LINE.replace("protocol = daly\n", "protocol = daly\nreply_timeout = 60s\n")


class Broker(Program):
    """mosquitto, bound to 127.0.0.1. If another process has just taken the port, it tries another one."""

    def __init__(self, settings="allow_anonymous true\n", port=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="packgate-mqtt-")
        self.own_folder = folder is None
        for attempt in range(5):
            self.port = port or free_port()
            path = os.path.join(self.folder, "mosquitto.conf")
            with open(path, "w") as file:
                # As root it would change to another user, who cannot read our folders.
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


class Listener(contextlib.AbstractContextManager):
    """A client that subscribes to everything and records it."""

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
        """The payload of the next message on a topic for which `wanted` is true; skips all before it."""
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

    def __exit__(self, *arguments):
        self.client.disconnect()
        self.client.loop_stop()


class Proxy(Way):
    """A proxy between a client and a broker: passes everything on, or stalls in the middle, as a network does."""

    def __init__(self, broker):
        self.flows = threading.Event()
        self.flows.set()
        self.ends = []
        super().__init__(f"tcp://127.0.0.1:{broker.port}")

    def pass_on(self, near, far):
        self.ends += [near, far]
        for data in self.sent(near, far):
            self.flows.wait()
            far.sendall(data)

    def close(self):
        self.flows.set()
        super().close()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Liar(Standin):
    """A listener that treats each client differently from a broker, and keeps the connection."""

    def __init__(self, behave):
        self.behave = behave
        super().__init__()

    def talk(self, connection):
        connection.recv(4096)
        self.behave(connection)
        self.over.wait()


CONNACK = bytes.fromhex("20020000")


def huge(connection):
    """Announces a message of 256 MB and begins to send it."""
    connection.sendall(CONNACK + bytes.fromhex("30ffffff7f") + b"\0\5topic" + bytes(1 << 16))


def flood(connection):
    """As much as is read in a second or so."""
    connection.sendall(CONNACK + 100_000 * (bytes.fromhex("3009") + b"\0\5topic" + b"hi"))


# A name server that never answers: look-ups wait for ever. Only in packgate-outlet and its children.
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


def preloaded(folder, text):
    """For gateways that are started meanwhile, and their outlets. `folder` must exist as long as they run."""
    with open(f"{folder}/before.c", "w") as file:
        file.write(text)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", f"{folder}/before.so", f"{folder}/before.c", "-ldl"],
                   check=True)
    return preloading(f"{folder}/before.so")


def name_servers_silent(folder):
    return preloaded(folder, DEAF)


def retained(broker, topic="#"):
    """The retained messages {topic: payload}. The broker sends them before a message that is published after the
    subscription."""
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
    """A CA, a certificate for 127.0.0.1 and one for a client, and another CA."""
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
