# SPDX-License-Identifier: MIT
"""Shared by the end-to-end tests: processes whose output can be awaited, the register map as the program prints it, the
client of libmodbus and mbpoll, and a TCP server that replays exchange files. Tests print TAP."""

import contextlib
import ctypes
import functools
import itertools
import json
import os
import queue
import re
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PACKGATE = os.path.abspath(sys.argv[1])
PATIENCE = 120  # seconds; a busy machine is slow, not broken


def until(ask, wanted=bool, patience=PATIENCE, bears=()):
    """Asks until the answer is as wanted; returns it. Errors of the kinds that it `bears` are no answer yet. The longer it takes the
    rarer are the questions, which cost the processor that others wait for."""
    begin = time.monotonic()
    while True:
        try:
            if wanted(answer := ask()):
                return answer
        except bears as error:
            answer = error
        waited = time.monotonic() - begin
        assert waited < patience, answer
        time.sleep(min(max(0.1, waited / 20), 0.5))


def without_time(line):
    """A line of the log as in the journal, which adds its own time."""
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line)


class Program:
    """A running process; its lines on both outputs can be awaited."""

    def __init__(self, *arguments, **options):
        self.lines = []
        self.queue = queue.Queue()
        self.process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        **{"stdin": subprocess.DEVNULL, **options})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(without_time(line.decode(errors="replace").rstrip("\n")))
        self.queue.put(None)

    def wait_for(self, pattern, patience=PATIENCE):
        """The next line that matches; all lines before it are passed over."""
        deadline = time.monotonic() + patience
        while True:
            try:
                line = self.queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line matches {pattern!r}; output so far:\n" + "\n".join(self.lines[-40:]))
            self.lines.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        # The reader may be blocked on this descriptor, and closing it would then block, too.
        assert not self.reader.is_alive(), "what it has started holds its output open: " + " ".join(self.process.args)
        while not self.queue.empty():
            line = self.queue.get()
            if line is not None:
                self.lines.append(line)
        self.process.stdout.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        if kind is None and status not in (0, -signal.SIGTERM, -signal.SIGKILL):
            raise AssertionError(f"ended with status {status}:\n" + "\n".join(self.lines[-60:]))
        if kind is not None:
            print("# output of " + " ".join(self.process.args) + ":")
            print("\n".join("#   " + line for line in self.lines[-40:]))


def free_port():
    """A port of 127.0.0.1 without a listener. It is below the range from which the kernel assigns ports, so other
    tests that run at the same time rarely get it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        ephemeral = int(file.read().split()[0])
    while True:
        port = 10000 + secrets.randbelow(ephemeral - 10000) if ephemeral > 12000 else 0
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as listener:
            return listener.getsockname()[1]


def set_local_time(hour, minute, second):
    """A time zone in which it is this time of day now, for this process and programs that it starts; for cases that
    have a process of their own. So events at a time of day need not be awaited, and midnight is far away, or near."""
    ahead = (3600 * hour + 60 * minute + second - time.time()) % 86400
    ahead = round(ahead - 86400 if ahead > 43200 else ahead)
    size = abs(ahead)
    os.environ["TZ"] = f"TEST{'-' if ahead >= 0 else '+'}{size // 3600}:{size // 60 % 60:02}:{size % 60:02}"
    time.tzset()


def set_hour(hour):
    """A zone that browsers know too, in which it is this hour."""
    os.environ["TZ"] = f"Etc/GMT{(time.gmtime().tm_hour - hour + 12) % 24 - 12:+}"
    time.tzset()


def set_noon():
    """Midnight is far, and on the first of a month the last hours belong to it."""
    set_hour(12)


def simulate(protocol, options="", *more):
    """An emulated BMS on a TCP port; (program, "tcp://…")."""
    program = Program(PACKGATE, "simulate", "--protocol", protocol, "--tcp", "127.0.0.1:0", "--options", options, *more)
    return program, program.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1]


def simulate_pty(protocol, link, options="", *more):
    """An emulated BMS on a pty behind a link that stays the same after restarts."""
    program = Program(PACKGATE, "simulate", "--protocol", protocol, f"--pty={link}", "--options", options, *more)
    program.wait_for(r"pty")
    return program


def protocols():
    """The program's list of its drivers, in the order of a search, so that tests of all drivers need no list of their
    own."""
    return json.loads(subprocess.run([PACKGATE, "protocols", "--format", "json"], stdout=subprocess.PIPE, check=True).stdout)


class Gateway(Program):
    """`packgate run` with a configuration; port 0 is requested, and the actual port read from the log."""

    def __init__(self, text, general="", state=None, arguments=(), control=None):
        self.folder = tempfile.mkdtemp(prefix="packgate-test-")
        self.path = os.path.join(self.folder, "packgate.ini")
        self.general = f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {state or self.folder + '/state'}\ncontrol = {control or self.folder + '/control'}\n"
        self.write(text, general)
        super().__init__(PACKGATE, "run", "-c", self.path, *arguments)
        self.port = int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def write(self, text, general=""):
        with open(self.path, "w") as file:
            file.write(f"{self.general}{general}\n{text}")

    def rewrite(self, text, general=""):
        """Reloads another configuration."""
        self.write(text, general)
        self.process.send_signal(signal.SIGHUP)

    def client(self):
        return ModbusClient(self.port)

    def status(self):
        """As shown by `packgate status`, once the gateway answers."""
        ask = [PACKGATE, "status", "--json", "-c", self.path]
        done = until(lambda: subprocess.run(ask, stdout=subprocess.PIPE, timeout=PATIENCE), lambda done: done.returncode == 0)
        return json.loads(done.stdout)

    def wait_published(self, *packs):
        """Waits until each pack has published its first values."""
        waiting = set(packs)
        while waiting:
            waiting.discard(self.wait_for(r"pack (\S+): (?:idle|charging|discharging)")[1])

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def preloading(library, **more):
    """Programs that are started meanwhile load this library before their own, and have more in their environment."""
    before = dict(os.environ)
    # A message of the sanitized build about that.
    asan = ":".join(filter(None, (before.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
    os.environ.update(more, LD_PRELOAD=library, ASAN_OPTIONS=asan)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def words_of(pid):
    """The command line of a process; nothing once it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")
    return []


