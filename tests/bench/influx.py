# SPDX-License-Identifier: MIT
"""What feeding a database takes: 64 packs, processor and memory of the outlet, alone and together with notifications, and a day of
theirs caught up while Modbus clients ask, with the slowest answer beside what it is without.

    influx.py BUILD             BENCH_SECONDS (20) of peace, BENCH_HOURS (24) of a history to catch up"""

import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

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


class Asking(threading.Thread):
    """A Modbus client that measures how long answers take, in ms."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.client, self.times, self.over = gateway.client(), [], False
        self.start()

    def run(self):
        while not self.over:
            begin = time.monotonic()
            self.client.read_holding_registers(290, 20, slave=1)
            self.times.append(1000 * (time.monotonic() - begin))
            time.sleep(0.005)

    def result(self):
        self.over = True
        self.join()
        self.client.close()
        times = sorted(self.times)
        return f"median {statistics.median(times):.2f} ms, p99 {times[int(len(times) * 0.99)]:.2f} ms, worst {times[-1]:.1f} ms"


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


def main():
    folder = tempfile.mkdtemp(prefix="packgate-bench-influx-")
    file = os.path.join(folder, "history.db")
    history = f"[history]\nfile = {file}\ncommit = 10s\n"
    with VictoriaMetrics() as database:
        section = f"[influx one]\nurl = {database.url}/write\n"
        notify = "[notify nobody]\ntype = webhook\nurl = http://127.0.0.1:1/\nevents = alarm\nreport = 12:00\n"
        with Gateway(packs() + history + section + notify) as gateway:
            pid = outlet_pid(gateway, "influx")
            time.sleep(20)
            before, begin = cpu_of(pid), time.monotonic()
            asking = Asking(gateway)
            time.sleep(SECONDS)
            share = (cpu_of(pid) - before) / (time.monotonic() - begin)
            print(f"64 packs each 10 s: {100 * share:.2f} % of a core, {memory_of(pid)[0]:.1f} MiB resident, {memory_of(pid)[1]:.1f} its own",
                  flush=True)
            print(f"Modbus meanwhile: {asking.result()}", flush=True)
            other = outlet_pid(gateway, "notify")
            both = len(frames(pid) | frames(other)) * PAGE / (1 << 20)
            print(f"notify: {memory_of(other)[0]:.1f} MiB resident, {memory_of(other)[1]:.1f} its own; both: "
                  f"{memory_of(pid)[0] + memory_of(other)[0]:.1f} MiB by ps, {both:.1f} with what they share counted once", flush=True)
        rows = fill(file, HOURS)
        os.unlink(file + ".sent-one")
        with Gateway(packs() + history + section + "backfill = all\n") as gateway:
            pid, begin = outlet_pid(gateway, "influx"), time.monotonic()
            asking = Asking(gateway)
            while True:
                time.sleep(1)
                status = subprocess.run([sys.argv[1], "status", "-c", gateway.path], stdout=subprocess.PIPE, check=False).stdout.decode()
                line = next(line for line in status.splitlines() if line.startswith("influx one"))
                if time.monotonic() - begin > 5 and "behind" not in line:
                    break
            span = time.monotonic() - begin
            print(f"caught up {HOURS} hours of 64 packs ({rows} rows) in {span:.0f} s: {rows / span:.0f} rows/s, "
                  f"{100 * cpu_of(pid) / span:.0f} % of a core, {memory_of(pid)[0]:.1f} MiB resident, {memory_of(pid)[1]:.1f} its own", flush=True)
            print(f"Modbus meanwhile: {asking.result()}", flush=True)
            found = database.rows('packgate_voltage_v{pack="p7"}')[0][1]
            print(f"of pack p7: {len(found)} samples of voltage, {len(set(found))} times")
    subprocess.run(["rm", "-rf", folder], check=True)


main()
