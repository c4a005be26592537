# SPDX-License-Identifier: MIT
"""How soon a [present] port begins to answer by Modbus RTU: from the end of the request to the first byte of the answer, less the
silence of 3.5 characters that ends a request. Beside it what this machine takes without packgate: a program that waits for the same
silence with poll() in a loop of its own, over the same kind of pseudo terminal. BENCH_COUNT is how many requests are measured."""

import os
import select
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from test_present import PATIENCE, VOLTS, Cable, is_volts, presented  # noqa: E402

COUNT = int(os.environ.get("BENCH_COUNT", "300"))
SHARES = (0, 0.5, 0.9, 0.99, 1)


def times(wire, silence_s):
    for _ in range(COUNT):
        begin = time.monotonic()
        wire.send(VOLTS)
        assert select.select([wire.fd], [], [], PATIENCE)[0]
        yield time.monotonic() - begin - silence_s
        wire.hear(0.02)


def show(name, baud, took):
    took = sorted(1000 * seconds for seconds in took)
    print(f"| {name} | {baud} | " + " | ".join(f"{took[int(share * (COUNT - 1))]:.2f}" for share in SHARES) + " |", flush=True)


def wait_for_nothing_else(fd, silence_s):
    """A child that answers as a device would that has nothing else to do."""
    while True:
        size = len(os.read(fd, 256))
        while size < len(VOLTS):
            size += len(os.read(fd, 256))
        end = time.monotonic() + silence_s
        while (left := end - time.monotonic()) > 0:
            time.sleep(left)
        os.write(fd, VOLTS)


def floor(silence_s):
    with Cable() as cable:
        child = os.fork()
        if child == 0:
            wait_for_nothing_else(cable.slave, silence_s)
        try:
            yield from times(cable, silence_s)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


print(f"From the end of a request to the answer, less 3.5 characters, in ms. Load of {os.cpu_count()} cores: "
      + ", ".join(f"{load:.1f}" for load in os.getloadavg()))
print("| | baud | least | median | 90 % | 99 % | most |\n|---|---|---|---|---|---|---|")
for baud, silence in ((9600, 3.5 * 10 / 9600), (115200, 0.00175)):
    show("a program that only sleeps", baud, floor(silence))
    with Cable() as cable, presented(cable.url, f"baud = {baud}\n"):
        assert is_volts(cable.ask(VOLTS))
        show("packgate", baud, times(cable, silence))