def outlet_pid(gateway, *words):
    """The process of the outlet whose command line contains these words."""
    return until(lambda: [pid for pid in children_of(gateway.process.pid) if set(words) <= set(words_of(pid))])[0]


# ---- the map, as the program prints it ----

def register_map():
    text = subprocess.run([PACKGATE, "map", "--format", "json"], check=True, stdout=subprocess.PIPE).stdout
    return [row for row in json.loads(text) if row.get("table", "holding") == "holding"]


MAP = register_map()
UNKNOWN = {"u16": 0xFFFF, "s16": -0x8000, "u32": 0xFFFFFFFF, "s32": -0x80000000}


@functools.cache
def find(name, block=None):
    """The row of a value; that of the extended block if both blocks have it."""
    rows = [row for row in MAP if row["name"] == name and (block is None or row["block"] == block)]
    assert rows, f"no {name} in the map"
    return rows[-1]


def decode(row, words):
    """One value from its registers, low word first."""
    kind = row["type"]
    if kind == "string":
        return b"".join(struct.pack(">H", w) for w in words).decode("ascii").rstrip(" \0")
    raw = b"".join(struct.pack(">H", w) for w in reversed(words))
    if kind == "float32":
        return struct.unpack(">f", raw)[0]
    value = int.from_bytes(raw, "big", signed=kind.startswith("s"))
    return None if value == UNKNOWN.get(kind) else value


def read(client, address, count, unit):
    response = client.read_holding_registers(address, count=count, slave=unit)
    assert not response.isError(), f"registers {address}+{count} of unit {unit}: {response}"
    again = client.read_input_registers(address, count=count, slave=unit)
    assert not again.isError(), f"input registers {address}+{count} of unit {unit}: {again}"
    return response.registers


def read_value(client, name, unit, block=None):
    row = find(name, block)
    return decode(row, read(client, row["address"], row["count"], unit))


