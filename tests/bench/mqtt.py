# SPDX-License-Identifier: MIT
"""Part of `make bench`: what publishing by MQTT takes, how soon a value is at the broker, and whether a Modbus client notices
what a broker does. Prints, and fails only when something cannot be measured. Argument: the folder with the programs."""

import os
import signal
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
sys.argv[1] = os.path.join(BUILD, "packgate")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from harness import Gateway, outlet_pid, simulate  # noqa: E402
from mqtt_harness import Broker, Liar, Listener, Proxy, flood, huge, name_servers_silent  # noqa: E402

PACKS = 64
SECONDS = float(os.environ.get("BENCH_MQTT_SECONDS", "10"))
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def section(port, more):
    return f"[mqtt home]\nbroker = mqtt://127.0.0.1:{port}\n{more}\n"


def fleet():
    return "".join(f"[line l{n}]\nport = sim:\nprotocol = daly\n[pack p{n}]\nline = l{n}\nunit = {n + 1}\n" for n in range(PACKS))


def measure_fleet():
    seen = []
    with Broker() as broker, Gateway(fleet()) as plain:
        plain.wait_published(*(f"p{n}" for n in range(PACKS)))
        before = cpu_s(plain.process.pid)
        time.sleep(SECONDS)
        alone = 100 * (cpu_s(plain.process.pid) - before) / SECONDS
        plain.stop()
        with Gateway(fleet() + section(broker.port, "interval = 1s")) as gateway, Listener(broker, "packgate/+/state") as listener:
            listener.client.on_message = lambda client, data, message: seen.append(message.payload)
            gateway.wait_published(*(f"p{n}" for n in range(PACKS)))
            outlet = outlet_pid(gateway, "mqtt")
            time.sleep(3)
            seen.clear()
            before = cpu_s(gateway.process.pid), cpu_s(outlet)
            time.sleep(SECONDS)
            after = cpu_s(gateway.process.pid), cpu_s(outlet)
            count, load = len(seen), [100 * (b - a) / SECONDS for a, b in zip(before, after)]
            memory = memory_mib(gateway.process.pid), memory_mib(outlet)
    print(f"MQTT, {PACKS} packs each second: gateway {load[0]:.1f} % of a core (without MQTT {alone:.1f} %), outlet {load[1]:.1f} %, "
          f"together {sum(load):.1f} %; {memory[0]:.1f} + {memory[1]:.1f} MiB; {count / SECONDS:.0f} messages/s of "
          f"{len(seen[-1])} bytes")


class Relay:
    """Between the gateway and an emulated BMS: notes when the last byte of a reply went by."""

    def __init__(self, url):
        host, port = url.removeprefix("tcp://").split(":")
        self.target = (host, int(port))
        self.last = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(self.target)
            for connection in near, far:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source, target, notes):
        while data := source.recv(4096):
            if notes:
                self.last = time.monotonic()
            target.sendall(data)


def measure_latency(protocol):
    """Of polls each second, as they are by default. The first seconds are left out, in which a pack gets its slow values one
    by one: a change is told at most once a second."""
    server, url = simulate(protocol, "")
    relay, delays = Relay(url), []
    with server, Broker() as broker, Listener(broker, "packgate/shed/state") as listener:
        done = threading.Event()

        def arrived(client, data, message):
            if relay.last:
                delays.append(time.monotonic() - relay.last)
            if len(delays) >= 45:
                done.set()

        listener.client.on_message = arrived
        text = f"[line shed]\nport = {relay.url}\nprotocol = {protocol}\n[pack shed]\nline = shed\nunit = 1\npoll = 1s\n"
        with Gateway(text + section(broker.port, "interval = 1h on_change")):
            assert done.wait(120), delays
    delays = sorted(1000 * delay for delay in delays[5:])
    print(f"MQTT, on_change, {protocol}: from the last byte of a reply to the message at a client of the broker "
          f"{statistics.median(delays):.1f} ms, worst of {len(delays)} {delays[-1]:.1f} ms")


REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 400, 2)


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def worst_answers(ports, seconds):
    """The longest that a Modbus client waited for an answer of each, asked in turn: what a busy machine does to one it does
    to the others."""
    worst, end = [0.0] * len(ports), time.monotonic() + seconds
    clients = [connect(port) for port in ports]
    while time.monotonic() < end:
        for n, client in enumerate(clients):
            started = time.monotonic()
            client.sendall(REQUEST)
            assert client.recv(256)
            worst[n] = max(worst[n], time.monotonic() - started)
        time.sleep(0.002)
    for client in clients:
        client.close()
    return [1000 * one for one in worst]


def orders_of_a_mebibyte(broker, ended):
    with Listener(broker, "none") as listener:
        while not ended.is_set():
            listener.publish("packgate/a/set/charge_mos", bytes(1 << 20))


FAULTY = "[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\npoll = 100ms\nwritable = yes\n"


def measure_faults(plain):
    """Beside `plain`, a gateway without MQTT that is asked in turn. What an outlet does to its gateway it does again and again,
    a busy machine hits now one and now the other: the middle one of five windows tells them apart."""
    found = []
    text = FAULTY
    quick = "interval = 1s on_change\nswitching = yes"

    def measure(name, gateway):
        windows = [worst_answers([gateway.port, plain.port], SECONDS / 10) for _ in range(5)]
        found.append((name, max(window[0] for window in windows), max(window[1] for window in windows),
                      statistics.median(window[0] for window in windows), statistics.median(window[1] for window in windows)))

    with Broker() as broker, Gateway(text + section(broker.port, quick)) as gateway:
        gateway.wait_for("connected to")
        measure("undisturbed", gateway)
        broker.process.send_signal(signal.SIGSTOP)
        measure("broker stopped", gateway)
        broker.process.send_signal(signal.SIGCONT)
        ended = threading.Event()
        sender = threading.Thread(target=orders_of_a_mebibyte, args=(broker, ended))
        sender.start()
        measure("orders of 1 MiB", gateway)
        ended.set()
        sender.join()
        outlet = outlet_pid(gateway, "mqtt")
        os.kill(outlet, signal.SIGSTOP)
        measure("outlet stopped", gateway)
        os.kill(outlet, signal.SIGKILL)
        measure("outlet killed", gateway)
        broker.stop()
        measure("broker gone", gateway)
        with Broker(port=broker.port, folder=broker.folder):
            measure("and back", gateway)
    with Broker() as broker, Proxy(broker) as proxy, Gateway(text + section(proxy.port, quick)) as gateway:
        gateway.wait_for("connected to")
        proxy.flows.clear()
        measure("network stands still", gateway)
    for name, talk in (("black hole", lambda connection: connection.recv(1)), ("flood", flood), ("message of 256 MB", huge),
                       ("garbage", lambda connection: connection.sendall(os.urandom(4096))),
                       ("not let in", lambda connection: connection.sendall(bytes.fromhex("20020005")))):
        with Liar(talk) as liar, Gateway(text + section(liar.port, quick)) as gateway:
            measure(name, gateway)
    with Broker() as broker, Gateway(text + section(broker.port, quick).replace("mqtt://", "mqtts://")) as gateway:
        measure("no encryption there", gateway)
    with Gateway(text + section(1, quick)) as gateway:
        measure("refused", gateway)
    with Gateway(text + section(1, quick).replace("127.0.0.1:1", "nobody.invalid")) as gateway:
        measure("no such name", gateway)
    with tempfile.TemporaryDirectory() as folder:
        with name_servers_silent(folder):
            gateway = Gateway(text + section(1, quick).replace("127.0.0.1:1", "nobody.invalid"))
        with gateway:
            measure("name servers silent", gateway)
    print("MQTT, worst answer of the Modbus server in ms (of one without MQTT, asked in turn): " +
          ", ".join(f"{name} {worst:.1f} ({control:.1f})" for name, worst, control, _, _ in found))
    name, _, _, usual, control = max(found[1:], key=lambda one: one[3] - one[4])
    print(f"MQTT, worst answer within a second, the middle one of five: at most {usual - control:.1f} ms above the other gateway ({name}: "
          f"{usual:.1f} and {control:.1f} ms)")


measure_fleet()
# In a jbd all replies differ; daly and topbms end their rounds with one that says what the one before said.
for bms in "jbd", "daly", "topbms":
    measure_latency(bms)
with Gateway(FAULTY) as undisturbed:
    measure_faults(undisturbed)
