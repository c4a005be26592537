# SPDX-License-Identifier: MIT
"""Clients that misbehave, one kind after the other, while a good one reads from the same gateway without a pause. Its
answers must be right, a new client must be served at once, and afterwards the gateway has as many descriptors and
as much memory as before. The slowest answer is printed, but no time is a criterion. One client that sends a byte
every 0.3 s runs all the time."""

import multiprocessing
import os
import random
import resource
import socket
import struct
import threading
import time

from harness import PATIENCE, Gateway, find, main, until

IDLE = 1000
CONNECTS = 2000
FRAMES = 5000
RESETS = 300
GREEDY = 20000
BYTE_S = 0.3
MEMORY_MARGIN_KIB = 512  # some pages; 2000 connections that leave 300 bytes each would be more

CELLS = {n: 3300 + 2 * n for n in range(1, 9)}
PACK = "profile=fixed,cells=8,temps=2," + ",".join(f"cell_mv.{n}={mv}" for n, mv in CELLS.items())
HOUSE = f"""
[line simulated]
port = sim:{PACK}
protocol = jk-pb
[pack house]
line = simulated
unit = 1
poll = 200ms
"""


def read_request(transaction, address, count, unit=1):
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, 3, address, count)


def answer_with(transaction, words, unit=1):
    return struct.pack(f">HHHBBB{len(words)}H", transaction, 0, 3 + 2 * len(words), unit, 3, 2 * len(words), *words)


# The reads of a good client and their results: the cells in both blocks, and the registers for self-checks.
READS = [(310, list(CELLS.values())), (find("cell_mv.1")["address"], list(CELLS.values())),
         (find("check_u16")["address"], [12345, 0x10000 - 12345, 0x5678, 0x1234, 0x2000, 0x47F1])]


def connect(port, receive_buffer=None):
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client, size):
    data = b""
    while len(data) < size:
        part = client.recv(size - len(data))
        assert part, f"closed after {len(data)} of {size} bytes"
        data += part
    return data


def check_read(client, transaction):
    """One request of a good client, and its exact answer."""
    address, words = READS[transaction % len(READS)]
    expected = answer_with(transaction, words)
    client.sendall(read_request(transaction, address, len(words)))
    got = receive(client, len(expected))
    assert got == expected, f"{address}: {got.hex()}, not {expected.hex()}"


def check_fresh_client(port):
    with connect(port) as client:
        check_read(client, 4711)


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# ---- the good client, a process of its own, so that only the gateway can make it wait ----

def read_on(port, pipe):
    count, slowest, failure = 0, 0.0, None
    try:
        with connect(port) as client:
            pipe.send("ready")
            # On a busy machine it may not run before the misbehaviour has ended: it sends at least one request.
            while count == 0 or not pipe.poll():
                start = time.perf_counter()
                check_read(client, count & 0xFFFF)
                slowest = max(slowest, time.perf_counter() - start)
                count += 1
    except Exception as error:
        failure = repr(error)
    pipe.send((count, slowest, failure))


class GoodClient:
    """Reads from its start to its end."""

    def __init__(self, port):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=read_on, args=(port, theirs), daemon=True)
        self.process.start()
        assert self.pipe.poll(PATIENCE) and self.pipe.recv() == "ready"

    def end(self):
        self.pipe.send("enough")
        assert self.pipe.poll(PATIENCE), "the good client hangs"
        result = self.pipe.recv()
        self.process.join(PATIENCE)
        return result


class SlowClient:
    """Sends one request after the other, a byte every 0.3 s."""

    def __init__(self, port):
        self.answered, self.failure = threading.Semaphore(0), None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(connect(port),), daemon=True)
        self.thread.start()

    def _run(self, client):
        try:
            with client:
                transaction = 0
                while not self.ending.is_set():
                    self._ask(client, transaction)
                    transaction += 1
        except Exception as error:
            self.failure = error
            self.answered.release()

    def _ask(self, client, transaction):
        address, words = READS[transaction % len(READS)]
        for byte in read_request(transaction, address, len(words)):
            client.sendall(bytes([byte]))
            if self.ending.wait(BYTE_S):
                return
        assert receive(client, 9 + 2 * len(words)) == answer_with(transaction, words)
        self.answered.release()

    def await_answer(self):
        assert self.answered.acquire(timeout=PATIENCE), "no answer for the slow client"
        assert self.failure is None, self.failure

    def end(self):
        self.ending.set()
        self.thread.join(PATIENCE)
        assert self.failure is None, self.failure


# ---- the gateway under watch ----

