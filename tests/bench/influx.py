# SPDX-License-Identifier: MIT
"""What feeding a database takes: 64 packs, processor and memory of the outlets influx and notify, and a day of theirs caught up
while a Modbus client asks, with the slowest answers beside what they are without. Of that some hours more into a receiver that
does nothing but answer, in turn with nothing and with a program that is no part of packgate and takes the processor as the outlet does:
what it costs that anything runs on the same host is not the outlet's. And into a database that has a core to itself.

    influx.py BUILD             BENCH_SECONDS (20) of peace, BENCH_ROUNDS (3), BENCH_HOURS (24) of a history to catch up"""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time


def share_of(numbers, part):
    return sorted(numbers)[int(len(numbers) * part)]


def ask_until_told(port):
    """A Modbus client in a process of its own, which prints how long answers took, second by second, when it is told to end."""
    seconds, over = [[]], []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.monotonic()
        for number in itertools.count():
            begin = time.monotonic()
            connection.sendall(struct.pack(">HHHBBHH", number & 0xFFFF, 0, 6, 1, 3, 290, 20))
            connection.recv(300)
            seconds[-1].append(1000 * (time.monotonic() - begin))
            if over:
                break
            if begin - start >= len(seconds):
                seconds.append([])
            time.sleep(0.002)
    times = sorted(time for second in seconds for time in second)
    print(json.dumps({name: share_of(times, part) for name, part in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999))} |
                     {"worst": times[-1], "seconds": [share_of(second, 0.99) for second in seconds[:-1]]}))


def swallow():
    """A receiver that reads what it is sent, and says that it has it."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def talk(connection):
        stream = connection.makefile("rb")
        while True:
            size = 0
            while line := stream.readline().strip():
                size = int(line.split(b":")[1]) if line.lower().startswith(b"content-length:") else size
            if size == 0:
                return
            stream.read(size)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")

    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def take_turns():
    """What a program takes that is no part of packgate: a sixth of a core, a sixth of a second at a time, as politely as the outlet."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(10)
    while True:
        begin = time.monotonic()
        while time.monotonic() - begin < 1 / 6:
            pass
        time.sleep(5 / 6)


if sys.argv[1] == "ask":
    sys.exit(ask_until_told(int(sys.argv[2])))
if sys.argv[1] == "work":
    sys.exit(take_turns())
if sys.argv[1] == "swallow":
    sys.exit(swallow())

BUILD = sys.argv[1]
sys.argv[1] = os.path.join(BUILD, "packgate")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import Gateway  # noqa: E402
from influx_harness import VictoriaMetrics, outlet_pid  # noqa: E402

