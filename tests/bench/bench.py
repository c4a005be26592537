# SPDX-License-Identifier: MIT
"""`make bench`: how fast packgate answers, how close to the wire it polls, what memory it takes. Nothing here passes or
fails by a time; it fails when something cannot be measured. Argument: the folder with the programs."""

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

    def __init__(self, arguments, environment=None):
        self.lines = []
        self.queue = queue.Queue()
        with running_on(SERVER_CPUS):
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        threading.Thread(target=self._read, daemon=True).start()
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


class Packgate(Server):
    """`packgate run` once all packs have told their values; the first is the fixed one, of unit 1."""

    def __init__(self, packs=1, clients=CLIENTS, environment=None, protocols=("topbms", "daly")):
        self.folder = tempfile.mkdtemp(prefix="packgate-bench-")
        path = os.path.join(self.folder, "packgate.ini")
        with open(path, "w") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = none\nmax_clients = {clients}\n")
            for n in range(1, packs + 1):
                options = PACK_OPTIONS if n == 1 else f"seed={n}"
                protocol = protocols[n % len(protocols)]
                file.write(f"[line {n}]\nport = sim:{options}\nprotocol = {protocol}\n"
                           f"[pack {n}]\nline = {n}\nunit = {n}\n")
        try:
            super().__init__([PACKGATE, "run", "-c", path], environment)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        waiting = {str(n) for n in range(1, packs + 1)}
        while waiting:
            waiting.discard(self.wait_for(r"pack (\d+): ")[1])

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def load(server, connections=1, depth=1, seconds=None, rate=None):
    """One run of the generator, as a dictionary; only "error" in it when a connection was not answered even once."""
    arguments = [program("load"), "-p", str(server.port), "-P", str(server.process.pid), "-c", str(connections),
                 "-d", str(depth), "-s", str(seconds or SECONDS)]
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

def find_pymodbus():
    """Debian's package belongs to Debian's Python."""
    version = output_of(["/usr/bin/python3", "-c", "import pymodbus; print(pymodbus.__version__)"])
    return version, "not installed (Debian: python3-pymodbus)"


def find_jsmodbus():
    version = output_of(["node", "-e", "console.log(require('jsmodbus/package.json').version, 'on node', process.version)"])
    return version, "not installed (npm install jsmodbus, and its folder in NODE_PATH)"


def built():
    return "this build", ""


# name, how to find it (version, or else why not), how to start it
COMPETITORS = (
    ("floor", built, lambda: Server([program("floor")] + WORD_ARGUMENTS)),
    ("packgate", built, Packgate),
    ("textbook", built, lambda: Server([program("textbook")] + WORD_ARGUMENTS)),
    ("pymodbus", find_pymodbus,
     lambda: Server(["/usr/bin/python3", os.path.join(HERE, "pymodbus_server.py")] + WORD_ARGUMENTS)),
    ("jsmodbus", find_jsmodbus,
     lambda: Server(["node", os.path.join(HERE, "jsmodbus_server.js")] + WORD_ARGUMENTS)),
)


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


def compare_servers(servers, missing, connections, depth):
    runs = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            runs[name].append(load(server, connections, depth))
    rows = [server_row(name, runs[name], runs["floor"]) if name in servers else [name, missing[name]]
            for name, _, _ in COMPETITORS]
    title = f"{connections} connection{'s' * (connections > 1)}, {depth} request{'s' * (depth > 1)} in flight on each"
    print_table(title, ["server", "requests/s", "of floor", "p50 µs", "p99 µs", "CPU µs/request", "of floor", "CPU %",
                        "RSS MiB"], rows)


def bench_server():
    section("A", "Modbus TCP server")
    print(f"Function 3, {COUNT} registers at {BASE}; each answer is compared. {ROUNDS} rounds of {SECONDS:g} s, one server\n"
          "after the other; medians. The floor does one recv and one send of canned bytes; the textbook server is the\n"
          "select loop of libmodbus' manual; packgate polls a simulated pack meanwhile. CPU %: how busy the server kept\n"
          "its processor; below 100 it could do more than the generator asked of it.")
    servers, missing = {}, {}
    try:
        for name, find, start in COMPETITORS:
            version, why_not = find()
            if version:
                servers[name] = start()
                if find is not built:
                    print(f"{name}: {version}")
            else:
                missing[name] = why_not
        for connections, depth in SCENARIOS:
            compare_servers(servers, missing, connections, depth)
    finally:
        for server in servers.values():
            server.stop()


