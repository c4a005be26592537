# SPDX-License-Identifier: MIT
# tests/run: 40 s
"""The gateway in a storm: the far end delays, holds back, merges, drops, cuts, closes, and passes late answers on to
the next connection, and the process is stopped and continued, while clients read registers, give orders, and reach
the same pack through tunnels. In all cases: no value is younger than reported, no order is confirmed that the pack
did not get, no client gets the answer to another one's request; and after the storm everything recovers by itself.

SEED=n plays other storms, DRIVER=name one driver only, STORM_S=n longer ones, TRACE=1 shows the bytes."""

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time

from control_harness import run
from harness import Gateway, PACKGATE, PATIENCE, Program, await_value, decode, find, free_port, main, read_value, simulate

SEED, STORM_S = int(os.environ.get("SEED", 1)), float(os.environ.get("STORM_S", 6))
TRACE = os.environ.get("TRACE")
CLOCK_S, CLOCK_FROM_MV, CELLS = 50, 1900, 16  # of a simulated pack with clock=1
OUR_SOC, THEIR_SOC = 60, 70
LATEST_S = 10  # no answer is later: packgate relies on 12
MARK = b"\xfe"  # prefix of all requests of borrowers, by which the far end recognizes them
CHARGE = 0  # the coil


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Far:
    """A serial server in front of a pack. Requests after MARK are answered with another state of charge."""

    def __init__(self, url, talks, keeps, seed):
        host, port = url[len("tcp://"):].split(":")
        self.pack = socket.create_connection((host, int(port)))
        self.talks, self.keeps, self.drawn = talks, keeps, random.Random(seed)
        self.over = False
        self.theirs = {}     # request: answer
        self.sizes = {}      # request: length of its answer
        self.requests = []   # (when, bytes) that the pack got
        self.received = []   # (when, bytes) that came from the gateway
        self.answers = []    # [due, bytes]
        self.weather_in = 0
        self.calm()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.near = None
        threading.Thread(target=self._serve, daemon=True).start()

    def trace(self, what, data=b""):
        if TRACE:
            print(f"# {now():.2f} {what} {data.hex()[:80]}", flush=True)

    def weather(self):
        """Changes it after so many requests."""
        draw = self.drawn
        self.weather_in = draw.randint(1, 12)
        self.delay = draw.choice([0, 0, 0.1, 0.5, 1.2, 3])
        self.drop_request, self.drop_answer = draw.choice([0, 0, 0.1, 0.5]), draw.choice([0, 0, 0.1, 0.5])
        self.cut, self.closes = draw.choice([0, 0, 0.2]), draw.choice([0, 0, 0, 0.1])
        if draw.random() < 0.4:
            self.hold_until = now() + draw.choice([0.3, 1, 3, 6])
        if draw.random() < 0.1:
            self.silent_until = now() + draw.choice([1, 5])
        self.trace(f"weather: delay {self.delay} hold {self.hold_until - now():.1f} drop {self.drop_request} {self.drop_answer}")

    def calm(self):
        """Held answers are still delivered; no other faults from now on."""
        self.storm = False
        self.delay = self.hold_until = self.silent_until = self.refuse_until = 0
        self.drop_request = self.drop_answer = self.cut = self.closes = 0

    def _close(self, why):
        self.trace("closed: " + why)
        if self.near:
            self.near.close()
        self.near = None
        if not self.keeps:
            self.answers.clear()

    def _answer(self, data, asked):
        if self.drawn.random() < self.drop_answer:
            return self.trace("drop answer", data)
        if self.drawn.random() < self.cut:
            data = data[:self.drawn.randrange(len(data))]
        due = min(max(asked + self.delay, self.hold_until), asked + LATEST_S)
        if self.answers:
            due = max(due, self.answers[-1][0])
        if due > asked + LATEST_S:
            return None
        return self.answers.append([due, data])

    def _ask_pack(self, data):
        """The pack answers one request after the other."""
        asked = now()
        self.requests.append((asked, data))
        self.pack.sendall(data)
        size, answer = self.sizes.get(data, 1 << 20), b""
        while len(answer) < size and select.select([self.pack], [], [], 0.08 if answer else 1)[0]:
            answer += self.pack.recv(4096)
        self.sizes.setdefault(data, len(answer))
        if answer:
            self._answer(answer, asked)

    def _request(self, data):
        asked = now()
        self.received.append((asked, data))
        if self.storm:
            self.weather_in -= 1
            if self.weather_in <= 0:
                self.weather()
        if asked < self.silent_until or self.drawn.random() < self.drop_request:
            return self.trace("drop request", data)
        self.trace(">", data)
        if data.startswith(MARK):
            if data[1:] in self.theirs:
                self._answer(self.theirs[data[1:]], asked)
            return None
        if self.talks:
            self.requests.append((asked, data))
            return self.pack.sendall(data)
        return self._ask_pack(data)

    def _serve(self):
        while not self.over:
            with contextlib.suppress(ConnectionError):
                self._turn()

    def _turn(self):
        wait = max(0, min(0.1, self.answers[0][0] - now())) if self.answers and self.near else 0.1
        sources = [self.pack, self.near if self.near else self.listener]
        if self.near:
            sources.append(self.listener)
        ready = select.select(sources, [], [], wait)[0]
        if self.listener in ready:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            if now() < self.refuse_until:
                connection.close()
            else:
                self._close("another one")
                self.near = connection
                self.trace("accepted")
            return
        if self.near in ready and self.near:
            try:
                data = self.near.recv(4096)
            except ConnectionError:
                data = b""
            if data:
                self._request(data)
                if self.drawn.random() < self.closes:
                    self._close("weather")
                    self.refuse_until = now() + self.drawn.choice([0, 0.5])
            else:
                self._close("by the gateway")
        if self.pack in ready:
            data = self.pack.recv(4096)
            if self.near:  # of a device that talks
                self._answer(data, now())
        due = []
        while self.answers and self.near and self.answers[0][0] <= now():
            due.append(self.answers.pop(0)[1])
        if due:
            self.trace("<", b"".join(due))
            try:
                self.near.sendall(b"".join(due))
            except ConnectionError:
                self._close("while sending")

    def close(self):
        self.over = True
        self.listener.close()