class House:
    opened = None

    def __init__(self, general=""):
        self.gateway = Gateway(HOUSE, general)
        self.gateway.wait_published("house")
        self.port = self.gateway.port
        self.slow = SlowClient(self.port)
        check_fresh_client(self.port)
        self.await_descriptors_at_rest()
        self.memory = None

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.gateway.process.pid}/fd"))

    def memory_kib(self):
        with open(f"/proc/{self.gateway.process.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))

    def await_descriptors_at_rest(self):
        """The new client has disconnected when the number stays the same over some requests."""
        count, same = self.descriptors(), 0
        with connect(self.port) as client:
            while same < 50:
                check_read(client, same)
                now = self.descriptors()
                count, same = now, same + 1 if now == count else 0
        self.at_rest = count - 1

    def await_descriptors(self, count):
        until(lambda: self.descriptors() == count)

    def bear(self, misbehave, *arguments):
        """Runs a misbehaviour beside a good client; afterwards everything must be as before."""
        good = GoodClient(self.port)
        try:
            misbehave(self, *arguments)
            check_fresh_client(self.port)
        finally:
            count, slowest, failure = good.end()
        print(f"# {misbehave.__name__}: {count} right answers meanwhile, the slowest after {slowest * 1e3:.1f} ms")
        assert failure is None, failure
        assert count > 0
        self.await_descriptors(self.at_rest)
        assert self.gateway.process.poll() is None

    def check_memory(self):
        """The first call only records the values."""
        now = self.memory_kib()
        if self.memory is None:
            self.memory = now
        assert now <= self.memory + MEMORY_MARGIN_KIB, f"{self.memory} KiB have become {now} KiB"

    def close(self):
        self.slow.end()
        self.gateway.__exit__(None, None, None)


def house():
    if not House.opened:
        House.opened = House()
    return House.opened


# ---- ways to misbehave ----

def connect_in_numbers(at, count):
    """All stay open together, as far as the gateway allows; then they disconnect."""
    clients = []
    for _ in range(count):
        clients.append(connect(at.port))
    check_fresh_client(at.port)
    for client in clients:
        client.close()


def never_read(at):
    """Until the gateway disconnects it."""
    request = b"".join(read_request(n, 400, 125) for n in range(100))
    with connect(at.port, receive_buffer=4096) as client:
        try:
            for _ in range(2000):
                client.sendall(request)
                check_fresh_client(at.port)
            raise AssertionError("200000 unread answers, and still not dropped")
        except (ConnectionResetError, BrokenPipeError):
            pass


def send_half_a_header(at):
    clients = [connect(at.port) for _ in range(50)]
    for n, client in enumerate(clients):
        client.sendall(read_request(n, 290, 1)[:n % 8])
    check_fresh_client(at.port)
    for client in clients:
        client.close()


def connect_and_close(at):
    for n in range(CONNECTS):
        with connect(at.port) as client:
            if n % 4 == 1:
                client.sendall(read_request(n, 290, 1)[:n % 12])
            elif n % 4 == 2:
                check_read(client, n)


def reset_in_the_middle(at):
    stream = b"".join(read_request(n, 290, 58) for n in range(20))
    for n in range(RESETS):
        client = connect(at.port)
        client.sendall(stream[:n % (len(stream) + 1)])
        if n % 3 == 0:
            check_fresh_client(at.port)
        reset(client)


def random_frame(chance, n):
    """Random bytes; every other time after a valid header, so that they are parsed."""
    body = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40)))
    if n % 2:
        return body
    function = bytes([chance.randrange(1, 24)])
    return struct.pack(">HHHB", n, 0, 2 + len(body), chance.choice((0, 1, 1, 1, 2, 255))) + function + body


def send_random_frames(at):
    chance = random.Random(20240229)
    client = connect(at.port)
    dropped = 0
    for n in range(FRAMES):
        try:
            client.sendall(random_frame(chance, n))
            if n % 50 == 0:
                check_fresh_client(at.port)
        except (ConnectionResetError, BrokenPipeError):
            dropped += 1
            client.close()
            client = connect(at.port)
    client.close()
    assert dropped > 0


def ask_for_more_and_more(at):
    """As fast as possible, and it reads all of its answers."""
    batch = b"".join(read_request(n, 310, len(CELLS)) for n in range(100))
    expected = b"".join(answer_with(n, list(CELLS.values())) for n in range(100))
    with connect(at.port) as client:
        for _ in range(GREEDY // 100):
            client.sendall(batch)
            assert receive(client, len(expected)) == expected


# ---- the tests ----

def memory_is_noted_with_most_places_taken_once():
    house().bear(connect_in_numbers, 240)
    house().check_memory()


def one_never_reads():
    house().bear(never_read)
    house().gateway.wait_for("does not read its answers, disconnected")


def some_send_half_a_header():
    house().bear(send_half_a_header)


def thousands_connect_and_close():
    house().bear(connect_and_close)
    house().check_memory()


def hundreds_reset_in_the_middle():
    house().bear(reset_in_the_middle)
    house().check_memory()


def one_sends_random_frames():
    house().bear(send_random_frames)
    house().check_memory()


def one_asks_for_more_and_more():
    house().bear(ask_for_more_and_more)
    house().check_memory()


def a_byte_every_300_ms_is_a_request_in_the_end():
    house().slow.await_answer()


def a_thousand_idle_ones_come_to_256_places():
    house().bear(connect_in_numbers, IDLE)
    house().gateway.wait_for("longest idle of max_clients")
    house().check_memory()


def a_thousand_idle_ones_have_places():
    """With places for all, no client is disconnected: each is still served at the end."""
    roomy = House(f"max_clients = {IDLE}")
    roomy.bear(sit_still_and_ask_at_last)
    roomy.close()


def sit_still_and_ask_at_last(at):
    clients = [connect(at.port) for _ in range(IDLE - 5)]
    at.await_descriptors(at.at_rest + len(clients) + 1)
    for n, client in enumerate(clients):
        check_read(client, n)
        client.close()


def ends_cleanly():
    house().close()


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 2 * IDLE, f"this test needs {2 * IDLE} open files, not {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * IDLE), hard))


raise_descriptor_limit()
main([memory_is_noted_with_most_places_taken_once, one_never_reads, some_send_half_a_header, thousands_connect_and_close,
      hundreds_reset_in_the_middle, one_sends_random_frames, one_asks_for_more_and_more,
      a_byte_every_300_ms_is_a_request_in_the_end, a_thousand_idle_ones_come_to_256_places,
      a_thousand_idle_ones_have_places, ends_cleanly])
