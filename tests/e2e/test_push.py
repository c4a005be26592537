# SPDX-License-Identifier: MIT
"""[push NAME]: values written into a pymodbus server, and into servers that misbehave, while polls and clients
continue."""

import asyncio
import contextlib
import logging
import queue
import re
import select
import signal
import socket
import struct
import threading
import time

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext

try:
    from pymodbus.server import ModbusTcpServer
except ImportError:  # Debian 12
    from pymodbus.server.async_io import ModbusTcpServer

from harness import Gateway, PATIENCE, await_value, main, read, read_value, simulate

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

FIXED = {"voltage_v": 26.4, "current_a": -12.3, "soc_percent": 61.7, "remaining_ah": 123.456, "cycles": 321,
         "charge_mos": 1, "discharge_mos": 0, **{f"cell_mv.{n}": 3290 + 3 * n for n in range(1, 9)}, "temp_c.1": -7,
         "temp_c.2": 23}

# Polled with a single request, at once.
QUICK = "topbms"
MOVING = "cells=8,temps=2,profile=discharge,soc=90,capacity=100"


def fixed_pack(arguments=(), **more):
    values = {**FIXED, **more}
    options = "cells=8,temps=2,profile=fixed," + ",".join(f"{k}={v}" for k, v in values.items())
    return simulate(QUICK, options, *arguments)


def pack_sections(url, more=""):
    # On a busy machine a late reply is not a lost one: only missing replies count.
    return f"[line shed]\nport = {url}\nprotocol = {QUICK}\nreply_timeout = 60s\ngap = 0s\n[pack house]\nline = shed\nunit = 1\npoll = 100ms\n{more}\n"


def push_section(url, *lines):
    return f"[push plc]\ntarget = {url}\n" + "\n".join(lines) + "\n"


class Slave(ModbusSlaveContext):
    """Registers from 0 on; records each write."""

    def __init__(self, size):
        super().__init__(hr=ModbusSequentialDataBlock(1, [0] * size))  # the model's first place, 1, is register 0
        self.writes = queue.Queue()

    def setValues(self, fc_as_hex, address, values):
        super().setValues(fc_as_hex, address, values)
        self.writes.put((fc_as_hex, address, list(values)))


