# SPDX-License-Identifier: MIT
"""What feeding a database takes: 64 packs, processor and memory of the outlet, alone and together with notifications, and a day of
theirs caught up while a Modbus client asks, with the slowest answers beside what they are without. Of that some hours more into a
receiver that does nothing but answer, and into a database that has a core to itself: what a database takes on the same host is not ours.

    influx.py BUILD             BENCH_SECONDS (20) of peace, BENCH_HOURS (24) of a history to catch up"""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time


def ask_until_told(port):
    """A Modbus client in a process of its own, which prints how long answers took when it is told to end."""
    times, over = [], []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not over:
            begin = time.monotonic()
            connection.sendall(struct.pack(">HHHBBHH", len(times) & 0xFFFF, 0, 6, 1, 3, 290, 20))
            connection.recv(300)
            times.append(1000 * (time.monotonic() - begin))
            time.sleep(0.002)
    times.sort()
    parts = (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    print(", ".join(f"{name} {times[int(len(times) * part)]:.2f}" for name, part in parts) + f", worst {times[-1]:.1f} ms")


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


if sys.argv[1] == "ask":
    sys.exit(ask_until_told(int(sys.argv[2])))
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


class Asking:
    """A client beside a gateway."""

    def __init__(self, gateway):
        self.process = subprocess.Popen([sys.executable, __file__, "ask", str(gateway.port)], stdout=subprocess.PIPE)

    def result(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate()[0].decode().strip()


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
    print(f"  Modbus meanwhile: {asking.result()}", flush=True)


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
        before, begin = cpu_of(pid), time.monotonic()
        asking = Asking(gateway)
        time.sleep(SECONDS)
        share = (cpu_of(pid) - before) / (time.monotonic() - begin)
        print(f"64 packs each 10 s: {100 * share:.2f} % of a core", flush=True)
        print(f"  Modbus meanwhile: {asking.result()}", flush=True)
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


def main():
    folder = tempfile.mkdtemp(prefix="packgate-bench-influx-")
    with VictoriaMetrics() as database:
        file = in_peace(folder, database)
    some = min(HOURS, 3)
    rows = fill(file, some)
    with contextlib.ExitStack() as stack:
        swallower = stack.enter_context(subprocess.Popen([sys.executable, __file__, "swallow"], stdout=subprocess.PIPE))
        stack.callback(swallower.kill)
        os.unlink(file + ".sent-one")
        url = f"http://127.0.0.1:{int(swallower.stdout.readline())}/write"
        with Gateway(packs() + history(file) + section(url) + "backfill = all\n") as gateway:
            catch_up(gateway, file, swallower.pid, f"{some} hours into a receiver that does nothing", rows)
    cores = sorted(os.sched_getaffinity(0))
    with VictoriaMetrics() as database:
        for thread in os.listdir(f"/proc/{database.process.pid}/task"):
            os.sched_setaffinity(int(thread), cores[-1:])
        os.unlink(file + ".sent-one")
        with Gateway(packs() + history(file) + section(database.url + "/write") + "backfill = all\n") as gateway:
            catch_up(gateway, file, database.process.pid, f"{some} hours into a database on one core", rows)
    rows = fill(file, HOURS)
    with VictoriaMetrics() as database:
        os.unlink(file + ".sent-one")
        with Gateway(packs() + history(file) + section(database.url + "/write") + "backfill = all\n") as gateway:
            catch_up(gateway, file, database.process.pid, f"{HOURS} hours into a database", rows)
            found = database.rows('packgate_voltage_v{pack="p7"}')[0][1]
            print(f"of pack p7: {len(found)} samples of voltage, {len(set(found))} times")
    subprocess.run(["rm", "-rf", folder], check=True)


main()
