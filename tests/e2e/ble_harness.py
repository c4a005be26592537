# SPDX-License-Identifier: MIT
"""A private system bus with a stand-in for BlueZ on it (mock_bluez.py), and simulated packs behind its devices."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import dbus
import dbus.bus

from harness import PATIENCE, Program, await_value, read_value, simulate

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow eavesdrop="true"/></policy></busconfig>
"""


@functools.lru_cache
def pads_of(key):
    """Those of all nonces, at once: a process for each record is most of what such a test takes."""
    counters = bytearray(16 << 16)  # blocks of 16 bytes that begin with their number, low byte first
    counters[0::16] = 256 * bytes(range(256))
    counters[1::16] = b"".join(256 * bytes([high]) for high in range(256))
    return subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key], input=counters, check=True, stdout=subprocess.PIPE).stdout


def victron_record(key, nonce, volts=12.53, soc=50.0):
    """The advertisement of a SmartShunt, encrypted by openssl: the bits of the test vector with another voltage and
    SOC."""
    plain = int.from_bytes(bytes.fromhex("ffff0000000000000300000000000000")[:15], "little")
    plain |= (round(volts * 100) & 0xFFFF) << 16 | 3 << 64 | 500 << 88 | round(soc * 10) << 108 | 3 << 118
    pad = pads_of(key)[16 * nonce:16 * nonce + 16]
    return bytes.fromhex("100289a302") + nonce.to_bytes(2, "little") + bytes.fromhex(key[:2]) + bytes(
        a ^ b for a, b in zip(plain.to_bytes(15, "little"), pad))


KEYS = {f"C0:FF:EE:00:00:0{n}": "".join(f"{(n * 37 + i * 11) % 256:02x}" for i in range(16)) for n in range(1, 6)}


class Shunts(contextlib.AbstractContextManager):
    """Shunts that each advertise a record every half second with their own key, until the end; `silent` ones repeat
    the last one. Start it before the Air."""

    def __init__(self):
        self.silent, self.volts, self.running = set(), {}, True
        self.client = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
        self.mock = dbus.Interface(self.client.get_object("org.bluez", "/mock", introspect=False), "org.bluez.Mock1")
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self):
        nonce = 100
        while self.running:
            nonce += 1
            for n, (address, key) in enumerate(KEYS.items()):
                if address not in self.silent:
                    record = victron_record(key, nonce, self.volts.get(address, 12 + n))
                    self.mock.Advertise(address, dbus.ByteArray(record), ignore_reply=True)
            self.client.flush()
            time.sleep(0.5)

    def __exit__(self, kind, value, trace):
        self.running = False
        self.thread.join(PATIENCE)


class Air(contextlib.AbstractContextManager):
    """The bus, BlueZ, and a simulated pack for each of `packs`: address -> (profile, protocol, options, name, ...)."""

    def __init__(self, packs, delay=0.1):
        self.folder = tempfile.mkdtemp(prefix="packgate-ble-")
        self.path = self.folder + "/bus"
        self.delay = delay
        self.bus = self.bluez = self.client = None
        self.servers, self.devices = [], []
        for address, (profile, protocol, options, *more) in packs.items():
            url = "tcp://:0"
            if protocol:
                server, url = simulate(protocol, options, *more[1:])
                self.servers.append(server)
            name = "," + more[0] if more else ""
            self.devices.append(f"{address}={profile}@{url[len('tcp://'):]}{name}")
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + self.path
        self.start_bus()
        self.start_bluez()

    def start_bus(self):
        config = self.folder + "/bus.conf"
        with open(config, "w") as file:
            file.write(CONFIG.format(path=self.path))
        self.bus = Program("dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address")
        self.bus.wait_for("unix:")

    def stop_bus(self):
        self.client = None
        self.bus.stop()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def start_bluez(self):
        self.bluez = Program("/usr/bin/python3", HERE + "/mock_bluez.py", "--delay", self.delay, *self.devices)
        self.bluez.wait_for("ready")

    def stop_bluez(self, how=signal.SIGKILL):
        self.bluez.stop(how)

    def switch(self, method, *arguments):
        """Causes or ends a fault: calls a method of org.bluez.Mock1."""
        if not self.client:
            self.client = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
        thing = self.client.get_object("org.bluez", "/mock", introspect=False)
        return getattr(dbus.Interface(thing, "org.bluez.Mock1"), method)(*arguments)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("# BlueZ: " + "; ".join(self.bluez.lines[-40:] + list(filter(None, self.bluez.queue.queue))))
        self.bluez.stop(signal.SIGKILL)
        self.bus.process.send_signal(signal.SIGCONT)
        self.bus.stop(signal.SIGKILL)
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder)


class Clock(contextlib.AbstractContextManager):
    """The slowest Modbus answer while faults occur."""

    def __init__(self, gateway, unit):
        self.worst, self.count, self.running, self.refused = 0, 0, True, None
        self.client, self.unit = gateway.client(), unit
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        while self.running:
            begin = time.monotonic()
            try:
                read_value(self.client, "polls", self.unit)
            except (OSError, AssertionError) as error:
                self.refused = error
                return
            self.worst = max(self.worst, time.monotonic() - begin)
            self.count += 1
            time.sleep(0.04)

    def __exit__(self, kind, value, trace):
        self.running = False
        self.thread.join(PATIENCE)
        self.client.close()
        print(f"# worst of {self.count} Modbus answers: {self.worst * 1000:.1f} ms")
        if kind is None:
            # Everything that waits for the bus waits for 10 s and longer.
            assert self.refused is None and self.count > 10 and self.worst < 8, (self.refused, self.count, self.worst)


def line(name, port, protocol, more=""):
    return f"[line {name}]\nport = {port}\nprotocol = {protocol}\n{more}\n"


def pack(name, unit, more=""):
    return f"[pack {name}]\nline = {name}\nunit = {unit}\npoll = 500ms\n{more}\n"


def await_polls(client, unit, count=5):
    start = read_value(client, "polls", unit)
    await_value(client, "polls", unit, lambda polls: polls >= start + count)