class Server(contextlib.AbstractContextManager):
    """pymodbus as the target of a push."""

    def __init__(self, unit=1, size=200):
        self.slave = Slave(size)
        self.loop = asyncio.new_event_loop()
        self.context = ModbusServerContext(slaves={unit: self.slave}, single=False)
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(PATIENCE)
        self.url = "tcp://127.0.0.1:%d" % self.port

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())

    async def _serve(self):
        self.server = ModbusTcpServer(self.context, address=("127.0.0.1", 0))
        serving = asyncio.ensure_future(self.server.serve_forever())
        # The thread that listens has different names in Debian 12 and 13.
        while not (listening := getattr(self.server, "server", None) or getattr(self.server, "transport", None)):
            await asyncio.sleep(0.01)
        self.port = listening.sockets[0].getsockname()[1]
        self.stopping = self.loop.create_future()
        self.started.set()
        await self.stopping
        serving.cancel()

    def next_write(self):
        return self.slave.writes.get(timeout=PATIENCE)

    def wait_write(self, address):
        """Waits until that register is written, alone or with others."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            function, first, values = self.next_write()
            if first <= address < first + len(values):
                return function, first, values
        raise AssertionError(f"register {address} is not written")

    def registers(self, address, count):
        return self.slave.getValues(3, address, count)

    def __exit__(self, *arguments):
        self.loop.call_soon_threadsafe(self.stopping.set_result, None)
        self.thread.join(PATIENCE)


class Target(contextlib.AbstractContextManager):
    """A target whose behaviour the test sets. It does not listen before listen()."""

    def __init__(self, listening=True):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections = []
        self.requests = queue.Queue()  # that serve() has answered
        if listening:
            self.listen()

    def listen(self):
        self.listener.listen()
        self.listener.settimeout(PATIENCE)

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        self.connections.append(connection)
        return connection

    def answer_from_now_on(self):
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self, rule=None):
        """Handles one connection after the other; some were given up before they are accepted. A rule gets each
        request and returns the answer: True: accepted, a number: that exception, None: no answer."""
        while True:
            try:
                connection = self.accept()
            except OSError:
                return
            try:
                while True:
                    request = receive_request(connection)
                    result = rule(request) if rule else True
                    self.requests.put((*request[2:], result))
                    if result is True:
                        connection.sendall(answer_to(request[0]))
                    elif result is not None:
                        connection.sendall(exception_to(request[0], result))
            except (OSError, AssertionError):
                connection.close()

    def serve(self, rule):
        threading.Thread(target=self._answer, args=(rule,), daemon=True).start()

    def next_request(self):
        """(unit, function, address, registers, result of the rule)"""
        return self.requests.get(timeout=PATIENCE)

    def drop_requests(self):
        while not self.requests.empty():
            self.next_request()

    def __exit__(self, *arguments):
        for connection in self.connections:
            connection.close()
        self.listener.close()


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, "the gateway closed the connection"
        data += more
    return data


def receive_request(connection):
    """(whole frame, transaction, unit, function, address, registers)"""
    header = receive(connection, 7)
    transaction, protocol, length, unit = struct.unpack(">HHHB", header)
    assert protocol == 0
    pdu = receive(connection, length - 1)
    function, address = struct.unpack(">BH", pdu[:3])
    if function == 6:
        words = pdu[3:]
    else:
        count, size = struct.unpack(">HB", pdu[3:6])
        words = pdu[6:]
        assert function == 16 and size == 2 * count == len(words)
    return header + pdu, transaction, unit, function, address, list(struct.unpack(f">{len(words) // 2}H", words))


def answer_to(frame):
    return frame[:4] + b"\0\6" + frame[6:12]


def exception_to(frame, code):
    return frame[:4] + b"\0\3" + frame[6:7] + bytes((frame[7] | 0x80, code))


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def nothing_comes(connection):
    return not select.select([connection], [], [], 0)[0]


def signed(word):
    return word - 0x10000 if word & 0x8000 else word


def counters(gateway):
    """The counters that a gateway logged at its end; a word that occurs several times has the last value."""
    line = [line for line in gateway.lines if re.search(r"push plc: \d+ requests", line)][-1]
    return {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", line)}


def go_on(gateway, cycles=5):
    """Polls are published, each of their requests is answered, and so is a client."""
    with gateway.client() as client:
        before = read_value(client, "polls", 1)
        await_value(client, "polls", 1, lambda polls: polls >= before + cycles)
        assert read_value(client, "timeouts", 1) == 0
        assert read(client, 330, 1, 1) == [8]


def finds_the_function_that_a_server_knows():
    for knows in 6, 16:
        pack, url = fixed_pack()
        with pack, Target() as target:
            target.serve(lambda request: True if request[3] == knows else 1)
            text = pack_sections(url) + push_section(target.url, "interval = 1h", "write = house.soc_percent -> 1 u16",
                                                     "write = house.cell_mv.1 -> 2 u16", "write = house.cell_mv.2 -> 4 u16")
            with Gateway(text):
                written = {}
                while set(written) != {1, 2, 4}:
                    _, function, address, words, result = target.next_request()
                    if result is True:
                        assert function == knows
                        written.update(enumerate(words, address))
                assert written == {1: 62, 2: 3293, 4: 3296}, written


def writes_the_example():
    with open("conf/push-smartbms.ini", encoding="utf-8") as file:
        push = file.read().split("[push scada]")[1]
    pack, url = simulate("topbms", "cells=16,temps=4,profile=fixed,voltage_v=53.58,current_a=-38.41,soc_percent=88,"
                         "remaining_ah=132.35,full_ah=150," + ",".join(f"cell_mv.{n}={3340 + n}" for n in range(1, 17))
                         + "," + ",".join(f"temp_c.{n}={-18 - n}" for n in range(1, 5)))
    with pack, Server() as plc:
        push = re.sub(r"target = .*", f"target = {plc.url}", push)
        push = re.sub(r"interval = .*", "interval = 100ms", push)
        text = (f"[line shed]\nport = {url}\nprotocol = topbms\n[pack house-1]\nline = shed\nunit = 1\npoll = 100ms\n"
                f"[push scada]{push}")
        with Gateway(text):
            assert plc.wait_write(0)[:2] == (16, 0)
            cells = [3340 + n for n in range(1, 17)]
            registers = [signed(word) for word in plc.registers(0, 26)]
            assert registers[:16] == cells
            assert plc.registers(16, 1) == [53580]
            assert registers[17:19] == [-3841, round(53.58 * -38.41)]
            assert abs(registers[19] - sum(cells) / 16) <= 0.5 and registers[20] == 15
            assert registers[21:24] == [88, 132, round(-20.5)] or registers[23] == -21, registers
            assert registers[25] == 0
            before = registers[24]
            while plc.registers(24, 1)[0] < before + 2:
                plc.wait_write(24)


def stale_values_are_skipped_or_replaced():
    pack, url = fixed_pack()
    with Server() as plc:
        port = url.rsplit(":", 1)[1]
        text = pack_sections(url, "stale_after = 3s") + push_section(
            plc.url, "interval = 100ms", "write = house.soc_percent -> 1 u16", "write = house.voltage_v -> 3 u16 on_stale 0",
            "write = house.current_a -> 5 s16 on_stale unknown", "write = house.power_w -> 7 float32 on_stale unknown",
            "write = house.fresh -> 10 u16", "write = gateway.seconds -> 12 u16")
        with Gateway(text) as gateway:
            while [plc.registers(address, 1)[0] for address in (1, 3, 10)] != [62, 26, 1]:
                plc.next_write()
            gateway.wait_published("house")
            pack.stop(signal.SIGKILL)
            gateway.wait_for("house: values are too old")
            while plc.wait_write(10)[2] != [0]:
                pass
            plc.wait_write(12)  # the interval that began before
            late = set()
            for _ in range(20):
                late.add(plc.next_write()[1])
            assert late == {3, 5, 7, 10, 12}, late
            assert plc.registers(1, 1) == [62] and plc.registers(3, 1) == [0] and plc.registers(5, 1) == [0x8000]
            assert plc.registers(7, 2) == [0, 0x7FC0]
            back, _ = fixed_pack(arguments=("--tcp", f"127.0.0.1:{port}"), soc_percent=60)
            with back:
                while plc.registers(1, 1) != [60]:
                    plc.wait_write(1)
                while plc.registers(3, 1) != [26] or plc.registers(10, 1) != [1]:
                    plc.next_write()


def a_silent_target_delays_nothing():
    pack, url = fixed_pack()
    with pack, Target() as silent, Server() as plc:
        text = pack_sections(url) + push_section(
            silent.url, "interval = 100ms", "reply_timeout = 60s", "write = house.voltage_v -> 1 u16") + \
            f"[push good]\ntarget = {plc.url}\ninterval = 100ms\nwrite = house.voltage_v -> 1 u16\n"
        with Gateway(text) as gateway:
            connection = silent.accept()
            receive_request(connection)
            go_on(gateway)
            for _ in range(5):
                plc.next_write()
            assert nothing_comes(connection)  # one request at a time, and no queue


def a_silent_target_is_given_up_and_tried_again():
    pack, url = fixed_pack()
    with pack, Target() as silent:
        text = pack_sections(url) + push_section(silent.url, "interval = 100ms", "reply_timeout = 200ms",
                                                 "write = house.voltage_v -> 1 u16")
        with Gateway(text) as gateway:
            for _ in range(2):
                receive_request(silent.accept())
            gateway.wait_for(r"warning: push plc: tcp://\S+: no answer for 0.2 s; retrying")
            go_on(gateway)
            silent.answer_from_now_on()
            gateway.wait_for(r"push plc: tcp://\S+ answers again after")
        assert sum("no answer" in line for line in gateway.lines) == 1


def a_slow_target_gets_new_values_only():
    """It answers late: the next request has the values of that moment."""
    pack, url = simulate(QUICK, MOVING + ",speed=1000")
    with pack, Target() as slow:
        text = pack_sections(url) + push_section(slow.url, "interval = 100ms on_change", "reply_timeout = 60s",
                                                 "write = house.soc_percent -> 1 u16 scale 10")
        with Gateway(text) as gateway:
            connection = slow.accept()
            frame, transaction, unit, function, address, first = receive_request(connection)
            assert (unit, function, address) == (1, 6, 1)
            with gateway.client() as client:
                await_value(client, "soc_percent", 1, lambda soc: soc * 10 <= first[0] - 30)
                assert nothing_comes(connection)
                # Answers to other transactions, an answer cut in two, and only then the right one as a whole.
                wrong = struct.pack(">H", transaction ^ 0x5555) + answer_to(frame)[2:]
                connection.sendall(wrong + wrong + answer_to(frame)[:5])
                polls = read_value(client, "polls", 1)
                await_value(client, "polls", 1, lambda now: now >= polls + 3)
                assert nothing_comes(connection)
                served = read_value(client, "soc_percent", 1) * 10
                connection.sendall(answer_to(frame)[5:])
                later = receive_request(connection)
                assert later[1] != transaction and later[5][0] <= round(served) + 1, (later, served)
                assert gateway.stop() == 0
                assert counters(gateway)["foreign"] == 2 and counters(gateway)["confirmed"] == 1, counters(gateway)


def a_resetting_target_delays_nothing():
    pack, url = fixed_pack()
    with pack, Target() as target:
        text = pack_sections(url) + push_section(target.url, "interval = 100ms", "write = house.voltage_v -> 1 u16")
        with Gateway(text) as gateway:
            for _ in range(3):
                connection = target.accept()
                receive_request(connection)
                reset(connection)
            gateway.wait_for(r"warning: push plc: tcp://\S+: Connection reset by peer; retrying")
            go_on(gateway)
        assert sum("Connection reset" in line for line in gateway.lines) == 1


def a_target_that_comes_up_late_gets_everything():
    pack, url = fixed_pack()
    with pack, Target(listening=False) as target:
        text = pack_sections(url) + push_section(target.url, "interval = 1h", "write = house.voltage_v -> 1 u16",
                                                 "write = house.soc_percent -> 2 u16")
        with Gateway(text) as gateway:
            gateway.wait_for(r"warning: push plc: tcp://\S+: Connection refused; retrying, at least every 30 s")
            gateway.wait_published("house")
            go_on(gateway)
            target.listen()
            for _ in range(2):  # and again after a restart
                connection = target.accept()
                frame, _, _, function, address, words = receive_request(connection)
                assert (function, address, words) == (16, 1, [26, 62])
                connection.sendall(answer_to(frame))
                go_on(gateway)
                connection.close()


def exceptions_are_told_once():
    pack, url = fixed_pack()
    with pack, Server(size=50) as plc:
        text = pack_sections(url) + push_section(plc.url, "interval = 100ms", "write = house.voltage_v -> 100 u16",
                                                 "write = house.soc_percent -> 101 u16", "write = house.cycles -> 5 u16")
        with Gateway(text) as gateway:
            gateway.wait_for(r"warning: push plc: tcp://\S+ rejects registers 100 to 101: exception 2 \(Illegal "
                             r"data address\)")
            for _ in range(10):
                assert plc.next_write() == (6, 5, [321])
            go_on(gateway)
            assert gateway.stop() == 0
        assert sum(" rejects register" in line for line in gateway.lines) == 1
        counted = counters(gateway)
        assert counted["exceptions"] >= 3 and counted["confirmed"] >= 10 and counted["connections"] == 1, counted
        assert 0 <= counted["requests"] - counted["exceptions"] - counted["confirmed"] <= 1, counted


def a_malformed_answer_is_asked_again_soon():
    pack, url = fixed_pack()
    with pack, Target() as target:
        text = pack_sections(url) + push_section(target.url, "interval = 1h", "write = house.voltage_v -> 1 u16")
        with Gateway(text) as gateway:
            connection = target.accept()
            frame = receive_request(connection)[0]
            connection.sendall(answer_to(frame)[:-1] + b"\x77")
            gateway.wait_for(r"warning: push plc: tcp://\S+ rejects register 1: its response is malformed")
            frame = receive_request(connection)[0]
            connection.sendall(answer_to(frame))
            gateway.wait_for(r"push plc: tcp://\S+ accepts register 1 now")


def an_ignored_register_is_found():
    """The target does not answer writes of register 44: the log names it, and the others are written without it."""
    pack, url = fixed_pack()
    with pack, Target() as target:
        target.serve(lambda request: None if 44 in range(request[4], request[4] + len(request[5])) else True)
        writes = [f"write = house.cell_mv.{n} -> {39 + n} u16" for n in range(1, 9)]
        text = pack_sections(url) + push_section(target.url, "interval = 200ms", "reply_timeout = 400ms", *writes)
        with Gateway(text) as gateway:
            gateway.wait_for(r"warning: push plc: tcp://\S+ rejects register 44: no answer, although it answers")
            target.drop_requests()
            for address, count in (40, 4), (45, 3), (40, 4), (45, 3), (40, 4), (45, 3):
                _, _, first, words, result = target.next_request()
                assert (first, len(words), result) == (address, count, True), (first, words, result)
            go_on(gateway)
        assert sum(" rejects register" in line for line in gateway.lines) == 1, gateway.lines


TWO = ("[push {name}]\ntarget = {url}\nunit = {unit}\ninterval = 100ms\nreply_timeout = {timeout}\n"
       "write = house.voltage_v -> {address} u16\nwrite = house.soc_percent -> {after} u16\n")


def two_pushes(target, units, timeout="10s"):
    return "".join(TWO.format(name=name, url=target.url, unit=unit, timeout=timeout, address=10 * (n + 1),
                              after=10 * (n + 1) + 5) for n, (name, unit) in enumerate(zip(("plc", "hmi"), units)))


def pushes_to_one_target_share_a_connection():
    """Many targets accept only one connection: pushes take turns, one request at a time."""
    pack, url = fixed_pack()
    with pack, Target() as target:
        with Gateway(pack_sections(url) + two_pushes(target, (1, 1))) as gateway:
            gateway.wait_published("house")
            connection = target.accept()
            order = []
            for _ in range(8):
                frame, _, unit, _, address, _ = receive_request(connection)
                assert unit == 1 and nothing_comes(connection)
                order.append(address // 10)
                connection.sendall(answer_to(frame))
            assert set(order) == {1, 2}, order
            assert not select.select([target.listener], [], [], 0)[0]
            gateway.wait_for(r"push hmi: tcp://\S+ answers, unit 1")
            connection.close()
            receive_request(target.accept())


def a_silent_unit_does_not_stop_the_others():
    pack, url = fixed_pack()
    silent = {7}
    with pack, Target() as target:
        target.serve(lambda request: None if request[2] in silent else True)
        with Gateway(pack_sections(url) + two_pushes(target, (1, 7), "400ms")) as gateway:
            gateway.wait_for(r"warning: push hmi: tcp://\S+ does not answer for unit 7, but for others")
            target.drop_requests()
            for _ in range(6):
                if target.next_request()[0] == 1:
                    continue
                assert target.next_request()[0] == 1
            silent.clear()
            gateway.wait_for(r"push hmi: tcp://\S+ answers for unit 7 again after")
            while target.next_request()[0] != 7:
                pass
        assert not any(" rejects register" in line for line in gateway.lines), gateway.lines


def a_value_that_does_not_fit_is_told():
    pack, url = fixed_pack()
    with pack, Server() as plc:
        text = pack_sections(url) + push_section(plc.url, "interval = 100ms",
                                                 "write = house.voltage_v -> 1 u16 scale 10000")
        with Gateway(text) as gateway:
            gateway.wait_for(r"warning: push plc: house.voltage_v is 26.4, out of range for register 1;")
            for _ in range(5):
                assert plc.next_write() == (6, 1, [65535])
        assert sum("out of range for" in line for line in gateway.lines) == 1


def ends_while_a_request_is_under_way():
    pack, url = fixed_pack()
    with pack, Target() as silent:
        text = pack_sections(url) + push_section(silent.url, "reply_timeout = 60s", "write = house.voltage_v -> 1 u16")
        with Gateway(text) as gateway:
            receive_request(silent.accept())
            assert gateway.stop() == 0


def writes_values_of_a_bank():
    first, first_url = fixed_pack()
    second, second_url = fixed_pack(current_a=2.3)
    with first, second, Server() as plc:
        text = pack_sections(first_url) + pack_sections(second_url).replace("shed", "hut").replace("house", "barn").replace(
            "unit = 1", "unit = 2") + "[bank all.1]\npacks = house, barn\nunit = 100\n" + push_section(
            plc.url, "interval = 100ms", "write = all.1.current_a -> 1 s16 scale 100", "write = all.1.fresh -> 2 u16",
            "write = barn.current_a -> 3 s16 scale 100", "write = all.1.packs_present -> 4 u16")
        with Gateway(text):
            wanted = [round((-12.3 + 2.3) * 100), 1, 230, 2]
            while [signed(word) for word in plc.registers(1, 4)] != wanted:
                plc.next_write()


def follows_a_changed_configuration():
    pack, url = fixed_pack()
    with pack, Server() as plc, Server() as scada:
        text = pack_sections(url) + push_section(plc.url, "write = house.voltage_v -> 1 u16", "write = gateway.seconds -> 2 u16")
        with Gateway(text) as gateway:
            plc.wait_write(1)
            with open(gateway.path, encoding="utf-8") as file:
                changed = file.read().replace(plc.url, scada.url).replace("-> 1 u16", "-> 7 u16")
            with open(gateway.path, "w", encoding="utf-8") as file:
                file.write(changed)
            gateway.process.send_signal(signal.SIGHUP)
            scada.wait_write(7)
            assert scada.registers(7, 1) == [26] and scada.registers(1, 1) == [0]
            go_on(gateway)


main([an_ignored_register_is_found, finds_the_function_that_a_server_knows,
      writes_the_example, stale_values_are_skipped_or_replaced,
      a_silent_target_delays_nothing,
      a_silent_target_is_given_up_and_tried_again, a_slow_target_gets_new_values_only,
      a_resetting_target_delays_nothing, a_target_that_comes_up_late_gets_everything, exceptions_are_told_once,
      a_malformed_answer_is_asked_again_soon, pushes_to_one_target_share_a_connection,
      a_silent_unit_does_not_stop_the_others, a_value_that_does_not_fit_is_told, writes_values_of_a_bank,
      follows_a_changed_configuration, ends_while_a_request_is_under_way], at_once=4)
