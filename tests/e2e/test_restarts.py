# SPDX-License-Identifier: MIT
# tests/run: 90 s
"""Restarts and kills: every row of the history is in the database, too, and the history itself loses no more than
docs/history.md says."""

import contextlib
import os
import random
import signal
import time

from harness import Gateway, PATIENCE, main, simulate, until
from influx_harness import Database, kill_outlet
from test_influx import HISTORY, Place, section

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = {3}\nstale_after = 60s\n"


def await_second(second, interval=10):
    """Waits for this second of an interval."""
    time.sleep((second - time.time()) % interval)


def missing(place, database):
    """Rows of the history that the database lacks."""
    return {(pack, t) for pack in ("quick", "slow") for t in set(place.times(pack)) - set(database.times(pack))}


def await_nothing_missing(place, database, after):
    """Waits until both packs have a row after this time, and the database has all rows up to it."""
    deadline = time.monotonic() + 2 * PATIENCE
    while min(max(place.times(pack), default=0) for pack in ("quick", "slow")) <= after or \
            [row for row in missing(place, database) if row[1] <= after]:
        assert time.monotonic() < deadline, (after, sorted(missing(place, database)), place.times("slow"))
        time.sleep(0.5)


@contextlib.contextmanager
def two_packs(commit="10s"):
    """(place, database, configuration)"""
    quick, quick_url = simulate("daly", "profile=fixed,cells=4")
    slow, slow_url = simulate("daly", "profile=fixed,cells=4")
    with quick, slow, Place() as place, Database() as database:
        yield place, database, PACK.format("quick", quick_url, 1, "300ms") + PACK.format("slow", slow_url, 2, "20s") + \
            HISTORY.format(place.file).replace("10s", commit) + section("home", database.url)


def a_restart_within_an_interval():
    """The quick pack has a row of the interval from before the restart, the slow one only from after it, and the
    interval ends right after the new outlet has begun."""
    with two_packs() as (place, database, text):
        await_second(5, 20)
        with Gateway(text, state=place.state) as gateway:
            gateway.wait_published("quick", "slow")
            database.await_times("slow", lambda times: len(times) >= 1)
            await_second(3, 20)
        await_second(9.3)
        with Gateway(text, state=place.state) as gateway:
            gateway.wait_published("quick", "slow")
            await_nothing_missing(place, database, time.time())


def kill_at_random(chance, place, text, seconds, mean, rest):
    """Kills gateway or outlets for so long, on average each `mean` seconds, and restarts the gateway after `rest`;
    returns the last gateway and [(name, time of the kill)]."""
    killed, over = [], time.time() + seconds
    gateway = Gateway(text, state=place.state)
    try:
        while time.time() < over:
            time.sleep(min(chance.expovariate(1 / mean), 3 * mean))
            who = chance.choice(["gateway", "history", "influx", "influx and history", "stop"])
            killed.append((who, time.time()))
            if who in ("gateway", "stop"):
                gateway.stop(signal.SIGKILL if who == "gateway" else signal.SIGTERM)
                gateway.__exit__(None, None, None)
                time.sleep(rest)
                gateway = Gateway(text, state=place.state)
            else:
                for name in who.split(" and "):
                    kill_outlet(gateway, name)
    except BaseException:
        gateway.__exit__(*[None] * 3)
        raise
    return gateway, killed


def kills_at_random_moments():
    with two_packs() as (place, database, text):
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}", flush=True)
        gateway, _ = kill_at_random(random.Random(seed), place, text, 45, 8, 0)
        with gateway:
            await_nothing_missing(place, database, time.time())


def kills_at_other_random_moments():
    """Beside the former, with another seed."""
    kills_at_random_moments()


def await_connected(gateway, before=None):
    """The new process of the history, once it has written."""
    return until(lambda: next(outlet for outlet in gateway.status()["outlets"] if outlet["kind"] == "history"),
                 lambda history: history["connected"] and history["pid"] != before)["pid"]


def one_that_is_killed_young_has_written():
    """Repeatedly, long before `commit`."""
    with two_packs("1h") as (place, database, text):
        with Gateway(text, state=place.state) as gateway:
            gateway.wait_published("quick")
            pid = None
            for _ in range(3):
                begun, pid = time.time(), await_connected(gateway, pid)
                database.await_times("quick", lambda times: sum(t > begun for t in times) >= 2)
                os.kill(pid, signal.SIGKILL)
                assert max(place.times("quick"), default=0) > begun - 10, (begun, place.times("quick"))


def one_that_is_killed_while_all_is_well_is_back_at_once():
    with two_packs() as (place, database, text):
        with Gateway(text, state=place.state, arguments=["--debug"]) as gateway:
            gateway.wait_for("pack quick: idle")
            pid = None
            for turn in range(4):
                pid, begun = await_connected(gateway, pid), time.time()
                database.await_times("quick", lambda times: max(times, default=0) > begun)  # it runs for seconds
                os.kill(pid, signal.SIGKILL)
                if turn > 0:  # the first time a line for people says it
                    assert gateway.wait_for(r"outlet history: ended .*; next in (\d+) s")[1] == "1"


if __name__ == "__main__":
    main([kills_at_random_moments, kills_at_other_random_moments, one_that_is_killed_young_has_written, a_restart_within_an_interval,
          one_that_is_killed_while_all_is_well_is_back_at_once], at_once=5)
