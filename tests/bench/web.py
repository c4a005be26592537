# SPDX-License-Identifier: MIT
"""Part of `make bench`: what the page's server and the history take: answers of the API on half a year of rows, live viewers,
memory and processor time with 64 packs, and whether a Modbus client notices. Prints, and fails only when something cannot be
measured. Argument: the folder with the programs."""

import http.client
import os
import resource
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
sys.argv[1] = os.path.join(BUILD, "packgate")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from harness import Gateway, outlet_pid  # noqa: E402

SECONDS = float(os.environ.get("BENCH_WEB_SECONDS", "20"))
DAYS = int(os.environ.get("BENCH_WEB_DAYS", "180"))
VIEWERS = int(os.environ.get("BENCH_WEB_VIEWERS", "500"))
TICKS = os.sysconf("SC_CLK_TCK")
CELLS = ",".join(f"cell_mv.{n}" for n in range(1, 17))


def cpu_s(pid):
    """To the microsecond, as the scheduler counts it."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def children_s(pid):
    """Of its children that have ended, to 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[13:15])) / TICKS


def memory_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def packs(count):
    return "".join(f"[line l{n}]\nport = sim:cells=16,seed={n}\nprotocol = topbms\n[pack p{n}]\nline = l{n}\nunit = {n}\n"
                   for n in range(1, count + 1))


def start(count, more="", history=None, web=True):
    text = packs(count)
    if history:
        text += f"[history]\nfile = {history}\n"
    if web:
        text += f"[web]\nlisten = 127.0.0.1:0\n{more}\n"
    gateway = Gateway(text)
    if web:
        gateway.web = int(gateway.wait_for(r"web: page at http://.*:(\d+)/")[1])
    gateway.wait_published(*(f"p{n}" for n in range(1, count + 1)))
    return gateway


def make_past(file, count, days):
    subprocess.run([f"{BUILD}/packgate-outlet-history", "simulate", file, str(days), *(f"p{n}=16:100:50:{n}" for n in range(1, count + 1))], check=True,
                   stdout=subprocess.DEVNULL)


def measure_written(folder, count):
    """As the outlet writes, on a clock that is turned: the second of two days."""
    file = os.path.join(folder, "written.db")
    said = subprocess.run([f"{BUILD}/tests/bench/written", file, str(count)], check=True, stdout=subprocess.PIPE).stdout
    print(f"  {count} packs: {int(said) / 2**20:.1f} MiB written in a day, all levels, with what SQLite writes twice", flush=True)
    os.remove(file)


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - begin
    connection.close()
    assert answer.status == 200, body[:200]
    return took, len(body)


def measure_history(folder, count, days):
    file = os.path.join(folder, f"history-{count}.db")
    make_past(file, count, days)
    size = os.path.getsize(file) / 2**20
    with start(count, history=file) as gateway:
        web = outlet_pid(gateway, "web")
        print(f"  {count} packs, {days} days ({size:.0f} MiB, {size / count / days:.2f} a pack and day):")
        for what, path in (("a day of 16 cells", f"packs/p1/history?values=soc_percent,power_w,{CELLS}"), ("today", "today"),
                           ("all alarms", "packs/p1/alarms?from=0"),
                           ("a month of 16 cells by day", f"packs/p1/history?level=day&extremes=1&from={int(time.time()) - 31 * 86400}&values={CELLS}")):
            ask(gateway.web, "/api/v1/" + path)
            before = cpu_s(web) + children_s(web)
            answers = [ask(gateway.web, "/api/v1/" + path) for _ in range(50)]
            used = (cpu_s(web) + children_s(web) - before) / len(answers)
            print(f"    {what} {used * 1e3:.1f} ms of processor, median {statistics.median(a[0] for a in answers) * 1e3:.1f} ms, {answers[0][1] / 1e3:.0f} kB")


