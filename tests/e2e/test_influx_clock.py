# SPDX-License-Identifier: MIT
# tests/run: 60 s
"""Databases while the clock of the host jumps, as on a board without a battery-backed clock when the network comes
up: the database gets all rows of the history, whether it was reachable at the jump or not. Time passes faster for
the gateway than for the test, which would otherwise take minutes."""

import json
import mmap
import os
import signal
import struct
import subprocess
import time

from harness import Gateway, PATIENCE, free_port, main, preloading, simulate, until
from influx_harness import Database, ask, outlet_pid
from test_influx import HISTORY, Place, Trouble, section

PACE = 4

# The time of all processes that are started with it: it passes at a given pace, and the time of day is moved, as a
# file says. Time-outs of event loops expire accordingly earlier.
MOVED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
struct clock { double moved, pace, wall, monotonic, boot; }; /* the last three: when it began */
/* Libraries ask for the time before any constructor of this one. */
static const volatile struct clock *clock_of_test(void)
{
    static const volatile struct clock *told;
    if (!told) {
        const int fd = open(getenv("PACKGATE_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
        told = mmap(NULL, sizeof *told, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    return told;
}
int clock_gettime(clockid_t which, struct timespec *at)
{
    static int (*real)(clockid_t, struct timespec *);
    real = real ? real : (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    const int result = real(which, at);
    if (result != 0 || (which != CLOCK_REALTIME && which != CLOCK_MONOTONIC && which != CLOCK_BOOTTIME))
        return result;
    const volatile struct clock *told = clock_of_test();
    const double begun = which == CLOCK_REALTIME ? told->wall : which == CLOCK_MONOTONIC ? told->monotonic : told->boot;
    const double now = begun + told->pace * ((double) at->tv_sec - begun + (double) at->tv_nsec / 1e9) +
                       (which == CLOCK_REALTIME ? told->moved : 0);
    at->tv_sec = (time_t) floor(now);
    at->tv_nsec = (long) ((now - floor(now)) * 1e9);
    return result;
}
int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
    static int (*real)(int, struct epoll_event *, int, int);
    real = real ? real : (int (*)(int, struct epoll_event *, int, int)) dlsym(RTLD_NEXT, "epoll_wait");
    return real(fd, events, most, timeout_ms > 0 ? (int) ceil(timeout_ms / clock_of_test()->pace) : timeout_ms);
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
    """For gateways that are started meanwhile."""

    def __init__(self, folder):
        path = f"{folder}/clock"
        with open(f"{path}.c", "w", encoding="utf-8") as file:
            file.write(MOVED)
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.c", "-ldl", "-lm"], check=True)
        self.moved, self.begun = 0, time.time()
        with open(path, "wb") as file:
            file.write(struct.pack("5d", 0, PACE, self.begun, time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)))
        with open(path, "r+b") as file:
            self.file = mmap.mmap(file.fileno(), 40)
        self.path = path

    def move(self, seconds):
        self.moved = seconds
        self.file[:8] = struct.pack("d", seconds)

    def now(self):
        return self.begun + PACE * (time.time() - self.begun) + self.moved

    def for_programs(self):
        return preloading(f"{self.path}.so", PACKGATE_TEST_CLOCK=self.path)


def await_rows(place, wanted):
    return until(lambda: set(place.times("shed")), wanted, patience=3 * PATIENCE)


def await_databases(place, databases, wanted, patience):
    until(lambda: (place.times("shed"), *(database.times("shed") for database in databases)),
          lambda times: all(wanted <= set(found) for found in times[1:]), patience)


HOUR = 3600
# An answer that takes long by the clock of the gateway is not a failure.
PATIENT = (f"[line shed]\nport = {{}}\nprotocol = daly\nreply_timeout = {2 * PACE}s\n"
           f"[pack shed]\nline = shed\nunit = 1\npoll = {PACE / 4:g}s\nstale_after = {30 * PACE}s\n")


def follows_a_clock_that_jumps():
    """An hour forward, back again and a minute further: some times occur twice, and are before the newest row."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8")
    gone = Trouble(lambda *_: (503, b"", {}))
    gone.over = True
    with server, Place() as place, Database() as there, Database(gone) as away:
        clock = Clock(place.folder)
        text = PATIENT.format(url) + HISTORY.format(place.file) + section("there", there.url) + section("away", away.url)
        with clock.for_programs():
            gateway = Gateway(text)
        with gateway:
            gateway.wait_published("shed")
            at_first = await_rows(place, lambda times: len(times) >= 2)
            await_databases(place, (there, away), at_first, 3 * PATIENCE)
            for offset, patience in ((HOUR, 3 * PATIENCE), (-60, 200 + 3 * PATIENCE)):
                gone.over = False
                before = set(place.times("shed"))
                # Rows that the database lacks, some of which are not in the history yet when the clock jumps.
                known = await_rows(place, lambda times: len(times - before) >= 1)
                clock.move(offset)
                jumped = clock.now()
                now = await_rows(place, lambda times: len([t for t in times if jumped - 20 < t < jumped + 60]) >= 3)
                assert known <= now
                # The hour that was skipped has nothing to be sent.
                queued = next(outlet["queued"] for outlet in gateway.status()["outlets"] if outlet["name"] == "away")
                assert 0 < queued < HOUR / 10, queued
                gone.over = True
                await_databases(place, (there, away), now, patience)
        # No row that never existed, and each unchanged.
        rows = set(place.times("shed"))
        for database in (there, away):
            strange = {t for t in database.times("shed") if t not in rows}
            assert len(strange) <= 3, strange  # ended before it was written
            assert all(abs(value - 26.4) < 0.1 for (_, name, _), values in database.samples.items() if name == "voltage_v"
                       for value in values)


def comes_back_from_the_future():
    """A clock that starts ten years ahead: once it is right, everything is as if it had always been, in the history,
    in the sent rows and in the API, whose newest values are not those of the future."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.4,cells=8")
    gone = Trouble(lambda *_: (503, b"", {}))
    with server, Place() as place, Database() as there, Database(gone) as away:
        clock = Clock(place.folder)
        web = free_port()
        text = PATIENT.format(url) + HISTORY.format(place.file) + section("there", there.url) + section("away", away.url) + \
            f"[web]\nlisten = 127.0.0.1:{web}\n"
        clock.move(10 * 365 * 24 * HOUR)
        with clock.for_programs():
            gateway = Gateway(text)
        with gateway:
            gateway.wait_published("shed")
            ahead = await_rows(place, lambda times: len(times) >= 2)
            # When the clock is set back, the history has rows of intervals that the outlets have not noticed yet.
            outlets = [outlet_pid(gateway, "influx", name) for name in ("there", "away")]
            for pid in outlets:
                os.kill(pid, signal.SIGSTOP)
            ahead = await_rows(place, lambda times: len(times - ahead) >= 2)
            clock.move(0)
            for pid in outlets:
                os.kill(pid, signal.SIGCONT)
            right = clock.now()
            now = await_rows(place, lambda times: len([t for t in times if t < right + 3600]) >= 2)
            gone.over = True
            await_databases(place, (there, away), ahead | now, 200 + 3 * PATIENCE)
            # Live values do not wait for the history, and charts contain rows that are only in memory.
            latest = max(t for t in there.times("shed") if t < right + 3600)
            there.await_times("shed", lambda times: any(latest < t < right + 7200 for t in times))

            def known():
                asked = clock.now()
                path = f"/api/v1/packs/shed/history?from={int(asked) - 60}&values=voltage_v&level=recent"
                got = json.loads(ask(f"http://127.0.0.1:{web}{path}"))
                return [t - asked for t, volt in zip(got["t"], got["voltage_v"]) if volt is not None]
            until(known, lambda ages: ages and ages[-1] > -10)  # the current interval is only in memory


def spares_the_disk():
    """The file of what is owed is written once a minute while the database takes everything, not for each interval."""
    server, url = simulate("daly", "profile=fixed")
    with server, Place() as place, Database() as there:
        clock = Clock(place.folder)
        with clock.for_programs():
            gateway = Gateway(PATIENT.format(url) + HISTORY.format(place.file) + section("home", there.url))
        with gateway:
            gateway.wait_published("shed")
            begin = max(there.await_times("shed", lambda times: len(times) > 6))
            written = set()

            def passed():
                written.add(os.stat(f"{place.file}.sent-home").st_mtime_ns)
                return max(there.times("shed")) - begin
            lasted = until(passed, lambda seconds: seconds >= 120)
            assert len(written) <= 2 + lasted / 30, (len(written), lasted)


if __name__ == "__main__":
    main([follows_a_clock_that_jumps, comes_back_from_the_future, spares_the_disk], at_once=3)
