# SPDX-License-Identifier: MIT
# tests/run: long
"""Databases while the clock of the host jumps, as it does on a board without a battery when the network comes: what the history
has, the database has, whether it was there at the jump or away."""

import contextlib
import mmap
import os
import struct
import subprocess
import time

from harness import Gateway, PATIENCE, main, simulate
from influx_harness import Database
from test_influx import HISTORY, PACK, Place, Trouble, section

# The time of day of all that is started with it, moved by as many seconds as a file says.
MOVED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
/* Libraries ask for the time before any constructor of this one. */
static double moved(void)
{
    static const volatile double *seconds;
    if (!seconds) {
        const int fd = open(getenv("PACKGATE_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
        seconds = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    return *seconds;
}
int clock_gettime(clockid_t which, struct timespec *at)
{
    static int (*real)(clockid_t, struct timespec *);
    real = real ? real : (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    const int result = real(which, at);
    if (which == CLOCK_REALTIME)
        at->tv_sec += (time_t) moved();
    return result;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """Of gateways that are started meanwhile."""

    def __init__(self, folder):
        path = f"{folder}/clock"
        with open(f"{path}.c", "w", encoding="utf-8") as file:
            file.write(MOVED)
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.c", "-ldl"], check=True)
        with open(path, "wb") as file:
            file.write(struct.pack("d", 0))
        with open(path, "r+b") as file:
            self.seconds = mmap.mmap(file.fileno(), 8)
        self.path = path

    def move(self, seconds):
        self.seconds[:] = struct.pack("d", seconds)

    @contextlib.contextmanager
    def for_programs(self):
        # The sanitized build says something of a library in front of its own.
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        new = {"LD_PRELOAD": f"{self.path}.so", "PACKGATE_TEST_CLOCK": self.path, "ASAN_OPTIONS": asan}
        before = {name: os.environ.get(name) for name in new}
        os.environ.update(new)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def await_rows(place, wanted):
    deadline = time.monotonic() + 3 * PATIENCE
    while not wanted(times := set(place.times("shed"))):
        assert time.monotonic() < deadline, sorted(times)
        time.sleep(0.2)
    return times


def await_databases(place, databases, wanted, patience):
    deadline = time.monotonic() + patience
    for database in databases:
        while missing := wanted - set(database.times("shed")):
            assert time.monotonic() < deadline, (sorted(missing), database.times("shed"), place.times("shed"))
            time.sleep(0.3)


HOUR = 3600


def follows_a_clock_that_jumps():
    """Forward by an hour, back again and a minute further: some times come twice, and lie before the newest of all."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8")
    gone = Trouble(lambda *_: (503, b"", {}))
    gone.over = True
    with server, Place() as place, Database() as there, Database(gone) as away:
        clock = Clock(place.folder)
        text = PACK.format("shed", url, 1) + HISTORY.format(place.file) + section("there", there.url) + section("away", away.url)
        with clock.for_programs():
            gateway = Gateway(text)
        with gateway:
            gateway.wait_published("shed")
            at_first = await_rows(place, lambda times: len(times) >= 2)
            await_databases(place, (there, away), at_first, 3 * PATIENCE)
            for offset, patience in ((HOUR, 3 * PATIENCE), (-60, 200 + 3 * PATIENCE)):
                gone.over = False
                before = set(place.times("shed"))
                # Rows that the database has not, some of which are not in the history yet when the clock jumps.
                known = await_rows(place, lambda times: len(times - before) >= 1)
                jumped = time.time() + offset
                clock.move(offset)
                now = await_rows(place, lambda times: len([t for t in times if jumped - 20 < t < jumped + 60]) >= 3)
                assert known <= now
                gone.over = True
                await_databases(place, (there, away), now, patience)
        # Nothing that never was, each as it was.
        rows = set(place.times("shed"))
        for database in (there, away):
            strange = {t for t in database.times("shed") if t not in rows}
            assert len(strange) <= 3, strange  # ended before it was written
            assert all(abs(value - 26.4) < 0.1 for (_, name, _), values in database.samples.items() if name == "voltage_v"
                       for value in values)


if __name__ == "__main__":
    main([follows_a_clock_that_jumps])
