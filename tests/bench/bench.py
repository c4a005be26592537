# SPDX-License-Identifier: MIT
"""`make bench`: how fast packgate answers, how close to the wire it polls, what memory and processor time it takes, how
soon a value is there. Nothing here passes or fails by a time; it fails when something cannot be measured. Argument: the
folder with the programs."""

import contextlib
import json
import mmap
import os
import platform
import queue
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
PACKGATE = os.path.join(BUILD, "packgate")
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))

PATIENCE = 60    # seconds until a program that says nothing counts as hung
FILES = 4096     # descriptors that a server with 1000 clients may need
CLIENTS = 1000
FLEET = 64
BASE, COUNT = 290, 20
DELAY_MS = 40    # of an emulated BMS, from request to reply

SCENARIOS = ((1, 1), (10, 1), (100, 1), (CLIENTS, 1), (10, 16))  # connections, requests in flight on each

# The server and the generator get a processor each, where there are two, so that rounds are alike.
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPUS, LOAD_CPUS = ({CPUS[0]}, {CPUS[1]}) if len(CPUS) > 1 else (set(CPUS), set(CPUS))


def program(name):
    return os.path.join(BUILD, "tests", "bench", name)


@contextlib.contextmanager
def running_on(cpus):
    """What is started meanwhile stays on these processors, with all of its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# ---- the registers that all servers serve ----

def float_words(number):
    """Low word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", number))
    return [low, high]


# A pack of four cells, held fixed; all of it is exact in every type, so the registers follow from the map's page alone.
PACK_OPTIONS = ("profile=fixed,cells=4,temps=1,soc_percent=55,voltage_v=13,current_a=-16,"
                "cell_mv.1=3300,cell_mv.2=3200,cell_mv.3=3250,cell_mv.4=3250,temp_c.1=25")
WORDS = ([55, 13, -16 & 0xFFFF, -208 & 0xFFFF, 100, 3250, 3300, 3200]
         + float_words(25) + float_words(13) + float_words(-16) + float_words(-208) + [0, 1, 1, 0])
WORD_ARGUMENTS = [str(number) for number in [BASE] + WORDS]
assert len(WORDS) == COUNT


# ---- processes ----