def total_polls(server, packs, row):
    total = 0
    for unit in range(1, packs + 1):
        words = read_registers(server, unit, row["address"], row["count"])
        total += words[0] | words[1] << 16
    return total


def polling_row(packs, polls_row, connections, per_second):
    server = Packgate(packs)
    seconds = max(3.0, 3 * SECONDS)
    try:
        polls, start = total_polls(server, packs, polls_row), time.monotonic()
        run = load(server, connections, 1, seconds, per_second)
        cycles = (total_polls(server, packs, polls_row) - polls) / (time.monotonic() - start)
    finally:
        server.stop()
    name = f"{packs} packs" if packs > 1 else "1 pack"
    trouble = complaint([run])
    if trouble:
        return [name, trouble]
    return [name, f"{per_second}/s" if per_second else "at will", f"{rate(run):.0f}", f"{cycles:.1f}",
            f"{run['p50_us']:.0f}", f"{run['p99_us']:.0f}", f"{run['max_us']:.0f}",
            f"{100 * run['cpu_s'] / run['seconds']:.1f}"]


def bench_while_polling():
    text = subprocess.run([PACKGATE, "map", "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
    polls = [row for row in json.loads(text) if row["name"] == "polls"][0]
    rows = [polling_row(packs, polls, 100, per_second) for per_second in (1000, None) for packs in (1, 64)]
    print_table("packgate, 100 connections, while it polls simulated packs in the same process (each on a line of its own)",
                ["polled", "asked", "requests/s", "cycles/s", "p50 µs", "p99 µs", "max µs", "CPU %"], rows)


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
    print(f"Emulated serial lines of the protocols' usual baud rates, all polled at the same time by the gateway's own code\n"
          f"for {seconds:g} s; a reply begins {DELAY_MS} ms after its request. That takes {total['cpu_percent']:.1f} % of one "
          f"processor for {total['lines']} lines.")
    print_table("One pack on a line, cycle after cycle without a pause; means per cycle. least: the bytes' time on the wire "
                "and the delays;\ngaps: the silence that the protocol wants before each request",
                ["driver", "baud", "requests", "bytes", "least ms", "gaps ms", "cycle ms", "of least", "of least+gaps",
                 "first after s", "repeats"],
                [line_row(row) for row in rows if "answering" not in row])
    print_table("Several packs on one line, poll = 1s and stale_after = 10s (the defaults), some of them silent; of those that "
                "answer: when\nall had values, how often they have new ones, the longest wait for them, the time that they were "
                "too old to be served",
                ["driver", "baud", "answer", "silent", "first after s", "interval s", "longest s", "stale %"],
                [shared_row(row) for row in rows if "answering" in row])
    print_table("CPU time of one cycle, in µs: to decode its replies whole, and byte by byte; and from request to registers",
                ["driver", "requests", "reply bytes", "decode", "byte by byte", "all"],
                [decode_row(row) for row in json_lines([program("decode")])])


# ---- C. memory ----

def memory_row(name, server, connections):
    return [name, str(connections), f"{server.status('VmRSS') / 1024:.2f}", f"{server.status('RssAnon') / 1024:.2f}"]


def bench_memory():
    rows = []
    server = Packgate(4, 256)
    try:
        rows.append(memory_row("4 packs, max_clients 256 (default), at rest", server, 0))
        cpu, switches, start = server.cpu_s(), server.status("voluntary_ctxt_switches"), time.monotonic()
        time.sleep(max(3.0, 3 * SECONDS))
        used, seconds = server.cpu_s() - cpu, time.monotonic() - start
        wakes = (server.status("voluntary_ctxt_switches") - switches) / seconds
    finally:
        server.stop()
    server = Packgate(4, CLIENTS)
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
    server = Packgate(4, CLIENTS, {"LD_PRELOAD": program("malloc_count.so"), "MALLOC_COUNT": path})
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
    print(f"\n{time.monotonic() - start:.0f} s; BENCH_SECONDS={SECONDS:g} BENCH_ROUNDS={ROUNDS}")


main()
