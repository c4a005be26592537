# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Endurance: 64 packs on faulty lines, ten clients, targets of a push that come and go, simulators that are killed
and restarted, reloads; all at random, from a seed. Every value that a client reads must be the right one for its
pack; afterwards all packs are fresh, the counters add up, and neither descriptors nor memory have grown.

A short run is one of the tests; `make soak SOAK_MINUTES=60` runs longer."""

import os
import random
import signal
import socket
import struct
import threading
import time

from harness import Gateway, PACKGATE, PATIENCE, Program, find, free_port, main, read_value, until

MINUTES = float(os.environ.get("SOAK_MINUTES", "0.25"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
BUSES, PACKS_ON_BUS = 8, 4       # behind TCP, each a program of its own that is killed now and then
SIMULATED = 32                   # in the gateway's own process, on faulty lines
CLIENTS = 10
FAULTS = ["noise=0.05", "cut=0.03", "flip=0.05", "drop=0.05", "split=1", "echo=1", "noise=0.02,drop=0.02,flip=0.02"]
STALE = 0x0B


def voltage(unit):
    """The values of pack `unit`, in tenths: no two are the same."""
    return round(40 + unit / 10, 1)


class Bus:
    """Four Daly boards behind a TCP port that stays the same after restarts."""

    def __init__(self, number):
        self.port = free_port()
        self.units = range(1 + number * PACKS_ON_BUS, 1 + (number + 1) * PACKS_ON_BUS)
        self.program = None
        self.start()

    def start(self):
        values = ",".join(f"@{n}:voltage_v={voltage(unit)}" for n, unit in enumerate(self.units, 1))
        self.program = Program(PACKGATE, "simulate", "--protocol", "daly", "--count", PACKS_ON_BUS, "--tcp",
                               f"127.0.0.1:{self.port}", "--options", "profile=fixed," + values)
        self.program.wait_for("listening")

    def kill(self):
        self.program.stop(signal.SIGKILL)


def configuration(buses, target, poll, chance):
    text = ""
    for n, bus in enumerate(buses):
        text += f"[line bus-{n}]\nport = tcp://127.0.0.1:{bus.port}\nprotocol = daly\nreply_timeout = 100ms\n"
        for address, unit in enumerate(bus.units, 1):
            text += f"[pack p{unit}]\nline = bus-{n}\naddress = {address}\nunit = {unit}\npoll = {poll}\n"
    for unit in range(BUSES * PACKS_ON_BUS + 1, BUSES * PACKS_ON_BUS + SIMULATED + 1):
        fault = chance.choice(FAULTS)
        text += (f"[line sim-{unit}]\nport = sim:profile=fixed,voltage_v={voltage(unit)},seed={unit},{fault}\n"
                 f"protocol = {chance.choice(['daly', 'jbd', 'daly-d2'])}\nreply_timeout = 100ms\n"
                 f"[pack p{unit}]\nline = sim-{unit}\nunit = {unit}\npoll = {poll}\n")
    text += (f"[push plc]\ntarget = tcp://127.0.0.1:{target}\nunit = 1\ninterval = 1s\n"
             f"write = p1.voltage_v -> 10 float32\n")
    return text


class Client(threading.Thread):
    """Reads random packs and compares; sometimes reconnects."""

    def __init__(self, gateway, seed, units, stop):
        super().__init__(daemon=True)
        self.gateway, self.units, self.stop_event = gateway, units, stop
        self.random = random.Random(seed)
        self.right = self.stale = 0
        self.wrong = []

    def run(self):
        row = find("voltage_v", "extended")
        client = self.gateway.client()
        while not self.stop_event.is_set():
            unit = self.random.choice(self.units)
            try:
                response = client.read_holding_registers(row["address"], count=2, slave=unit)
            except (OSError, AssertionError) as error:
                self.wrong.append(f"unit {unit}: {error}")
                return
            if not response.isError():
                self.check(unit, response.registers)
            elif response.exception_code == STALE:
                self.stale += 1
            else:
                self.wrong.append(f"unit {unit}: {response}")
            if self.random.random() < 0.01:
                client.close()
                client = self.gateway.client()
            self.stop_event.wait(0.02)
        client.close()

    def check(self, unit, words):
        value = struct.unpack(">f", struct.pack(">HH", words[1], words[0]))[0]
        if abs(value - voltage(unit)) < 1e-4:
            self.right += 1
        else:
            self.wrong.append(f"unit {unit}: {value} V, expected {voltage(unit)}")


class Target:
    """A Modbus server that accepts pushes, closes, and comes back."""

    def __init__(self):
        self.port = free_port()
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))

    def close(self):
        self.listener.close()


def status(gateway):
    pid = gateway.process.pid
    with open(f"/proc/{pid}/status") as file:
        rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return len(os.listdir(f"/proc/{pid}/fd")), rss


def disturb(chance, buses, target, gateway):
    """One random event."""
    what = chance.choice(["kill", "reload", "wrong reload", "changed reload", "target", "peace"])
    if what == "kill":
        bus = chance.choice(buses)
        bus.kill()
        time.sleep(chance.random())
        bus.start()
    elif what in ("reload", "wrong reload"):
        with open(gateway.path) as file:
            good = file.read()
        with open(gateway.path, "w") as file:
            file.write(good + ("\n" if what == "reload" else "\nnonsense\n"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the new configuration is in force" if what == "reload" else "the old one stays in force")
        with open(gateway.path, "w") as file:
            file.write(good)
    elif what == "changed reload":  # of every line and pack
        with open(gateway.path) as file:
            text = file.read()
        old, new = ("500ms", "510ms") if "poll = 500ms" in text else ("510ms", "500ms")
        with open(gateway.path, "w") as file:
            file.write(text.replace(f"poll = {old}", f"poll = {new}"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the new configuration is in force")
    elif what == "target":
        target.close()
        time.sleep(chance.random())
        target.open()
    else:
        time.sleep(chance.random())


def everything_at_once():
    chance = random.Random(SEED)
    buses = [Bus(n) for n in range(BUSES)]
    target = Target()
    units = list(range(1, BUSES * PACKS_ON_BUS + SIMULATED + 1))
    text = configuration(buses, target.port, "500ms", chance)
    try:
        with Gateway(text, "stale_after = 3s\nmax_clients = 64") as gateway, gateway.client() as observer:
            gateway.wait_published(*[f"p{unit}" for unit in units])
            before = status(gateway)
            stop = threading.Event()
            clients = [Client(gateway, SEED + n, units, stop) for n in range(CLIENTS)]
            for client in clients:
                client.start()
            end = time.monotonic() + 60 * MINUTES
            events = 0
            while time.monotonic() < end:
                disturb(chance, buses, target, gateway)
                events += 1
            stop.set()
            for client in clients:
                client.join(PATIENCE)
            wrong = [line for client in clients for line in client.wrong]
            assert not wrong, "\n".join(wrong[:20])
            assert all(client.right > 0 for client in clients)
            settle(observer, units)
            after = status(gateway)
            print(f"# {events} events, {sum(c.right for c in clients)} right answers, "
                  f"{sum(c.stale for c in clients)} times stale; descriptors {before[0]} -> {after[0]}, "
                  f"resident {before[1]} -> {after[1]} KiB", flush=True)
            # A few connections may just be opening; the allocator of sanitizers keeps freed memory.
            assert after[0] <= before[0] + 8, (before, after)
            if "sanitized" not in PACKGATE:
                assert after[1] <= before[1] + 1024, (before, after)
    finally:
        for bus in buses:
            bus.program.stop(signal.SIGKILL)
        target.close()


def settle(client, units):
    """All packs come back, each with its own values, and their counters continue."""
    for unit in units:
        until(lambda: read_value(client, "connection_state", unit) == 1 and abs(read_value(client, "voltage_v", unit) - voltage(unit)) < 1e-4)
        assert read_value(client, "polls", unit) > 0


main([everything_at_once])