class Server:
    """A running program; the lines that it writes can be awaited."""

    cpus = SERVER_CPUS

    def __init__(self, arguments, environment=None):
        self.lines = []
        self.queue = queue.Queue()
        with running_on(self.cpus):
            self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        threading.Thread(target=self._read, daemon=True).start()
        self.find_port()

    def find_port(self):
        self.port = int(self.wait_for(r"listening on (?:tcp://)?127\.0\.0\.1:(\d+)")[1])

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(line.decode(errors="replace").rstrip("\n"))
        self.queue.put(None)

    def wait_for(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.stop()
                sys.exit(f"{self.process.args[0]} does not say {pattern!r}:\n" + "\n".join(self.lines[-20:]))
            self.lines.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def await_packs(self, count):
        waiting = {str(n) for n in range(1, count + 1)}
        while waiting:
            waiting.discard(self.wait_for(r"pack (\d+): ")[1])

    def is_alive(self):
        return self.process.poll() is None

    def status(self, key):
        """A number of /proc/PID/status: "VmRSS", "voluntary_ctxt_switches"."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M)[1])

    def cpu_s(self):
        return time.clock_gettime(~self.process.pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a process id

    def stop(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def simulated(packs):
    """Lines with a pack on each: the first is the fixed one."""
    return [("sim:" + (PACK_OPTIONS if n == 1 else f"seed={n}"), ("topbms", "daly")[n % 2])
            for n in range(1, packs + 1)]


class Packgate(Server):
    """`packgate run` once all packs have told their values. Lines: port and protocol of each, with a pack on it; the
    first is unit 1."""

    def __init__(self, lines=simulated(1), clients=CLIENTS, environment=None, more=""):
        self.folder = tempfile.mkdtemp(prefix="packgate-bench-")
        path = os.path.join(self.folder, "packgate.ini")
        with open(path, "w") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = none\nmax_clients = {clients}\n{more}")
            for n, (port, protocol) in enumerate(lines, 1):
                file.write(f"[line {n}]\nport = {port}\nprotocol = {protocol}\n[pack {n}]\nline = {n}\nunit = {n}\n")
        try:
            super().__init__([PACKGATE, "run", "-c", path], environment)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        self.await_packs(len(lines))

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def load(server, connections=1, depth=1, seconds=None, rate=None, units=1):
    """One run of the generator, as a dictionary; only "error" in it when a connection was not answered even once."""
    arguments = [program("load"), "-p", str(server.port), "-P", str(server.process.pid), "-c", str(connections),
                 "-d", str(depth), "-s", str(seconds or SECONDS), "-u", str(units)]
    if rate:
        arguments += ["-r", str(rate)]
    with running_on(LOAD_CPUS):
        result = subprocess.run(arguments + WORD_ARGUMENTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=PATIENCE + 2 * (seconds or SECONDS))
    return json.loads(result.stdout) if result.returncode == 0 else {"error": result.stderr.decode().strip()}


def read_registers(server, unit, address, count):
    """Function 3, by hand."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(struct.pack(">HHHBBHH", 1, 0, 6, unit, 3, address, count))
        reply = b""
        while len(reply) < 9 + 2 * count:
            part = connection.recv(4096)
            if not part or len(reply) + len(part) >= 9 and (reply + part)[7] != 3:
                sys.exit(f"registers {address}+{count} of unit {unit} cannot be read")
            reply += part
    return struct.unpack(f">{count}H", reply[9:9 + 2 * count])


def output_of(arguments):
    """What a program prints, in one line; empty when it is not there or fails."""
    try:
        result = subprocess.run(arguments, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return ""
    return result.stdout.decode().strip() if result.returncode == 0 else ""


# ---- tables ----

def print_table(title, columns, rows):
    """Rows of texts; a row with fewer texts than columns says in its last one why there are no more."""
    full = [row for row in rows if len(row) == len(columns)]
    widths = [max([len(column)] + [len(row[i]) for row in full]) for i, column in enumerate(columns)]
    widths[0] = max([widths[0]] + [len(row[0]) for row in rows])
    print(f"\n{title}\n")
    for row in [columns] + rows:
        cells = [row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:])]
        if len(row) < len(columns):
            cells = [row[0].ljust(widths[0]), row[1]]
        print("  " + "  ".join(cells).rstrip())
    sys.stdout.flush()


def section(letter, text):
    print(f"\n\n{letter}. {text}\n" + "=" * (len(text) + 3), flush=True)


def describe_machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    version = output_of([PACKGATE, "--version"])
    commit = output_of(["git", "-C", HERE, "describe", "--always", "--dirty"])
    print(f"{version} {commit} on {model[1] if model else platform.machine()}, {len(CPUS)} processors, "
          f"Linux {platform.release()}, load average {os.getloadavg()[0]:.2f}")
    print("Where other work goes on, trust CPU times and ratios more than rates and percentiles.")


# ---- A. the server ----

def start_floor():
    return Server([program("floor")] + WORD_ARGUMENTS)


# The same registers as a view, on a port of its own, which is the one that is told first.
VIEW = "[view copy]\nsource = 1\nunit = 1\nlisten = 127.0.0.1:0\nword_order = little\n" + "".join(
    f"register = {value} -> {BASE + offset} {kind}\n" for offset, value, kind in (
        (0, "soc_percent", "u16"), (1, "voltage_v", "u16"), (2, "current_a", "s16"), (3, "power_w", "s16"),
        (4, "cell_delta_mv", "u16"), (5, "cell_avg_mv", "u16"), (6, "cell_max_mv", "u16"), (7, "cell_min_mv", "u16"),
        (8, "temp_avg_c", "float32"), (10, "voltage_v", "float32"), (12, "current_a", "float32"),
        (14, "power_w", "float32"), (16, "0", "u16"), (17, "discharge_mos", "u16"), (18, "charge_mos", "u16"),
        (19, "0", "u16")))