PACKS = 64
SECONDS = int(os.environ.get("BENCH_SECONDS") or 20)
HOURS = int(os.environ.get("BENCH_HOURS") or 24)
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 3)
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
FRAME = (1 << 55) - 1


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_of(pid):
    """(resident, its own) in MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in file.read().splitlines()[1:] if "kB" in line}
    return sizes["Rss"] / 1024, (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024


def frames(pid):
    """The pages that a process has in memory, by their place in it; empty for who may not see that (only root does)."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for line in maps:
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if line.rstrip().endswith(("[vvar]", "[vdso]", "[vsyscall]")):
                continue
            pages.seek(begin // PAGE * 8)
            for entry, in struct.iter_unpack("Q", pages.read((end - begin) // PAGE * 8)):
                if entry >> 63 and entry & FRAME:
                    found.add(entry & FRAME)
    return found


def packs():
    return "".join(f"[line l{n}]\nport = sim:cells=16,seed={n}\nprotocol = daly-d2\n[pack p{n}]\nline = l{n}\nunit = {n}\npoll = 1s\n"
                   for n in range(1, PACKS + 1))


def waited(pid):
    """(seconds for which it could have run and somebody else did, how often it ran)"""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        _, delay, times = map(int, file.read().split())
    return delay / 1e9, times


class Asking:
    """A client beside a gateway, and how long that waits for a processor, which is what another host would notice of it."""

    def __init__(self, gateway):
        self.process = subprocess.Popen([sys.executable, __file__, "ask", str(gateway.port)], stdout=subprocess.PIPE)
        self.gateway, self.before = gateway.process.pid, waited(gateway.process.pid)

    def result(self):
        delay, times = (now - before for now, before in zip(waited(self.gateway), self.before))
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate()[0]) | {"wait": 1e6 * delay / times}


def words_of(result):
    return ", ".join(f"{name} {result[name]:.2f}" for name in ("median", "p99", "p99.9")) + \
        f", worst {result['worst']:.1f} ms; the gateway waited for a processor {result['wait']:.1f} us each time that it ran"


def fill(path, hours):
    """Rows of ten seconds of all packs, up to a minute ago, as if the database had been away."""
    database = sqlite3.connect(path, timeout=60)
    database.execute("PRAGMA synchronous = OFF")
    ids = dict(database.execute("SELECT name, id FROM pack"))
    end = int(time.time()) // 10 * 10 - 60
    columns = ["voltage_mv", "current_ma", "power_w", "soc_permille", "remaining_mah", "delta_mv", "temp_dc", "mos_temp_dc"] + \
        [f"c{n + 1}" for n in range(16)]
    sql = f"INSERT OR IGNORE INTO recent(pack, t, n, {', '.join(columns)}, flags) VALUES({', '.join('?' * (len(columns) + 4))})"
    for name, number in ids.items():
        database.executemany(sql, ([number, t, 10, 53000 + t % 700, -12500 + t % 900, -660, 600 + t % 7, 90000, 12, 215, 260] +
                                   [3300 + (t // 10 + cell) % 30 for cell in range(16)] + [0] for t in range(end - hours * 3600, end, 10)))
        database.commit()
    database.close()
    return len(ids) * hours * 360


def catch_up(gateway, file, receiver, words, rows):
    """Until no interval is owed but the last ones. The file tells without a question to the gateway."""
    pid, begin = outlet_pid(gateway, "influx"), time.monotonic()
    database = cpu_of(receiver)
    asking = Asking(gateway)
    while time.monotonic() - begin < 5 or any(int(gap) < time.time() - 60
                                              for gap in re.findall(r"^gap (\d+)", read(file + ".sent-one"), re.M)):
        time.sleep(0.5)
    span = time.monotonic() - begin
    print(f"{words}: {rows} rows in {span:.0f} s, {rows / span:.0f} a second; {100 * cpu_of(pid) / span:.0f} % of a core, "
          f"{100 * (cpu_of(receiver) - database) / span:.0f} % for the receiver; {memory_of(pid)[0]:.1f} MiB resident", flush=True)
    result = asking.result()
    print(f"  Modbus meanwhile: {words_of(result)}", flush=True)
    return result


def read(path):
    with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
        return file.read()
    return "gap 0 1"


def in_peace(folder, database):
    """What it takes while all is well; the history that it leaves."""
    file = os.path.join(folder, "history.db")
    notify = f"[notify nobody]\ntype = webhook\nurl = {database.url}/nowhere\nevents = alarm, started\nreport = 12:00\n"
    with Gateway(packs() + history(file) + section(database.url + "/write") + notify) as gateway:
        pid, other = outlet_pid(gateway, "influx"), outlet_pid(gateway, "notify")
        time.sleep(30)
        before, begin = (cpu_of(pid), cpu_of(other)), time.monotonic()
        asking = Asking(gateway)
        time.sleep(SECONDS)
        span = time.monotonic() - begin
        shares = [100 * (cpu_of(one) - was) / span for one, was in zip((pid, other), before)]
        print(f"64 packs each 10 s: influx {shares[0]:.2f}, notify {shares[1]:.2f}, together {sum(shares):.2f} % of a core", flush=True)
        print(f"  Modbus meanwhile: {words_of(asking.result())}", flush=True)
        sizes = {"influx": memory_of(pid), "notify": memory_of(other)}
        for name, (resident, own) in sizes.items():
            print(f"{name}: {resident:.1f} MiB resident, {own:.1f} its own", flush=True)
        both = len(frames(pid) | frames(other)) * PAGE / (1 << 20)
        print(f"both: {sum(resident for resident, _ in sizes.values()):.1f} MiB by ps, {both:.1f} with what they share counted once", flush=True)
    return file


def history(file):
    return f"[history]\nfile = {file}\ncommit = 10s\n"


def section(url):
    return f"[influx one]\nurl = {url}\n"


@contextlib.contextmanager
def gateway_beside(file, backfill, program=None):
    """A gateway that sends to a receiver that does nothing, and that receiver, beside a program of somebody else."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE))
                  for name in ("swallow", program) if name]
        for other in others:
            stack.callback(other.kill)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file + ".sent-one")
        url = f"http://127.0.0.1:{int(others[0].stdout.readline())}/write"
        yield stack.enter_context(Gateway(packs() + history(file) + section(url) + f"interval = 10s, backfill {backfill}\n")), others[0]


def ask_beside(file, program):
    """The answers of a gateway that sends as always and has nothing to catch up."""
    with gateway_beside(file, "no", program) as (gateway, _):
        asking = Asking(gateway)
        time.sleep(20)
        return asking.result()


def catch_up_in_turns(file, hours, rows):
    """Some hours, in turn with nothing to catch up and with a program of somebody else. Whatever else a host does for a second
    makes that second's answers slow, so that many single seconds are compared."""
    results = {"nothing to catch up": [], "nothing, beside another program": [], f"{hours} hours to catch up": []}
    for _ in range(ROUNDS):
        turns = iter(results.values())
        next(turns).append(ask_beside(file, None))
        next(turns).append(ask_beside(file, "work"))
        with gateway_beside(file, "all") as (gateway, receiver):
            next(turns).append(catch_up(gateway, file, receiver.pid, f"{hours} hours into a receiver that does nothing", rows))
    for words, rounds in results.items():
        seconds = [second for one in rounds for second in one["seconds"][5:]]  # without those of the start
        print(f"{words}: p99 of a second, of {len(seconds)}: a quarter of them up to {share_of(seconds, 0.25):.2f}, half up to "
              f"{share_of(seconds, 0.5):.2f} ms; the gateway waited for a processor "
              f"{statistics.median(one['wait'] for one in rounds):.1f} us each time that it ran", flush=True)


def main():
    folder = tempfile.mkdtemp(prefix="packgate-bench-influx-")
    with VictoriaMetrics() as database:
        file = in_peace(folder, database)
    some = min(HOURS, 3)
    rows = fill(file, some)
    catch_up_in_turns(file, some, rows)
    cores = sorted(os.sched_getaffinity(0))
    with VictoriaMetrics() as database:
        for thread in os.listdir(f"/proc/{database.process.pid}/task"):
            os.sched_setaffinity(int(thread), cores[-1:])
        os.unlink(file + ".sent-one")
        with Gateway(packs() + history(file) + section(database.url + "/write") + "interval = 10s, backfill all\n") as gateway:
            catch_up(gateway, file, database.process.pid, f"{some} hours into a database on one core", rows)
    rows = fill(file, HOURS)
    with VictoriaMetrics() as database:
        os.unlink(file + ".sent-one")
        with Gateway(packs() + history(file) + section(database.url + "/write") + "interval = 10s, backfill all\n") as gateway:
            catch_up(gateway, file, database.process.pid, f"{HOURS} hours into a database", rows)
            found = database.rows('packgate_voltage_v{pack="p7"}')[0][1]
            print(f"of pack p7: {len(found)} samples of voltage, {len(set(found))} times")
    subprocess.run(["rm", "-rf", folder], check=True)


main()