def crc16(data):
    """The CRC of Modbus."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def with_crc16(data):
    return data + crc16(data).to_bytes(2, "little")


def exception_of(client, address, count, unit):
    """The exception code of the response to a read; None for a normal response."""
    response = client.read_holding_registers(address, count=count, slave=unit)
    return response.exception_code if response.isError() else None


def await_value(client, name, unit, wanted, patience=PATIENCE):
    """Reads until `wanted(value)`, for changes without a log message."""
    return until(lambda: read_value(client, name, unit), wanted, patience)


LIBMODBUS = ctypes.CDLL("libmodbus.so.5", use_errno=True)
LIBMODBUS.modbus_new_tcp.restype = ctypes.c_void_p
EXCEPTION_0 = 112345678  # MODBUS_ENOBASE: libmodbus gives an exception as this plus its code


class Response:
    """What a Modbus server has returned, under the names of pymodbus."""

    def __init__(self, function, values, code):
        self.function_code = function | (0x80 if code else 0)
        self.exception_code = code
        if function in (1, 2):
            self.bits = [bool(bit) for bit in values]
        else:
            self.registers = list(values)

    def isError(self):
        return self.exception_code is not None

    def __repr__(self):
        return f"response {self.__dict__}"


class ModbusClient(contextlib.AbstractContextManager):
    """The client of libmodbus, Modbus TCP, with the methods of pymodbus, whose decoding of each response costs more processor time
    than the gateway needs to answer; where pymodbus itself is the subject, a test imports it."""

    def __init__(self, port):
        self.context = ctypes.c_void_p(LIBMODBUS.modbus_new_tcp(b"127.0.0.1", port))
        LIBMODBUS.modbus_set_response_timeout(self.context, PATIENCE, 0)
        if LIBMODBUS.modbus_connect(self.context) < 0:
            raise ConnectionError(os.strerror(ctypes.get_errno()))

    def __exit__(self, *arguments):
        self.close()

    def close(self):
        if self.context:
            LIBMODBUS.modbus_close(self.context)
            LIBMODBUS.modbus_free(self.context)
        self.context = None

    def port(self):
        """The local one."""
        with socket.socket(fileno=os.dup(LIBMODBUS.modbus_get_socket(self.context))) as own:
            return own.getsockname()[1]

    def ask(self, function, slave, call, address, *arguments, values=()):
        assert LIBMODBUS.modbus_set_slave(self.context, slave) == 0, slave
        if call(self.context, address, *arguments) >= 0:
            return Response(function, values, None)
        error = ctypes.get_errno()
        if not 0 < error - EXCEPTION_0 < 256:
            raise ConnectionError(f"function {function}, {address}: {os.strerror(error)}")
        return Response(function, (), error - EXCEPTION_0)

    def read_coils(self, address, count=1, slave=0):
        values = (ctypes.c_uint8 * count)()
        return self.ask(1, slave, LIBMODBUS.modbus_read_bits, address, count, values, values=values)

    def read_discrete_inputs(self, address, count=1, slave=0):
        values = (ctypes.c_uint8 * count)()
        return self.ask(2, slave, LIBMODBUS.modbus_read_input_bits, address, count, values, values=values)

    def read_holding_registers(self, address, count=1, slave=0):
        values = (ctypes.c_uint16 * count)()
        return self.ask(3, slave, LIBMODBUS.modbus_read_registers, address, count, values, values=values)

    def read_input_registers(self, address, count=1, slave=0):
        values = (ctypes.c_uint16 * count)()
        return self.ask(4, slave, LIBMODBUS.modbus_read_input_registers, address, count, values, values=values)

    def write_coil(self, address, value, slave=0):
        return self.ask(5, slave, LIBMODBUS.modbus_write_bit, address, int(value))

    def write_register(self, address, value, slave=0):
        return self.ask(6, slave, LIBMODBUS.modbus_write_register, address, value)

    def write_coils(self, address, values, slave=0):
        return self.ask(15, slave, LIBMODBUS.modbus_write_bits, address, len(values), (ctypes.c_uint8 * len(values))(*map(int, values)))

    def write_registers(self, address, values, slave=0):
        return self.ask(16, slave, LIBMODBUS.modbus_write_registers, address, len(values), (ctypes.c_uint16 * len(values))(*values))


def mbpoll(port, *arguments):
    """Runs mbpoll once and returns {address: text of the value}."""
    result = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(port), "-0", "-1", *map(str, arguments), "127.0.0.1"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    text = result.stdout.decode()
    assert result.returncode == 0, text
    return {int(a): v for a, v in re.findall(r"^\[(\d+)\]:\s+(\S+)", text, re.M)}


# ---- exchange files ----

class Exchange:
    def __init__(self, path):
        self.path = path
        self.protocol = None
        self.pairs = []   # (request or b"" for what comes unasked, reply)
        self.values = []  # (name, text, tolerance)
        with open(path, encoding="utf-8") as file:
            for line in file:
                self._read(line.strip())

    def _read(self, line):
        if line.startswith("protocol "):
            self.protocol = line.split()[1]
        elif line[:1] in ("<", ">"):
            data = bytes.fromhex(line[1:].split("#")[0])
            if line[0] == ">":
                self.pairs.append([data, b""])
            else:
                if not self.pairs:
                    self.pairs.append([b"", b""])
                self.pairs[-1][1] += data
        elif line.startswith("~"):
            words = line[1:].split()
            tolerance = 0.0
            if len(words) > 2:
                try:
                    tolerance = float(words[-1])
                    words.pop()
                except ValueError:
                    pass
            self.values.append((words[0], " ".join(words[1:]), tolerance))


class Standin:
    """Listens on a port of 127.0.0.1 and handles each connection in its own thread by `talk(connection)`; closes it
    afterwards. `over` is set when the test ends."""

    def __init__(self, talk=None):
        self.talk = talk or self.talk
        self.connections, self.over = 0, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):  # the peer may disconnect at any time
            self.talk(connection)

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # or it would continue to wait
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.close()


class Way(Standin):
    """A proxy between the gateway and a pack. It recognizes orders as requests that it has not passed on before."""

    def __init__(self, url):
        host, port = url[len("tcp://"):].split(":")
        self.pack = (host, int(port))
        self.known, self.held, self.counted, self.holding = set(), b"", 0, False
        self.orders = "pass"  # "count" orders; "hold" their answers; "drop" them and deliver held answers
        super().__init__()

    def talk(self, near):
        with socket.create_connection(self.pack) as far:
            self.pass_on(near, far)

    def sent(self, near, far):
        """Passes requests of the gateway on until one side closes. Replies of the pack are passed back, or held."""
        while True:
            for side in select.select([near, far], [], [])[0]:
                if not (data := side.recv(4096)):
                    return
                if side is near:
                    yield data
                elif self.holding:
                    self.held += data
                else:
                    near.sendall(data)

    def pass_on(self, near, far):
        self.holding = False
        for data in self.sent(near, far):
            is_order = self.orders != "pass" and data not in self.known
            self.known |= set() if is_order else {data}
            self.counted += is_order
            self.holding = is_order and self.orders == "hold"
            if is_order and self.orders == "drop":
                near.sendall(self.held)
            else:
                far.sendall(data)

    def await_all_asked(self, client):
        """Waits until many polls contained no new request: a board is asked for some values only when there is time."""
        known = -1
        while known < len(self.known):
            known = len(self.known)
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda now: now >= polls + 10)


class Replayer(Standin):
    """Answers on a TCP port as in an exchange file; unknown requests stay unanswered. A request that occurs several
    times in the file gets its answers in turn, then always the last one."""

    def __init__(self, exchange):
        self.answers = {}
        for request, reply in exchange.pairs:
            self.answers.setdefault(request, []).append(reply)
        self.unasked = self.answers.pop(b"", [b""])[0]
        self.unknown = set()
        super().__init__()

    def talk(self, connection):
        request = b""
        while True:
            if not select.select([connection], [], [], 0.5 if self.unasked else None)[0]:
                connection.sendall(self.unasked)
                continue
            if not (data := connection.recv(4096)):
                return
            request += data
            if request in self.answers:
                replies = self.answers[request]
                connection.sendall(replies.pop(0) if len(replies) > 1 else replies[0])
                request = b""
            elif not any(known.startswith(request) for known in self.answers):
                self.unknown.add(request)
                request = b""


# ---- running ----

def run_case(number, test):
    """Runs a case and prints its line; returns whether it passed."""
    begin = time.monotonic()
    try:
        test()
    except Exception:
        print("\n".join("# " + line for line in traceback.format_exc().splitlines()))
        print(f"not ok {number} - {test.__name__}", flush=True)
        return False
    print(f"ok {number} - {test.__name__} # {time.monotonic() - begin:.1f} s", flush=True)
    return True


def run_apart(cases, close):
    """Runs some cases in turn in a process of their own; returns (its id, a file with its output)."""
    said = tempfile.TemporaryFile()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            status = 0 if all([run_case(number, test) for number, test in cases]) else 1
            close()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return pid, said


def run_side_by_side(parts, at_once, close):
    """Runs all cases, at most the allowed number at a time; returns whether all have passed. The output of each is
    printed when it has ended."""
    waiting, running, passed = list(parts), {}, True
    while waiting or running:
        if waiting and len(running) < at_once:
            cases = waiting.pop(0)
            pid, said = run_apart(cases, close)
            running[pid] = cases, said
            continue
        pid, status = os.wait()
        if pid not in running:
            continue
        cases, said = running.pop(pid)
        with said:
            said.seek(0)
            sys.stdout.write(said.read().decode(errors="replace"))
        if os.WIFSIGNALED(status):
            print(f"# {', '.join(test.__name__ for _, test in cases)}: ended by signal {os.WTERMSIG(status)}")
        sys.stdout.flush()
        passed = passed and status == 0
    return passed


def main(tests, at_once=1, close=lambda: None):
    """Runs the test functions and prints TAP; the exit status is 1 if any failed. If they share nothing and mostly
    wait, several run `at_once`, each in its own process; then the longest should come first. The functions of a
    list among them run in turn in one process. `close` releases what the cases of a process share. TEST_CASES may name
    some of those that run `at_once`; a list with one of them runs whole."""
    for tool in ("mbpoll",):
        assert shutil.which(tool), f"{tool} is missing"
    numbers = itertools.count(1)
    some = os.environ.get("TEST_CASES", "").split() if at_once > 1 else []
    parts = [part if isinstance(part, list) else [part] for part in tests]
    parts = [[(next(numbers), test) for test in part] for part in parts if not some or any(test.__name__ in some for test in part)]
    print(f"1..{sum(map(len, parts))}", flush=True)
    if at_once > 1:
        passed = run_side_by_side(parts, at_once, close)
    else:
        passed = all([run_case(number, test) for part in parts for number, test in part])
        close()
    sys.exit(not passed)