SERVERS = {
    "floor": start_floor,
    "packgate": Packgate,
    "packgate, a view": lambda: Packgate(more=VIEW),
}


def complaint(runs):
    """What is wrong with the answers of these runs; None: nothing."""
    for run in runs:
        if "error" in run:
            return run["error"]
    for key, text in (("wrong", "wrong answers"), ("lost", "connections lost"), ("unanswered", "requests unanswered")):
        total = sum(run[key] for run in runs)
        if total:
            return f"{total} {text}"
    return None if all(run["requests"] for run in runs) else "no answers"


def median(runs, value):
    return statistics.median(value(run) for run in runs)


def rate(run):
    return run["requests"] / run["seconds"]


def cpu_us(run):
    return run["cpu_s"] / run["requests"] * 1e6


def server_row(name, runs, floor_runs):
    trouble = complaint(runs)
    if trouble:
        return [name, trouble]
    def of_floor(value):
        if complaint(floor_runs):
            return "-"
        return f"{statistics.median(value(a) / value(b) for a, b in zip(runs, floor_runs)):.2f}"
    return [name, f"{median(runs, rate):.0f}", of_floor(rate), f"{median(runs, lambda run: run['p50_us']):.0f}",
            f"{median(runs, lambda run: run['p99_us']):.0f}", f"{median(runs, cpu_us):.2f}", of_floor(cpu_us),
            f"{median(runs, lambda run: 100 * run['cpu_s'] / run['seconds']):.0f}",
            f"{max(run['rss_kib'] for run in runs) / 1024:.1f}"]


def in_rounds(servers, connections, depth=1, rate=None):
    """What the generator found, {name: runs}; a round is one run of each server."""
    runs = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            runs[name].append(load(server, connections, depth, rate=rate))
    return runs


def compare_servers(servers, connections, depth):
    runs = in_rounds(servers, connections, depth)
    rows = [server_row(name, runs[name], runs["floor"]) for name in runs]
    title = f"{connections} connection{'s' * (connections > 1)}, {depth} request{'s' * (depth > 1)} in flight on each"
    print_table(title, ["server", "requests/s", "of floor", "p50 µs", "p99 µs", "CPU µs/request", "of floor", "CPU %",
                        "RSS MiB"], rows)


def bench_server():
    section("A", "Modbus TCP server")
    print(f"Function 3, {COUNT} registers at {BASE}; each answer is compared. {ROUNDS} rounds of {SECONDS:g} s, one\n"
          "server after the other; medians. The floor does one recv and one send of canned bytes; packgate polls a\n"
          "simulated pack meanwhile; a view is these registers, chosen one by one. CPU %: how busy the server kept its\n"
          "processor; below 100 it could do more than the generator asked of it.")
    servers = {}
    try:
        for name, start in SERVERS.items():
            servers[name] = start()
        for connections, depth in SCENARIOS:
            compare_servers(servers, connections, depth)
    finally:
        for server in servers.values():
            server.stop()


