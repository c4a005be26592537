# SPDX-License-Identifier: MIT
"""Part of `make bench`: three packs over Bluetooth, by the tests' stand-in for BlueZ on a bus of its own, beside the same packs over TCP.
Prints processor time and memory of the gateway, and how soon first values are there after a link is up. Argument: the folder with
the programs; BENCH_BLE_SECONDS is how long it is measured."""

import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.argv[1] = os.path.join(os.path.abspath(sys.argv[1]), "packgate")
sys.path.insert(0, os.path.join(HERE, "../e2e"))

from ble_harness import Air  # noqa: E402
from harness import Gateway, simulate  # noqa: E402

SECONDS = float(os.environ.get("BENCH_BLE_SECONDS", "30"))
SETTLED_S = 10  # what is asked once has been asked
PROTOCOLS = ("daly", "jk02", "jbd")
ADDRESSES = [f"AA:00:00:00:00:0{n}" for n in (1, 2, 3)]


class Times(dict):
    """When each line came first."""

    def put(self, line):
        self.setdefault(line or "", time.monotonic())

    def of(self, pattern):
        return min((at for line, at in self.items() if re.search(pattern, line)), default=None)


def tap(program):
    """Notes when the lines of a program come, from now on."""
    times, put = Times(), program.queue.put

    def note(line):
        times.put(line)
        put(line)
    program.queue.put = note
    return times


def cpu_s(pid):
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a process id


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M)[1]) / 1024


def configuration(ports):
    return "".join(f"[line {name}]\nport = {port}\nprotocol = {name}\n[pack {name}]\nline = {name}\nunit = {n}\npoll = 1s\n"
                   for n, (name, port) in enumerate(zip(PROTOCOLS, ports), 1))


def measure(ports):
    """Share of a core, MiB resident, and when the gateway said what."""
    with Gateway(configuration(ports)) as gateway:
        said = tap(gateway)
        gateway.wait_published(*PROTOCOLS)
        time.sleep(SETTLED_S)
        pid, begin, cpu = gateway.process.pid, time.monotonic(), cpu_s(gateway.process.pid)
        time.sleep(SECONDS)
        return (cpu_s(pid) - cpu) / (time.monotonic() - begin), resident_mib(pid), said


def main():
    print("Bluetooth: three packs, asked once a second, over a stand-in for BlueZ")
    servers = [simulate(protocol, "profile=fixed") for protocol in PROTOCOLS]
    wired = measure([url for _, url in servers])
    for server, _ in servers:
        server.stop()
    profiles = ("daly", "jk", "jbd")
    with Air({address: (profile, protocol, "profile=fixed")
              for address, profile, protocol in zip(ADDRESSES, profiles, PROTOCOLS)}) as air:
        links = tap(air.bluez)
        aired = measure(["ble:" + address for address in ADDRESSES])
    waits = [aired[2].of(rf"pack {protocol}: (?:idle|charging|discharging)") - links.of("^connected " + address)
             for protocol, address in zip(PROTOCOLS, ADDRESSES)]
    row = "{:<34}{:>8}{:>8}{:>22}"
    print(row.format("", "TCP", "ble:", "limit"))
    print(row.format("processor, % of a core", f"{100 * wired[0]:.2f}", f"{100 * aired[0]:.2f}", "0.5"))
    print(row.format("resident, MiB", f"{wired[1]:.1f}", f"{aired[1]:.1f}", "1.5 above TCP"))
    print(row.format("first values after the link, s", "", f"{max(waits):.2f}", "2 (the slowest of 3)"))


main()