def ask_alone(url, request):
    host, port = url[len("tcp://"):].split(":")
    answer = b""
    with socket.create_connection((host, int(port))) as link:
        link.sendall(request)
        while select.select([link], [], [], 0.15 if answer else 1)[0]:
            answer += link.recv(4096)
    return answer


class House(contextlib.AbstractContextManager):
    """A gateway with one pack, its clients, and what they have read."""

    def __init__(self, protocol, seed, share="yes", keeps=False, orders=True, talks=False):
        self.protocol, self.talks, self.share, self.has_orders = protocol, talks, share, orders
        self.drawn = random.Random(f"{protocol} {seed}")
        self.faults, self.counts, self.over, self.busy = [], {}, threading.Event(), threading.Event()
        self.fresh_at = self.reads = self.back = 0
        variant = "pace" if protocol == "topbms" else None  # one that can be switched
        options = f"profile=fixed,clock=1,cells={CELLS},current_a=0,soc_percent="
        self.simulator, self.url = simulate(protocol, options + str(OUR_SOC), *(["--variant", variant] if variant else []))
        self.other, self.other_url = simulate(protocol, options.replace(",clock=1", "") + str(THEIR_SOC),
                                              *(["--variant", variant] if variant else []))
        self.far = Far(self.url, talks, keeps, f"{protocol} {seed}")
        self.place = free_port()
        self.gateway = Gateway(f"[line a]\nport = {self.far.url}\nprotocol = {protocol}\n"
                               f"[pack a]\nline = a\nunit = 1\npoll = 500ms\nstale_after = 20s\n"
                               f"{'writable = yes' if orders else ''}\n{f'variant = {variant}' if variant else ''}\n"
                               f"[tunnel a]\nlisten = 127.0.0.1:{self.place}\nshare = {share}\n",
                               "allow_write = 127.0.0.1")
        self.threads = []

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def fault(self, what):
        self.faults.append(f"{self.protocol}: {now():.2f} {what}")
        self.far.trace("FAULT " + what)

    # ---- those who want something ----

    def in_turn(self, what):
        """A thread that repeats an action; after a disconnect it starts over."""
        def loop():
            while not self.over.is_set():
                try:
                    what()
                except OSError:
                    self.over.wait(0.05)
                except AssertionError as error:
                    self.fault(str(error))
        thread = threading.Thread(target=loop, daemon=True)
        self.threads.append(thread)
        thread.start()

    def read(self):
        """Values are as old as reported, or younger: the cells are read after the age."""
        age, cell = find("age_s"), find("cell_mv.1", "extended")
        rows = [age, find("voltage_v", "extended"), find("soc_percent", "extended")]
        with self.gateway.client() as client:
            while not self.over.wait(0.02):
                asked = now()
                first = client.read_holding_registers(age["address"], count=100, slave=1)
                between = now()
                cells = client.read_holding_registers(cell["address"], count=CELLS, slave=1)
                self.reads += 1
                errors = [response.exception_code for response in (first, cells) if response.isError()]
                if errors:
                    self.count(f"exception {errors[0]}")
                    continue
                told, voltage, soc = (decode(row, first.registers[row["address"] - age["address"]:][:row["count"]]) for row in rows)
                if soc != OUR_SOC:
                    self.fault(f"somebody else's answer: {soc} %")
                self.check(voltage * 1000 / CELLS, told, asked)
                for mv in {mv for mv in cells.registers if mv != 0xFFFF}:
                    self.check(mv, told + between - asked, between)
                self.fresh_at = max(self.fresh_at, asked - told)

    def check(self, mv, told, asked):
        then = round((mv - CLOCK_FROM_MV) / 10) / 4
        age = (asked - then + 1) % CLOCK_S - 1
        if told + 0.3 < age < CLOCK_S - 3:
            self.fault(f"is {age:.2f} s old, and says {told}: {mv}")

    def order(self):
        """A confirmed order has reached the pack after it was given, or the pack was in that position before."""
        with self.gateway.client() as client:
            while not self.over.is_set():
                self.busy.wait()
                on = self.drawn.random() < 0.5
                given = now()
                response = client.write_coil(CHARGE, on, slave=1)
                if not response.isError():
                    self.count("confirmed")
                    reached = [(at, data in self.orders[on]) for at, data in self.far.requests if data in self.orders[on] or data in self.orders[not on]]
                    if not (any(at >= given - 0.01 and same for at, same in reached) or (reached[-1][1] if reached else on)):
                        self.fault(f"confirmed what the pack did not get, given at {given:.2f}: charge_mos {on}")
                else:
                    self.count("refused")
                self.over.wait(self.drawn.random())

    def borrow(self):
        """A program that only gets answers to its own requests."""
        asks = sorted(self.far.theirs)
        with socket.create_connection(("127.0.0.1", self.place), PATIENCE) as link:
            for _ in range(self.drawn.randint(1, 8)):
                ask = self.drawn.choice(asks)
                link.sendall(MARK + ask)
                link.settimeout(self.drawn.choice([0.3, 1, 3]))
                self.count("borrowed")
                with contextlib.suppress(TimeoutError):
                    data = link.recv(4096)
                    if not data:
                        return
                    self.theirs_only(data, "tunnel")
        self.over.wait(self.drawn.random() * (3 if self.share == "no" else 1))

    def theirs_only(self, data, who):
        self.count(f"answered by {who}")
        answers, rest = self.far.theirs.values(), data
        while rest:
            whole = [len(answer) for answer in answers if rest.startswith(answer)]
            part = any(rest in answer for answer in answers) or any(rest.startswith(answer[at:]) for answer in answers
                                                                    for at in range(len(answer) - 4))
            if not whole and not part:
                self.fault(f"{who} got what is not its: {data.hex()}")
            rest = rest[max(whole):] if whole else b""

    def send(self):
        ask = self.drawn.choice(sorted(self.far.theirs))
        result = subprocess.run([PACKGATE, "send", "-c", self.gateway.path, "a", (MARK + ask).hex()], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=PATIENCE)
        self.count("sent")
        got = bytes.fromhex("".join(line[1:].split("#")[0] for line in result.stdout.decode().splitlines() if line[:1] == "<"))
        if got:
            self.theirs_only(got, "send")
        self.over.wait(self.drawn.random() * 2)

    def listen(self):
        with contextlib.suppress(AssertionError), Program(PACKGATE, "listen", "-c", self.gateway.path, "a") as listener:
            while listener.process.poll() is None and not self.over.wait(0.1):
                pass
        self.over.wait(0.1)

    # ---- the course of it ----

    def learn(self):
        """The gateway's requests, its orders, and answers meant for others."""
        self.gateway.wait_published("a")
        if self.has_orders:
            frames = {True: set(), False: set()}
            with self.gateway.client() as client:
                polls = read_value(client, "polls", 1)
                await_value(client, "polls", 1, lambda count: count > polls + 3)
                known = {data for _, data in self.far.requests}
                for on in (False, True, False, True):
                    before = len(self.far.requests)
                    while client.write_coil(CHARGE, on, slave=1).isError():
                        time.sleep(0.1)
                    frames[on] |= {data for _, data in self.far.requests[before:]} - known
            self.orders = {on: frames[on] - frames[not on] for on in frames}
            assert self.orders[True] and self.orders[False], frames
        else:
            known = {data for _, data in self.far.requests}
        if not self.talks:
            for request in sorted(known):
                ours, theirs = (ask_alone(url, request) for url in (self.url, self.other_url))
                if theirs and ours != theirs:
                    self.far.theirs[request] = theirs
            assert self.far.theirs

    def stop(self, seconds):
        process = self.gateway.process
        process.send_signal(signal.SIGSTOP)
        self.far.trace(f"stopped for {seconds:.1f} s")
        time.sleep(seconds)  # the stop is what is tested
        process.send_signal(signal.SIGCONT)
        self.far.trace("goes on")
        self.count("stops")

    def play(self, stops=(0.3, 1.5, 2.5, 4)):
        self.learn()
        self.in_turn(self.read)
        self.in_turn(self.read)
        self.in_turn(self.listen)
        if self.has_orders:
            self.in_turn(self.order)
        if self.far.theirs:
            run("tunnel", "-c", self.gateway.path, "a", "--for", "10m")
            self.in_turn(self.borrow)
            self.in_turn(self.send)
        self.busy.set()
        self.far.storm = True
        until = now() + STORM_S
        while now() < until:
            self.over.wait(self.drawn.random() * 2)
            if self.drawn.random() < 0.5:
                self.stop(self.drawn.choice(stops))
        self.far.calm()
        self.calm()

    def calm(self):
        """Clients continue to read; values are fresh repeatedly, also beside borrowers unless these have the line to
        themselves."""
        began = now()
        # Clients that ask before the gateway has noticed its last stop are disconnected.
        while self.share == "no" and subprocess.run([PACKGATE, "tunnel", "-c", self.gateway.path, "a", "--close"], stderr=subprocess.DEVNULL).returncode:
            assert self.gateway.process.poll() is None and now() < began + PATIENCE
        for _ in range(3):
            seen = now()
            while self.fresh_at < seen and now() < began + PATIENCE:
                assert self.gateway.process.poll() is None
                time.sleep(0.05)
            self.back = self.back or now() - began
            assert self.fresh_at >= seen, f"{self.protocol} is not fresh {PATIENCE} s after the storm"
        assert not self.faults, "\n".join(self.faults)

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.busy.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        print(f"# {self.protocol} share={self.share} keeps={self.far.keeps}: {self.counts}, {self.reads} reads, "
              f"fresh after {self.back:.1f} s", flush=True)
        for fault in self.faults[:20]:
            print("# FAULT", fault)
        self.gateway.__exit__(kind, value, trace)
        self.far.close()
        self.simulator.stop()
        self.other.stop()


ORDERS = "daly", "jbd", "jbd-up", "topbms", "jk02"
TALKS = "jk02", "vedirect"
DRIVERS = [os.environ["DRIVER"]] if "DRIVER" in os.environ else ["daly", "jbd", "jbd-up", "topbms", "pylon-console", "eg4-ll", "jk02",
                                                               "vedirect"]


def storm_of(number, protocol):
    def storm():
        seed = f"{SEED} {number}"
        draw = random.Random(seed)
        with House(protocol, seed, share="no" if protocol == "vedirect" else draw.choice(["yes", "yes", "no"]), keeps=draw.random() < 0.5,
                   orders=protocol in ORDERS, talks=protocol in TALKS) as house:
            house.play()
    storm.__name__ = f"storm_of_{protocol}"
    return storm


main([storm_of(number, protocol) for number, protocol in enumerate(DRIVERS)], at_once=8)