def open_streams(port, count, detail=""):
    streams = []
    for n in range(count):
        stream = socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.{1 + n // 200}.{1 + n % 200}", 0))
        stream.sendall(f"GET /api/v1/events?detail={detail} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        streams.append(stream)
    return streams


def read_streams(streams, seconds):
    """Reads for so long; bytes a second and viewer."""
    selector, got, end = selectors.DefaultSelector(), 0, time.monotonic() + seconds
    for stream in streams:
        stream.setblocking(False)
        selector.register(stream, selectors.EVENT_READ)
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            piece = key.fileobj.recv(65536)
            assert piece, "a viewer was cut"
            got += len(piece)
    selector.close()
    return got / seconds / len(streams)


def bare_sends(count, size, rounds=15):
    """What the kernel alone takes for as many sends of as many bytes to connections of this host, where the sender pays for
    the receiver's half as well; the middle of some rounds."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as server:
        reader = subprocess.Popen([sys.executable, "-c", "import resource, selectors, socket, sys\n"
                                   "resource.setrlimit(resource.RLIMIT_NOFILE, (8192,) * 2)\n"
                                   "selector = selectors.DefaultSelector()\n"
                                   f"for _ in range({count}):\n"
                                   f"    selector.register(socket.create_connection(('127.0.0.1', {server.getsockname()[1]})), 1)\n"
                                   "while all(key.fileobj.recv(65536) for key, _ in selector.select()):\n    pass"])
        clients, took, piece = [server.accept()[0] for _ in range(count)], [], b"x" * size
        for _ in range(rounds):
            time.sleep(0.3)
            before = time.process_time()
            for client in clients:
                client.send(piece)
            took.append(time.process_time() - before)
        for client in clients:
            client.close()
        reader.wait()
    return statistics.median(took)


def measure_viewers():
    with start(4, f"max_clients = {VIEWERS + 20}, {VIEWERS + 20}, {VIEWERS + 20}") as gateway:
        web = outlet_pid(gateway, "web")
        read_streams(open_streams(gateway.web, 1), 2)
        before = cpu_s(web)
        time.sleep(5)
        alone = (cpu_s(web) - before) / 5
        streams = open_streams(gateway.web, VIEWERS)
        read_streams(streams, 3)
        before = cpu_s(web)
        rate = read_streams(streams, SECONDS)
        used = (cpu_s(web) - before) / SECONDS
        turns = -(-VIEWERS // 250)  # of so many each has its values every so many seconds: outlets/web/stream.c
        print(f"  {VIEWERS} live viewers of 4 packs: {(used - alone) * 1e3:.2f} ms a tick (a second), {memory_mib(web):.1f} MiB, "
              f"{rate:.0f} bytes a second to each; {VIEWERS // turns} bare sends of {rate * turns:.0f} bytes "
              f"{bare_sends(VIEWERS // turns, int(rate * turns)) * 1e3:.2f} ms")
        for stream in streams:
            stream.close()


def modbus_times(port, seconds):
    request, times = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 290, 60), []
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.perf_counter()
            client.sendall(request)
            assert client.recv(300)
            times.append(time.perf_counter() - begin)
            time.sleep(0.002)
    times.sort()
    return f"median {times[len(times) // 2] * 1e3:.2f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.2f} ms, worst {times[-1] * 1e3:.1f} ms"


def measure_fleet(folder):
    with start(64, web=False) as gateway:
        without = modbus_times(gateway.port, SECONDS / 2)
    with start(64, history=os.path.join(folder, "fleet.db")) as gateway:
        streams = open_streams(gateway.web, 10, ",".join(f"p{n}" for n in range(1, 9)))
        read_streams(streams, 5)
        pids = {kind: outlet_pid(gateway, kind) for kind in ("web", "history")}
        before = {kind: cpu_s(pid) for kind, pid in pids.items()}
        read_streams(streams, SECONDS)
        used = {kind: (cpu_s(pid) - before[kind]) / SECONDS * 100 for kind, pid in pids.items()}
        memory = {kind: memory_mib(pid) for kind, pid in pids.items()}
        print(f"  64 packs, ten viewers: web {used['web']:.2f} %, history {used['history']:.2f} % of a core; web {memory['web']:.1f} MiB, "
              f"history {memory['history']:.1f} MiB")
        beside = subprocess.Popen([sys.executable, "-c", "import socket,sys,time\ns=[]\nfor a in range(10):\n c=socket.create_connection("
                                   f"('127.0.0.1',{gateway.web}));c.sendall(b'GET /api/v1/events HTTP/1.1\\r\\nHost: 127.0.0.1:{gateway.web}"
                                   "\\r\\n\\r\\n');s.append(c)\nwhile True:\n [c.recv(65536) for c in s]"])
        print(f"  Modbus answers: without page and history {without}; with ten viewers {modbus_times(gateway.port, SECONDS / 2)}")
        beside.kill()
        beside.wait()
        for stream in streams:
            stream.close()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    print("The page and the history:", flush=True)
    with tempfile.TemporaryDirectory(prefix="packgate-bench-") as folder:
        measure_written(folder, 4)
        measure_written(folder, 64)
        measure_history(folder, 4, DAYS)
        measure_history(folder, 64, max(2, DAYS // 60))
        measure_viewers()
        measure_fleet(folder)


if __name__ == "__main__":
    main()