def map_row(name):
    text = subprocess.run([PACKGATE, "map", "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
    return next(row for row in json.loads(text) if row["name"] == name)


def counter(server, packs, name):
    """Of a counter of all packs."""
    row = map_row(name)
    words = [read_registers(server, unit, row["address"], row["count"]) for unit in range(1, packs + 1)]
    return sum(low | high << 16 for low, high in words)


def of_floors(runs, floor_runs, key):
    return f"{statistics.median(run[key] / floor[key] for run, floor in zip(runs, floor_runs)):.2f}"


def while_polling_row(name, per_second, runs, floor_runs, cycles):
    trouble = complaint(runs) or complaint(floor_runs)
    if trouble:
        return [name, trouble]
    return [name, f"{per_second}/s" if per_second else "at will", f"{median(runs, rate):.0f}", cycles,
            f"{median(runs, lambda run: run['p50_us']):.0f}", of_floors(runs, floor_runs, "p50_us"),
            f"{median(runs, lambda run: run['p99_us']):.0f}", of_floors(runs, floor_runs, "p99_us"),
            f"{max(run['max_us'] for run in runs):.0f}",
            f"{median(runs, lambda run: 100 * run['cpu_s'] / run['seconds']):.1f}"]


def bench_while_polling():
    servers, rows = {"floor": start_floor()}, []
    packs = {"1 pack": 1, "64 packs": FLEET}
    try:
        servers.update((name, Packgate(simulated(count))) for name, count in packs.items())
        for per_second in (1000, None):
            before, start = {name: counter(servers[name], packs[name], "polls") for name in packs}, time.monotonic()
            runs = in_rounds(servers, 100, rate=per_second)
            seconds = time.monotonic() - start
            cycles = {name: (counter(servers[name], packs[name], "polls") - before[name]) / seconds for name in packs}
            rows += [while_polling_row(name, per_second, runs[name], runs["floor"],
                                       f"{cycles[name]:.1f}" if name in cycles else "-") for name in servers]
    finally:
        for server in servers.values():
            server.stop()
    print_table("100 connections: packgate while it polls simulated packs once a second in the same process, each on a "
                f"line of its own,\nand the floor; {ROUNDS} rounds of {SECONDS:g} s, medians, max of all rounds",
                ["polled", "asked", "requests/s", "cycles/s", "p50 µs", "of floor", "p99 µs", "of floor", "max µs",
                 "CPU %"], rows)


# ---- B. polling ----

def json_lines(arguments):
    result = subprocess.run(arguments, stdout=subprocess.PIPE, timeout=PATIENCE + 100 * SECONDS)
    if result.returncode:
        sys.exit(f"{arguments[0]} ended with status {result.returncode}")
    return [json.loads(line) for line in result.stdout.decode().splitlines()]


def line_row(row):
    name = row["driver"] + ("" if row["gap_ms"] or row["talks"] else ", no gap")
    if not row["cycles"]:
        return [name, f"no values ({row['timeouts']} requests unanswered, {row['damaged']} frames damaged)"]
    least = row["wire_s"] + row["gaps_s"]
    return [name, str(row["baud"]), "talks" if row["talks"] else f"{row['requests']:.1f}", f"{row['bytes']:.0f}",
            f"{1e3 * row['wire_s']:.1f}", f"{1e3 * row['gaps_s']:.0f}", f"{1e3 * row['cycle_s']:.1f}",
            f"{row['cycle_s'] / row['wire_s']:.3f}", f"{row['cycle_s'] / least:.3f}", f"{row['first_s']:.2f}",
            str(row["repeats"])]


def decode_row(row):
    if "error" in row:
        return [row["driver"], row["error"]]
    return [row["driver"], str(row["requests"]), str(row["reply_bytes"]), f"{row['decode_us']:.2f}",
            f"{row['trickle_us']:.2f}", f"{row['cycle_us']:.2f}"]


def shared_row(row):
    return [row["driver"], str(row["baud"]), str(row["answering"]), str(row["silent"]), f"{row['first_s']:.1f}",
            f"{row['interval_s']:.2f}", f"{row['longest_s']:.1f}", f"{row['stale_percent']:.1f}"]


def bench_polling():
    section("B", "Polling")
    seconds = max(5.0, 80 * SECONDS)
    *rows, total = json_lines([program("polling"), str(seconds), str(DELAY_MS)])
    print("Emulated serial lines of the protocols' usual baud rates, all polled at the same time by the gateway's\n"
          f"own code for {seconds:g} s; a reply begins {DELAY_MS} ms after its request. That takes "
          f"{total['cpu_percent']:.1f} % of one processor\nfor {total['lines']} lines.")
    print_table("One pack on a line, cycle after cycle without a pause; means per cycle. least: the bytes' time on\n"
                "the wire and the delays; gaps: the silence that the protocol wants before each request",
                ["driver", "baud", "requests", "bytes", "least ms", "gaps ms", "cycle ms", "of least", "of least+gaps",
                 "first after s", "repeats"],
                [line_row(row) for row in rows if "answering" not in row])
    print_table("Several packs on one line, poll = 1s and stale_after = 10s (the defaults), some of them silent; of\n"
                "those that answer: when all had values, how often they have new ones, the longest wait for them, the\n"
                "time that they were too old to be served",
                ["driver", "baud", "answer", "silent", "first after s", "interval s", "longest s", "stale %"],
                [shared_row(row) for row in rows if "answering" in row])
    print_table("CPU time of one cycle in µs: to decode its replies whole, byte by byte, and from request to registers",
                ["driver", "requests", "reply bytes", "decode", "byte by byte", "all"],
                [decode_row(row) for row in json_lines([program("decode")])])


# ---- C. memory ----

def memory_row(name, server, connections):
    return [name, str(connections), f"{server.status('VmRSS') / 1024:.2f}", f"{server.status('RssAnon') / 1024:.2f}"]


def bench_memory():
    rows = []
    server = Packgate(simulated(4), 256)
    try:
        rows.append(memory_row("4 packs, max_clients 256 (default), at rest", server, 0))
        cpu, switches, start = server.cpu_s(), server.status("voluntary_ctxt_switches"), time.monotonic()
        time.sleep(max(3.0, 3 * SECONDS))
        used, seconds = server.cpu_s() - cpu, time.monotonic() - start
        wakes = (server.status("voluntary_ctxt_switches") - switches) / seconds
    finally:
        server.stop()
    server = Packgate(simulated(4))
    try:
        rows.append(memory_row(f"4 packs, max_clients {CLIENTS}, at rest", server, 0))
        run = load(server, CLIENTS)
        rows.append(memory_row("the same while all of them ask", server, CLIENTS) if not complaint([run])
                    else ["the same while all of them ask", complaint([run])])
        if not complaint([run]):
            rows[-1][2] = f"{run['rss_kib'] / 1024:.2f}"
    finally:
        server.stop()
    print_table("Memory in MiB: resident in all, and of that its own (not libraries and program)",
                ["packgate", "connections", "resident", "its own"], rows)
    print(f"\n  At rest, 4 simulated packs polled each second: {100 * used / seconds:.2f} % of one processor, "
          f"{wakes:.0f} wake-ups/s.")


def function_names(frames):
    """The functions of our own program in a backtrace, innermost first."""
    own = re.escape(PACKGATE)
    offsets = [match[1] for match in (re.match(own + r"\(\+(0x[0-9a-f]+)\)", frame) for frame in frames) if match]
    return output_of(["addr2line", "-fs", "-e", PACKGATE] + offsets).splitlines()[::2] if offsets else []


def traces(server):
    """Where the allocations came from that were to be shown: {text: how many}."""
    found, frames = {}, []
    while not server.queue.empty():
        line = server.queue.get() or ""
        if line.endswith("]") and "[0x" in line:
            frames.append(line)
        elif frames and not line:
            library = next((os.path.basename(f.split("(")[0]) for f in frames[2:]), "?")
            text = " < ".join([library] + [name for name in function_names(frames) if name not in ("main", "_start")])
            found[text] = found.get(text, 0) + 1
            frames = []
    return found


def bench_allocations():
    folder = tempfile.mkdtemp(prefix="packgate-bench-")
    path = os.path.join(folder, "counts")
    with open(path, "wb") as file:
        file.truncate(mmap.PAGESIZE)
    with open(path, "r+b") as file:
        counts = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    server = Packgate(simulated(4), CLIENTS, {"LD_PRELOAD": program("malloc_count.so"), "MALLOC_COUNT": path})
    try:
        # libev's tables grow once, with the highest descriptor and with what happens in one turn of the loop.
        for _ in range(2):
            load(server, CLIENTS)
        read_registers(server, 1, BASE, COUNT)
        seconds = max(3.0, 6 * SECONDS)
        counts[16:24] = struct.pack("=Q", 40)
        before = struct.unpack("=QQ", counts[:16])
        run = load(server, 100, 1, seconds)
        counts[16:24] = struct.pack("=Q", 0)
        got, freed = (after - earlier for after, earlier in zip(struct.unpack("=QQ", counts[:16]), before))
    finally:
        server.stop()
        shutil.rmtree(folder)
    trouble = complaint([run]) or (None if before[0] else "the counter was not loaded")
    if trouble:
        print(f"\n  Allocations: not counted, {trouble}")
        return
    print(f"\n  Allocations in {run['seconds']:.1f} s in which 4 packs were polled and 100 clients connected, asked "
          f"{run['requests']} times\n  and left: {got} (freed: {freed}); expected: 0.")
    for text, count in traces(server).items():
        print(f"    {count} from {text}")


# ---- D. a fleet ----

FLEET_CLIENTS, FLEET_RATE = 10, 100  # in all: each asks ten times a second

# What one-pack lines are likely to speak; of a fleet of all of them each has its share.
MIXED = ("daly-d2", "topbms", "jk-pb", "jbd", "daly", "jk02", "jbd-up", "daly-p81")


class Emulated(Server):
    """One BMS behind a TCP port, with the values of WORDS."""
    cpus = LOAD_CPUS

    def __init__(self, protocol):
        super().__init__([PACKGATE, "simulate", "--protocol", protocol, "--tcp", "0", "--options", PACK_OPTIONS])


@contextlib.contextmanager
def stopping(servers):
    try:
        yield servers
    finally:
        for server in servers:
            server.stop()


def fleet_row(name, protocols, start):
    """The gateway that `start` makes of the ports of so many BMS, in its everyday."""
    with stopping([]) as running:
        for n in range(FLEET):
            running.append(Emulated(protocols[n % len(protocols)]))
        server = start([bms.port for bms in running])
        running.insert(0, server)
        time.sleep(2)  # the first cycles ask for what is asked once
        seconds = max(10, 20 * SECONDS)
        polls, begin = counter(server, FLEET, "polls"), time.monotonic()
        run = load(server, FLEET_CLIENTS, 1, seconds, FLEET_RATE, FLEET)
        cycles = (counter(server, FLEET, "polls") - polls) / (time.monotonic() - begin)
        timeouts = counter(server, FLEET, "timeouts")
    trouble = complaint([run])
    if not trouble and abs(cycles - FLEET) > FLEET / 20:
        trouble = f"{cycles:.1f} cycles/s instead of {FLEET}"
    if trouble:
        return [name, trouble]
    return [name, f"{cycles:.1f}", str(timeouts), f"{rate(run):.0f}", f"{100 * run['cpu_s'] / run['seconds']:.2f}",
            f"{run['rss_kib'] / 1024:.1f}", f"{run['p50_us']:.0f}", f"{run['p99_us']:.0f}", f"{run['max_us']:.0f}"]


def packgate_on(protocols):
    return lambda ports: Packgate([(f"tcp://127.0.0.1:{port}", protocols[n % len(protocols)])
                                   for n, port in enumerate(ports)], 256)


def bench_fleet():
    section("D", "A fleet")
    print(f"{FLEET} BMS behind a TCP connection each, asked once a second; {FLEET_CLIENTS} clients with 10 requests a\n"
          f"second each ({COUNT} registers at {BASE}, unit after unit; each answer is compared). CPU %: of one\n"
          "processor, the gateway alone; BMS and clients are processes of their own.")
    one = ("daly-d2",)
    rows = [fleet_row("packgate, daly-d2", one, packgate_on(one))]
    rows.append(fleet_row(f"packgate, {len(MIXED)} protocols", MIXED, packgate_on(MIXED)))
    print_table("While packs are polled and clients ask",
                ["gateway", "cycles/s", "timeouts", "requests/s", "CPU %", "RSS MiB", "p50 µs", "p99 µs", "max µs"],
                rows)


# ---- E. from the BMS to the value ----

LATENCY_PACKS = 3
LATENCY_DRIVERS = ("daly-d2", "jk-pb", "topbms", "vedirect")


class Latency(Server):
    """The program that is BMS, clients and target of the pushes."""
    cpus = LOAD_CPUS

    def __init__(self):
        super().__init__([program("latency"), str(LATENCY_PACKS), *LATENCY_DRIVERS])

    def find_port(self):
        self.bms = self.wait_for("^bms (.*)")[1].split()
        self.target = self.wait_for("^target (.*)")[1]

    def measure(self, gateway, seconds, clients):
        self.process.stdin.write(f"{gateway.port} {seconds} {clients:d}\n".encode())
        self.process.stdin.flush()
        return [json.loads(self.wait_for(r"^{.*")[0]) for _ in LATENCY_DRIVERS]


def latency_texts(figures):
    if not figures["samples"]:
        return ["0", "-", "-", "-"]
    return [str(figures["samples"])] + [f"{figures[key]:.0f}" for key in ("p50_us", "p99_us", "max_us")]


def bench_latency():
    section("E", "From the BMS to the value")
    with stopping([]) as running:
        bench = Latency()
        running.append(bench)
        lines = [(f"tcp://127.0.0.1:{port}", LATENCY_DRIVERS[n // LATENCY_PACKS]) for n, port in enumerate(bench.bms)]
        writes = [f"write = {n}.voltage_v -> {n} u16 scale 10\n" for n in range(1, len(lines) + 1)]
        gateway = Packgate(lines, 256, more=f"poll = 100ms\n[push bench]\ntarget = tcp://127.0.0.1:{bench.target}\n"
                                            f"interval = 1h on_change\n{''.join(writes)}")
        running.insert(0, gateway)
        time.sleep(2)
        asked, quiet = (bench.measure(gateway, max(8, 16 * SECONDS), clients) for clients in (True, False))
    print("µs from right before the last reply of a cycle is sent until a client has an answer with the new value\n"
          "(its own request and answer included), and until the request that pushes the value has arrived.\n"
          f"{len(lines)} BMS over TCP, polled as often as their protocols allow, up to 10 times a second; none or a\n"
          "client for each, which asks without a pause from a reply of its BMS until it gets the new value.")
    columns = ["driver", "samples", "median", "p99", "worst"]
    print_table("To a client's answer", columns, [[row["driver"]] + latency_texts(row["read"]) for row in asked])
    print_table("To the push request, while clients ask", columns,
                [[row["driver"]] + latency_texts(row["pushed"]) for row in asked])
    print_table("To the push request, while nobody asks", columns,
                [[row["driver"]] + latency_texts(row["pushed"]) for row in quiet])


# ---- F. damaged replies ----

DAMAGED = int(os.environ.get("BENCH_DAMAGED", "20000"))


def bench_damage():
    section("F", "Damaged replies")
    rows = []
    for line in subprocess.run([program("damage"), str(DAMAGED)], stdout=subprocess.PIPE, check=True).stdout.splitlines():
        row = json.loads(line)
        rows.append([f"{row['driver']} {row['variant']}"] +
                    [str(row[key]) for key in ("damaged", "passed", "published", "wrong", "unknown")])
    print("Replies of a pack that stands still, damaged on the way: bits, bytes, bursts, lost and made up bytes, errors that\n"
          "no sum notices; alone, in pairs and in storms. Passed: whole to the framer, an answer to the decoder. Wrong:\n"
          "cycles with a value that the pack never said. Unknown: without one that it said, outside of storms.\n"
          "BENCH_DAMAGED is the number for each driver and variant.")
    print_table("On the whole way of a poll", ["driver", "damaged", "passed", "published", "wrong", "unknown"], rows)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"the limit of open files is {hard}; {FILES} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    start = time.monotonic()
    describe_machine()
    bench_server()
    bench_while_polling()
    bench_polling()
    section("C", "Memory")
    bench_memory()
    bench_allocations()
    bench_fleet()
    bench_latency()
    bench_damage()
    print(f"\n{time.monotonic() - start:.0f} s; BENCH_SECONDS={SECONDS:g} BENCH_ROUNDS={ROUNDS}")


main()
