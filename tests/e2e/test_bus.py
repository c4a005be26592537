# SPDX-License-Identifier: MIT
"""Several packs on one line, one of them silent, one with damaged replies, and one that answers when its neighbours
are asked: the others lose nothing, and no pack gets the values of another."""

# tests/run: 75 s

import concurrent.futures
import os
import tempfile
import time

from harness import (Gateway, MAP, PATIENCE, await_value, decode, exception_of, find, main, read, read_value, simulate,
                     simulate_pty)

POLLS = 6  # per good pack, beside bad neighbours
CELLS = 16
STALE = 0x0B
ROWS = [row for row in MAP if row["block"] == "compatibility" and row["offset"] <= 35]


class Bus:
    """Emulated packs at consecutive addresses, each with its own numbers."""

    def __init__(self, protocol, first, count, silent, noisy, late, variant=None, settings="", unanswered=0, pty=False):
        self.protocol, self.variant, self.settings, self.pty = protocol, variant, settings, pty
        self.unanswered = unanswered  # requests that such packs do not answer
        self.addresses = range(first, first + count)
        self.silent, self.noisy, self.late = silent, noisy, late

    def __str__(self):
        return f"{self.protocol} {self.variant or ''}"

    @staticmethod
    def values(address):
        cells = {f"cell_mv.{n}": 3100 + 17 * address + n for n in range(1, CELLS + 1)}
        return {"soc_percent": 15 + 5 * address, "current_a": (address + 1) * (-1) ** address,
                "voltage_v": sum(cells.values()) / 1000, **cells}

    def options(self):
        """Voltage and SOC follow from cells and remaining capacity, whichever of them a protocol carries."""
        texts = [f"profile=fixed,delay=2,cells={CELLS},capacity=100,@{self.silent}:silent=1",
                 f"@{self.late}:late=0.2,@{self.late}:late_ms=270",
                 ",".join(f"@{self.noisy}:{fault}" for fault in ("noise=0.4", "flip=0.2", "cut=0.1", "drop=0.1"))]
        for address in self.addresses:
            texts += [f"@{address}:{name}={value}" for name, value in self.values(address).items()
                      if name != "voltage_v"]
        return ",".join(texts)

    def configuration(self, url):
        lines = [f"[line bus]\nport = {url}\nprotocol = {self.protocol}\nreply_timeout = 250ms\n{self.settings}"]
        for unit, address in enumerate(self.addresses, 1):
            lines.append(f"[pack {address}]\nline = bus\naddress = {address}\nunit = {unit}\npoll = 100ms\n"
                         + "stale_after = 1h\n" + (f"variant = {self.variant}\n" if self.variant else ""))
        return "\n".join(lines)

    def good(self):
        return [(unit, address) for unit, address in enumerate(self.addresses, 1)
                if address not in (self.silent, self.noisy, self.late)]


def compare(client, unit, address):
    """Compares all values of a pack, read at once, with the configured ones; 0.05 is the resolution of the coarsest
    protocol."""
    start = ROWS[0]["address"]
    words = read(client, start, ROWS[-1]["address"] + ROWS[-1]["count"] - start, unit)
    values = {row["name"]: decode(row, words[row["address"] - start:][:row["count"]]) for row in ROWS}
    for name, expected in Bus.values(address).items():
        assert abs(values[name] - expected) <= 0.0501, \
            f"address {address}: {name} is {values[name]}, expected {expected}"


def check_counters(client, unit, address, unanswered):
    # A busy machine sometimes leaves a request unanswered, or damaged bytes of the noisy pack arrive when another one
    # is asked.
    for name, most in ("timeouts", unanswered + 2), ("checksum_errors", 2), ("implausible", 0):
        count = read_value(client, name, unit)
        assert count <= most, f"address {address}: {count} {name}"


def watch(client, bus):
    """Reads repeatedly until each good pack was polled often enough."""
    deadline = time.monotonic() + PATIENCE
    waiting = set(bus.good())
    while waiting:
        assert time.monotonic() < deadline, f"not polled: {waiting}"
        for unit, address in bus.good():
            compare(client, unit, address)
            if read_value(client, "polls", unit) >= POLLS:
                waiting.discard((unit, address))
        time.sleep(0.05)  # leaves the processor to the packs


def check(bus, url):
    with Gateway(bus.configuration(url)) as gateway, gateway.client() as client:
        gateway.wait_published(*(str(address) for _, address in bus.good()))
        for unit, _ in bus.good():  # vital values come first
            await_value(client, "cell_mv.1", unit, lambda mv: mv)
        watch(client, bus)
        for unit, address in bus.good():
            check_counters(client, unit, address, bus.unanswered)
        silent, noisy, late = (address - bus.addresses[0] + 1 for address in (bus.silent, bus.noisy, bus.late))
        await_value(client, "timeouts", silent, lambda count: count > 0)
        assert read_value(client, "polls", silent) == 0
        assert exception_of(client, find("voltage_v")["address"], 2, silent) == STALE
        # A reply of these is sometimes valid; else it is not served.
        await_value(client, "checksum_errors", noisy, lambda count: count > 0)
        for unit in noisy, late:
            await_value(client, "polls", unit, lambda count: count > 0)
            # The voltage comes first, the rest when it is answered.
            await_value(client, "cell_mv.1", unit, lambda mv: mv)
            compare(client, unit, bus.addresses[unit - 1])


def run(bus):
    more = ["--address", bus.addresses[0], "--count", len(bus.addresses)]
    more += ["--variant", bus.variant] if bus.variant else []
    if not bus.pty:
        program, url = simulate(bus.protocol, bus.options(), *more)
        with program:
            check(bus, url)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "bus")
        with simulate_pty(bus.protocol, link, bus.options(), *more):
            check(bus, "serial:" + link)


BUSES = [
    Bus("jk-pb", 1, 15, silent=4, noisy=9, late=12, settings="gap = 20ms\n"),
    Bus("jk-pb", 1, 8, silent=8, noisy=1, late=4, variant="registers", settings="gap = 20ms\n"),
    Bus("daly", 1, 6, silent=2, noisy=3, late=5, pty=True),
    Bus("daly-p81", 1, 6, silent=1, noisy=6, late=3),
    Bus("topbms", 1, 6, silent=2, noisy=5, late=1, settings="gap = 20ms\n"),
    Bus("topbms", 0, 5, silent=3, noisy=1, late=2, variant="pace", settings="gap = 20ms\n"),
    Bus("jbd-addressed", 0, 6, silent=0, noisy=2, late=3, settings="gap = 20ms\n"),
    Bus("seplos-v3", 0, 5, silent=3, noisy=1, late=2, settings="gap = 20ms\n"),
    Bus("pace-modbus", 1, 6, silent=2, noisy=5, late=1, settings="gap = 20ms\n"),
    # Only the master reports a serial number; it is requested twice.
    Bus("jbd-up", 1, 6, silent=3, noisy=2, late=5, unanswered=2),
]


def neighbours_lose_nothing():
    """All buses at once, because they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(len(BUSES)) as pool:
        jobs = {pool.submit(run, bus): bus for bus in BUSES}
        failed = [f"{jobs[job]}: {job.exception()!r}" for job in concurrent.futures.as_completed(jobs)
                  if job.exception()]
    assert not failed, "\n".join(failed)


main([neighbours_lose_nothing])
