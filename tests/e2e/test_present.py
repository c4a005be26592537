# SPDX-License-Identifier: MIT
"""A port on which masters ask by Modbus RTU: mbpoll, pymodbus and libmodbus over pseudo terminals and TCP, hostile ones, and what
they are told when values turn stale because the BMS, the gateway or the port is gone."""

# tests/run: 75 s

import contextlib
import ctypes
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import tty

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.transaction import ModbusRtuFramer

import test_influx_clock
from harness import MAP, PACKGATE, PATIENCE, Gateway, Program, await_value, decode, find, main, read_value, simulate, with_crc16, until
from mqtt_harness import preloaded

STOP_S = 10  # of explicit stop
STALE_S = 5  # where a test waits until values are stale; elsewhere they stay fresh on a slow machine, too
LINE = """[line {name}]
port = {url}
protocol = daly
[pack {name}]
line = {name}
unit = {unit}
poll = 200ms
stale_after = 60s
writable = yes
"""
PRESENT = "[present x]\nof = {of}\nport = {port}\nprotocol = modbus-rtu{view}\n{more}"
LIMITS = """[limits a]
charge_current = 100
discharge_current = 150
cells = 16
sensors = 4
cell_full = 3.45
cell_float = 3.375, 90
cell_high = 3.375:1, 3.40:0.25, 3.45:0
cell_low = 2.80:0, 3.19:1
temperature = 0:0, 10:1, 40:1, 55:0
"""
FIXED = "profile=fixed,cells=16,temps=4,voltage_v=52.8,soc_percent=55,charge_mos=1,discharge_mos=1"
ON_TCP = "tcp-listen:127.0.0.1:0"
VOLTAGE, STATE, ALLOWED = find("voltage_v"), find("connection_state"), find("allowed_charge_current_a")
SWITCH_OFF = (5, 0, 1, 0, 0)  # the discharge MOS


def frame(unit, *pdu):
    data = bytes([unit, *pdu])
    return with_crc16(data)


def reading(row, unit=1):
    return frame(unit, 3, *struct.pack(">HH", row["address"], row["count"]))


VOLTS, STATES = reading(VOLTAGE), reading(STATE)


def is_volts(answer, unit=1):
    """Whether that is the one right answer to reading(VOLTAGE, unit)."""
    size = 2 * VOLTAGE["count"]
    right = len(answer) == 5 + size and answer[:3] == bytes([unit, 3, size]) and with_crc16(answer[:-2]) == answer
    return right and abs(decode(VOLTAGE, struct.unpack(f">{size // 2}H", answer[3:-2])) - 52.8) < 0.05


class Wire:
    """What a test and its port say to each other, byte by byte."""

    def hear(self, seconds):
        """What comes until it is quiet; b"" when nothing comes for so long."""
        heard = b""
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 4096)
            except ConnectionResetError:
                data = b""
            if not data:
                break
            heard += data
            seconds = min(seconds, 0.05)
        return heard

    def send(self, data):
        os.write(self.fd, data)

    def ask(self, request, seconds=PATIENCE):
        self.hear(0)
        self.send(request)
        return self.hear(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Cable(Wire):
    """A pseudo terminal behind a link that stays."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="packgate-present-")
        self.path = os.path.join(self.folder.name, "port")
        self.url = f"serial:{self.path}"
        self.plug()

    def plug(self):
        self.fd, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.symlink(os.ttyname(self.slave), self.path)

    def pull(self):
        os.remove(self.path)
        os.close(self.slave)
        os.close(self.fd)

    def close(self):
        with contextlib.suppress(OSError):
            self.pull()
        self.folder.cleanup()


class Stream(Wire):
    """The same by TCP."""

    def __init__(self, gateway):
        self.socket = socket.create_connection(("127.0.0.1", listening(gateway)))
        self.fd = self.socket.fileno()

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is heard soon enough that nothing comes back
            super().send(data)

    def close(self):
        self.socket.close()


class Bridge:
    """A pseudo terminal with a wire to another, for masters that want a device of their own. At a speed bytes take their time, each way."""

    def __init__(self, near, baud=None):
        self.near, self.baud, self.over = near, baud, False
        self.far, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.threads = [threading.Thread(target=self.pass_on, args=ends, daemon=True) for ends in ((self.far, near.fd), (near.fd, self.far))]
        for thread in self.threads:
            thread.start()

    def pass_on(self, this, that):
        while not self.over:
            if not select.select([this], [], [], 0.1)[0]:
                continue
            data = os.read(this, 256)
            at = time.monotonic()
            for piece in [bytes([byte]) for byte in data] if self.baud else [data]:
                at += 10 / self.baud if self.baud else 0
                time.sleep(max(0, at - time.monotonic()))
                os.write(that, piece)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()
        os.close(self.far)
        os.close(self.slave)


@contextlib.contextmanager
def presented(port, more="", options=FIXED, general="", stale_s=60, view="", **how):
    """A gateway with pack a presented on a port, which answers already; `bms` is its BMS."""
    server, url = simulate("daly", options)
    text = LINE.format(name="a", url=url, unit=1).replace("60s", f"{stale_s}s") + \
        PRESENT.format(of="a", port=port, view=view, more=more)
    with server, Gateway(text, general, **how) as gateway:
        gateway.bms, gateway.bms_url = server, url
        gateway.wait_for("present x: answers")
        yield gateway


def listening(gateway):
    return int(next(line for line in gateway.lines if "present x: listening" in line).split()[-1])


def rtu_client(gateway):
    client = ModbusTcpClient("127.0.0.1", port=listening(gateway), framer=ModbusRtuFramer, timeout=PATIENCE)
    assert client.connect()
    return client


# ---- masters ----

def says_what_port_502_says():
    """Every register, coil and input, and every refusal."""
    moving = {"age_s", "polls", "seconds", "limits_age_s", "memory_mib", "soc_peak_time", "clock"}
    with presented(ON_TCP, "switching = yes\n") as gateway, gateway.client() as tcp, rtu_client(gateway) as rtu:
        for row in MAP:
            if row["name"] in moving:
                continue
            until(lambda: [client.read_holding_registers(row["address"], count=row["count"], slave=1).registers for client in (rtu, tcp)],
                  lambda said: said[0] == said[1])  # a value may change between the two
        for ask in (lambda c: c.read_coils(0, 2, 1), lambda c: c.read_discrete_inputs(0, 48, 1), lambda c: c.read_input_registers(290, 10, 1),
                    lambda c: c.read_holding_registers(9000, 1, 1), lambda c: c.read_coils(1, 2, 1), lambda c: c.write_coil(0, True, 1),
                    lambda c: c.write_coil(5, True, 1), lambda c: c.write_register(308, 2, 1)):
            ours, theirs = ask(rtu), ask(tcp)
            assert ours.function_code == theirs.function_code, (ours, theirs)
            assert getattr(ours, "exception_code", None) == getattr(theirs, "exception_code", None), (ours, theirs)
            bits = getattr(theirs, "bits", [])
            assert getattr(ours, "bits", [])[:len(bits)] == bits
        with Stream(gateway) as stream:
            for pdu, code in ((b"\x16\x01\x34\0\0\0\1", 1), (b"\x17\1\x22\0\2\1\x34\0\1\2\0\1", 1), (b"\x41", 1), (b"\3\1\x22\0\0", 3),
                              (b"\x10\1\x34\0\1\2\0\2", 3)):
                assert stream.ask(frame(1, *pdu)) == frame(1, pdu[0] | 0x80, code), pdu


class Libmodbus:
    """The library's own client, which mbpoll is made of and inverters' loggers often are."""

    def __init__(self, path, baud):
        self.library = ctypes.CDLL("libmodbus.so.5", use_errno=True)
        self.library.modbus_new_rtu.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.modbus_new_rtu(path.encode(), baud, ctypes.c_char(b"N"), 8, 1))
        assert self.library.modbus_set_slave(self.context, 1) == 0
        assert self.library.modbus_set_response_timeout(self.context, PATIENCE, 0) == 0
        assert self.library.modbus_connect(self.context) == 0, os.strerror(ctypes.get_errno())

    def read(self, row):
        words = (ctypes.c_uint16 * row["count"])()
        assert self.library.modbus_read_registers(self.context, row["address"], row["count"], words) == row["count"], \
            os.strerror(ctypes.get_errno())
        return decode(row, list(words))

    def close(self):
        self.library.modbus_close(self.context)
        self.library.modbus_free(self.context)


def read_by_mbpoll(path, baud):
    result = subprocess.run(["mbpoll", "-m", "rtu", "-b", str(baud), "-P", "none", "-a", "1", "-0", "-1", "-o", "10", "-t", "4:float", "-r",
                             str(VOLTAGE["address"]), path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
    assert result.returncode == 0 and b"52.8" in result.stdout, result.stdout.decode()


def answers_masters_of_others():
    for baud in (9600, 115200):
        with Cable() as cable, presented(cable.url, f"baud = {baud}\n"), Bridge(cable, baud) as bridge:
            read_by_mbpoll(bridge.path, baud)
            client = ModbusSerialClient(bridge.path, baudrate=baud, framer=ModbusRtuFramer, timeout=PATIENCE)
            with client:
                for _ in range(20):
                    assert abs(decode(VOLTAGE, client.read_holding_registers(VOLTAGE["address"], VOLTAGE["count"], 1).registers) - 52.8) < 0.05
                assert client.read_holding_registers(9000, 1, 1).exception_code == 2
                until(lambda: getattr(client.read_coils(0, 2, 1), "bits", [])[:2], lambda bits: bits == [True, True])
            library = Libmodbus(bridge.path, baud)
            for _ in range(20):
                assert abs(library.read(VOLTAGE) - 52.8) < 0.05
            library.close()


def documented_commands_read():
    """Those of docs/inverters.md, of unit 100 there."""
    with open("docs/inverters.md") as file:
        commands = [line.split() for line in file if line.startswith("mbpoll -m rtu ")]
    assert len(commands) == 2, commands
    server, url = simulate("daly", FIXED)
    with Cable() as cable, server, Gateway(LINE.format(name="a", url=url, unit=100) + LIMITS + PRESENT.format(of="a", port=cable.url, view="", more="")) as gateway, \
            Bridge(cable, 9600) as bridge, gateway.client() as tcp:
        gateway.wait_for("present x: answers")
        await_value(tcp, "allowed_charge_voltage_v", 100, lambda volts: volts > 54)
        for command, wanted in zip(commands, (b"52.8", b"54.")):  # the voltage, and that of float
            result = subprocess.run([*command[:-1], "-o", "10", bridge.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
            assert result.returncode == 0 and wanted in result.stdout and result.stdout.count(b"]:") == int(command[command.index("-c") + 1]), result.stdout.decode()


def counts_for_function_8():
    with Cable() as cable, presented(cable.url):
        def counter(what):
            answer = cable.ask(frame(1, 8, 0, what, 0, 0))
            assert answer[:4] == bytes([1, 8, 0, what]), answer
            return int.from_bytes(answer[4:6], "big")

        assert is_volts(cable.ask(VOLTS))
        cable.ask(frame(1, 8, 0, 10, 0, 0))
        assert cable.ask(frame(1, 8, 0, 0, 0xA5, 0x37)) == frame(1, 8, 0, 0, 0xA5, 0x37)
        assert is_volts(cable.ask(VOLTS))                 # message 2, counting from 0 behind the clearing
        cable.ask(frame(1, 3, 0x23, 0x28, 0, 1))          # 3: an exception
        cable.ask(reading(VOLTAGE, 9), 0.1)               # 4: somebody else's
        cable.ask(frame(0, *SWITCH_OFF), 0.1)             # 5: to all
        cable.ask(VOLTS[:-1] + b"\0", 0.1)                # no message: an error
        assert counter(0x0B) == 6
        assert counter(0x0C) == 1
        assert counter(0x0D) == 1
        assert counter(0x0E) == 8
        assert counter(0x0F) == 1
        assert counter(0x10) == counter(0x11) == counter(0x12) == 0
        assert cable.ask(frame(1, 8, 0, 4, 0, 0))[:3] == b"\x01\x88\x01"  # nobody silences it


def serves_a_bank_and_its_packs():
    first, second = simulate("daly", FIXED), simulate("daly", FIXED.replace("52.8", "51.2"))
    text = LINE.format(name="a", url=first[1], unit=1) + LINE.format(name="b", url=second[1], unit=2).replace("60s", f"{STALE_S}s") + \
        "[bank house]\npacks = a, b\nunit = 100\nmin_packs = 1\n"
    with first[0], second[0], Gateway(text + PRESENT.format(of="house", port=ON_TCP, view="", more="") + "[present y]\nof = house\naddress = 7\n"
                                      f"port = {ON_TCP}\nprotocol = modbus-rtu\n") as gateway:
        gateway.wait_for("present x: answers")
        with rtu_client(gateway) as client:
            await_value(client, "packs_present", 100, lambda now: now == 2)
            assert abs(read_value(client, "voltage_v", 1) - 52.8) < 0.05
            assert abs(read_value(client, "voltage_v", 2) - 51.2) < 0.05
            # One that falls silent says so for itself; the bank goes on with the other.
            second[0].stop()
            await_value(client, "packs_present", 100, lambda now: now == 1)
            assert client.read_holding_registers(VOLTAGE["address"], 2, 2).exception_code == 11
            assert abs(read_value(client, "voltage_v", 1) - 52.8) < 0.05
        with Stream(gateway) as stream:
            for unit in (0, 3, 7, 255):
                assert stream.ask(reading(VOLTAGE, unit), 0.2) == b"", unit
        port = int(next(line for line in gateway.lines if "present y: listening" in line).split()[-1])
        with ModbusTcpClient("127.0.0.1", port=port, framer=ModbusRtuFramer, timeout=PATIENCE) as client:
            assert read_value(client, "voltage_v", 7) > 50


VIEW = """[view meter]
source = a
unit = 3, 126
listen = 127.0.0.1:{port}
register = "SunS" -> 40000 string 2
register = voltage_v -> 40010 u16 scale 10
register = soc_percent | age_s -> 40011 u16
register = power_w -> 40012 s16 on_unknown unknown
fill = 40020-40022 7
copy = 40010-40012 -> 10
"""


def serves_a_view():
    with presented(ON_TCP, VIEW.format(port=0), view=" meter", stale_s=STALE_S) as gateway, rtu_client(gateway) as client:
        for unit in (3, 126):
            assert client.read_holding_registers(40000, 2, unit).registers == [0x5375, 0x6E53]
            assert client.read_holding_registers(40010, 1, unit).registers == [528]
            assert client.read_input_registers(10, 1, unit).registers == [528]
            assert client.read_holding_registers(40020, 3, unit).registers == [7, 7, 7]
            assert client.read_holding_registers(40030, 1, unit).exception_code == 2
        gateway.bms.stop()
        gateway.wait_for("present x: sending stop")
        assert client.read_holding_registers(40010, 1, 3).exception_code == 11
    with presented(ON_TCP, "address = 9\n" + VIEW.format(port=0), view=" meter") as gateway, Stream(gateway) as stream:
        assert stream.ask(frame(9, 3, 0x9C, 0x4A, 0, 1)) == frame(9, 3, 2, 2, 16)
        assert stream.ask(frame(3, 3, 0x9C, 0x4A, 0, 1), 0.2) == b""


def switches_where_it_may():
    with Cable() as cable, presented(cable.url, "switching = yes\n") as gateway, gateway.client() as tcp:
        assert is_volts(cable.ask(VOLTS))  # this line has no echo
        cable.ask(frame(0, *SWITCH_OFF), 0.5)  # to all: nobody does it
        assert cable.ask(frame(1, *SWITCH_OFF)) == frame(1, *SWITCH_OFF)
        await_value(tcp, "discharge_mos", 1, lambda now: now == 0)
        assert await_value(tcp, "charge_mos", 1, lambda now: now is not None) == 1
        assert any("present x orders discharge off: confirmed" in line or gateway.wait_for("present x orders discharge off: confirmed")
                   for line in ["", *gateway.lines])
    with Cable() as cable, presented(cable.url) as gateway, gateway.client() as tcp:
        assert cable.ask(frame(1, *SWITCH_OFF))[:3] == b"\x01\x85\x01"
        assert await_value(tcp, "discharge_mos", 1, lambda now: now is not None) == 1
    with presented(ON_TCP, "switching = yes\n", general="allow_write = 192.0.2.7\n") as gateway, rtu_client(gateway) as client:
        assert client.write_coil(1, False, 1).exception_code == 1
    with presented(ON_TCP, general="allow = 192.0.2.7\n") as gateway, Stream(gateway) as stream:
        assert stream.ask(VOLTS) == b""  # it was disconnected


def writes_settings_where_it_may():
    """As port 502 does, one after the other: to the pack, out of range, no number, half a setting, what cannot be written."""
    soc = find("soc_percent")

    def writing(address, *words):
        return address, list(words)

    def value(number):
        return struct.unpack(">2H", struct.pack(">f", number))[::-1]

    writes = [writing(soc["address"], *value(80.5)), writing(soc["address"], *value(101)), writing(soc["address"], *value(float("nan"))),
              writing(soc["address"], value(50)[0]), writing(find("rated_ah")["address"], *value(100)), writing(VOLTAGE["address"], *value(50))]
    for writable, switching, codes in (("settings", "yes", [None, 3, 3, 2, 2, 2]), ("yes", "yes", [2, 2, 3, 2, 2, 2]), ("settings", "no", [1] * 6)):
        server, url = simulate("daly", FIXED)
        text = LINE.format(name="a", url=url, unit=1).replace("writable = yes", f"writable = {writable}") + \
            PRESENT.format(of="a", port=ON_TCP, view="", more=f"switching = {switching}\n")
        with server, Gateway(text) as gateway, gateway.client() as tcp:
            gateway.wait_for("present x: answers")
            with rtu_client(gateway) as rtu:
                for (address, words), code in zip(writes, codes):
                    answer = rtu.write_registers(address, words, 1)
                    assert getattr(answer, "exception_code", None) == code, (writable, switching, address, words, answer)
                    if switching == "yes" and code:
                        assert tcp.write_registers(address, words, 1).exception_code == code, (writable, address, words)
            await_value(tcp, "soc_percent", 1, lambda now: abs(now - (80.5 if codes[0] is None else 55)) < 0.05)
            if codes[0] is None:
                gateway.wait_for("present x orders soc_percent 80.5 instead of 55: confirmed")


def answers_an_order_while_others_ask():
    """Each TCP client has its own connection: only the one that has ordered can give the answer up."""
    with presented(ON_TCP, "switching = yes\n", FIXED + ",delay=100") as gateway, Stream(gateway) as one, Stream(gateway) as other:
        one.send(frame(1, *SWITCH_OFF))
        answer, deadline = b"", time.monotonic() + PATIENCE
        while not answer:
            assert other.ask(VOLTS) and time.monotonic() < deadline
            answer = one.hear(0)
        assert answer == frame(1, *SWITCH_OFF)


def gives_an_order_up_when_the_master_goes_on():
    """On a line with several devices: the answer would meet that of another one."""
    with Cable() as cable, presented(cable.url, "switching = yes\n", FIXED + ",delay=100") as gateway:
        assert is_volts(cable.ask(VOLTS))
        cable.send(frame(1, *SWITCH_OFF))
        assert cable.hear(0.03) == b""
        cable.send(reading(VOLTAGE, 7))
        gateway.wait_for("present x orders discharge off: confirmed")
        assert cable.hear(0.3) == b""
        assert is_volts(cable.ask(VOLTS))


# ---- hostile masters ----

def mistreat(wire):
    """Nothing wrong is answered, and afterwards a good request is. Where there is silence between them, at once."""
    serial = isinstance(wire, Cable)
    chance = random.Random(27)
    assert is_volts(wire.ask(VOLTS))
    for at in range(len(VOLTS)):  # damaged: each byte
        broken = bytearray(VOLTS)
        broken[at] ^= 1 << chance.randrange(8)
        if broken[1] == VOLTS[1] or serial:  # by TCP a function that nobody knows has no length
            assert wire.ask(bytes(broken), 0.05) == b"", broken
            assert is_volts(wire.ask(VOLTS)) or is_volts(wire.ask(VOLTS)), at
    for at in range(1, len(VOLTS)):  # cut
        wire.send(VOLTS[:at])
        assert wire.hear(0.03) == b""
        wire.send(VOLTS[at:])
        assert is_volts(wire.hear(PATIENCE)), at
    for at in range(1, len(VOLTS)):  # given up, and asked again
        wire.send(VOLTS[:at])
        time.sleep(0.03)
        assert is_volts(wire.ask(VOLTS)) or is_volts(wire.ask(VOLTS)), at
    # Merged: on a line the last one is open, in a stream all are.
    answers = wire.ask(VOLTS + STATES + VOLTS)
    first = answers[:5 + 2 * VOLTAGE["count"]]
    assert is_volts(first) and (len(answers) > len(first)) != serial, answers
    for _ in range(200):
        assert wire.ask(chance.randbytes(chance.randrange(1, 300)), 0) == b"" or not serial
    time.sleep(2.5)  # what may be the beginning of something is too old then
    assert is_volts(wire.ask(VOLTS)) or is_volts(wire.ask(VOLTS))
    if serial:
        assert is_volts(wire.ask(chance.randbytes(100) + VOLTS))
    # Floods of requests that nobody takes the answers of.
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        os.set_blocking(wire.fd, False)
        for _ in range(20000):
            wire.send(VOLTS)


def bears_hostile_masters():
    with Cable() as cable, presented(cable.url) as gateway:
        mistreat(cable)
        os.set_blocking(cable.fd, True)
        while cable.hear(1):
            pass
        assert is_volts(cable.ask(VOLTS)) or is_volts(cable.ask(VOLTS))
        assert not any("another device" in line for line in gateway.lines)
    with presented(ON_TCP) as gateway:
        with Stream(gateway) as stream:
            mistreat(stream)
        for _ in range(50):
            with Stream(gateway) as stream:
                stream.send(VOLTS[:5])
        silent = [Stream(gateway) for _ in range(30)]  # more than it has places
        with Stream(gateway) as stream:
            assert is_volts(stream.ask(VOLTS))
        for stream in silent:
            stream.close()
        with Stream(gateway) as stream:
            assert is_volts(stream.ask(VOLTS))


def skips_its_echo():
    """A two-wire adapter gives back what is sent: nothing is answered twice, and nobody takes it for another device."""
    with Cable() as cable, presented(cable.url, "switching = yes\n") as gateway:
        for request in (frame(1, *SWITCH_OFF), VOLTS, frame(1, 8, 0, 0, 1, 2), VOLTS, frame(1, *SWITCH_OFF), STATES):
            answer = cable.ask(request)
            assert answer[1] == request[1]
            cable.send(answer)
            assert cable.hear(0.3) == b"", request
        cable.send(cable.ask(VOLTS) + VOLTS)  # the echo and the next request in one
        assert is_volts(cable.hear(PATIENCE))
        assert not any("another device" in line for line in gateway.lines)


def falls_silent_before_another_device():
    with Cable() as cable, presented(cable.url) as gateway:
        assert is_volts(cable.ask(VOLTS))
        cable.send(frame(9, 3, 2, 0, 1))  # of another address: no matter
        assert is_volts(cable.ask(VOLTS))
        cable.send(frame(1, 3, 4, 0, 1, 0, 2))
        gateway.wait_for("another device answers on .*at address 1")
        begin = time.monotonic()
        while not (answer := cable.ask(VOLTS, 0.3)):
            assert time.monotonic() < begin + PATIENCE
        assert is_volts(answer) and time.monotonic() > begin + STOP_S - 1


# ---- when values turn stale ----

def expect_stop_then_silence(wire, since, limited=False):
    """Exception 11 for values, and state and currents that a silent pack has too; then nothing."""
    last = b""
    while now := wire.ask(VOLTS, 1):
        assert now[:3] == b"\x01\x83\x0b" or (is_volts(now) and not last), now
        if now[:3] == b"\x01\x83\x0b" and (state := wire.ask(STATES, 1)):
            assert state[:3] == b"\x01\x03\x02" and state[4] != 1, state
            last = now
            if limited and (allowed := wire.ask(reading(ALLOWED), 1)):
                assert allowed[:7] == b"\x01\x03\x04" + bytes(4), allowed
        time.sleep(0.1)
    assert last and time.monotonic() - since > STOP_S - 1
    assert wire.ask(STATES, 0.5) == b""


def says_nothing_before_the_first_values():
    """Of a BMS that was never heard, of a gateway that goes without it, and while two packs of a bank are missing."""
    server, url = simulate("daly", FIXED)
    server.stop()
    with Cable() as cable, Gateway(LINE.format(name="a", url=url, unit=1) + PRESENT.format(of="a", port=cable.url, view="", more="")) as gateway:
        gateway.wait_for("line a: ")
        for request in (VOLTS, STATES, frame(1, 8, 0, 0, 1, 2), frame(1, *SWITCH_OFF)):
            assert cable.ask(request, 0.5) == b""
        begin = time.monotonic()
        gateway.stop()
        assert cable.ask(STATES, 0.3) == b"" and time.monotonic() - begin < STOP_S / 2


def a_silent_bms_stops():
    with Cable() as cable, presented(cable.url, stale_s=STALE_S) as gateway:
        gateway.bms.stop()
        gateway.wait_for("present x: sending stop")
        expect_stop_then_silence(cable, time.monotonic())
        with Program(PACKGATE, "simulate", "--protocol", "daly", "--tcp", gateway.bms_url.removeprefix("tcp://"), "--options", FIXED):
            gateway.wait_for("present x: answers")
            assert is_volts(cable.ask(VOLTS))


def stops(how, stale_s=60):
    with Cable() as cable, presented(cable.url, LIMITS, stale_s=stale_s) as gateway:
        assert is_volts(cable.ask(VOLTS))
        begin = time.monotonic()
        gateway.process.send_signal(how)
        expect_stop_then_silence(cable, begin, limited=True)
        if how == signal.SIGSTOP:
            gateway.process.send_signal(signal.SIGCONT)
            gateway.wait_for("present x: answers")
            assert is_volts(cable.ask(VOLTS))


def a_gateway_that_hangs_stops():
    stops(signal.SIGSTOP, STALE_S)


def a_gateway_that_is_not_heard_stops():
    """However long values may be fresh."""
    stops(signal.SIGSTOP, 300)


def a_gateway_that_is_killed_stops():
    stops(signal.SIGKILL)


def a_gateway_that_is_stopped_stops():
    stops(signal.SIGTERM)


# ---- batteries, as inverters know them ----


@contextlib.contextmanager
def battery(protocol, port, more="", limits=LIMITS):
    server, url = simulate("daly", FIXED)
    text = LINE.format(name="a", url=url, unit=1) + limits + f"[present x]\nof = a\nport = {port}\nprotocol = {protocol}\n{more}"
    with server, Gateway(text) as gateway:
        gateway.wait_for("present x: answers")
        yield gateway


def frames(cable, seconds):
    """{identifier: the last data} of SLCAN lines that come in this time."""
    text, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        text += cable.hear(left)
    lines = [line for line in text.decode().split("\r") if line.startswith("t")]
    return {line[1:4]: bytes.fromhex(line[5:]) for line in lines}


def a_battery_on_a_can_bus_discharges():
    """Sent each second; when the gateway is killed only discharging is allowed, and then nothing is sent."""
    with Cable() as cable, battery("pylon-1.2", cable.url, limits=LIMITS + "on_stale = discharge\n") as gateway:
        deadline = time.monotonic() + PATIENCE
        while int.from_bytes((seen := frames(cable, 2)).get("351", bytes(6))[2:4], "little") == 0:  # it rises after half a minute
            assert time.monotonic() < deadline, seen
        assert 540 <= int.from_bytes(seen["351"][:2], "little") <= 552, seen
        gateway.process.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        frames(cable, 2)
        stopped = frames(cable, 3)
        assert stopped["351"][2:4] == bytes(2) and stopped["351"][4:6] != bytes(2), stopped
        while frames(cable, 2):
            assert time.monotonic() < begin + PATIENCE
        assert time.monotonic() > begin + STOP_S - 1


def a_battery_stops_in_its_own_protocol():
    """While it is stopping, no value but that nothing is allowed. What it answers before: test_present_battery.py."""
    for protocol, words in (("daly", ()), ("topbms", ("--variant", "pylontech", "--address", "2"))):
        more = f"variant = {words[1]}\naddress = {words[3]}\n" if words else ""
        with battery(protocol, ON_TCP, more) as gateway:
            gateway.process.send_signal(signal.SIGKILL)
            time.sleep(1)
            result = subprocess.run([PACKGATE, "read", "--port", f"tcp://127.0.0.1:{listening(gateway)}", "--protocol", protocol, *words],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
            assert result.returncode == 1 or "voltage_v" not in json.loads(result.stdout) or \
                json.loads(result.stdout)["charge_mos"] == 0, result.stdout


def check_looks_for_the_port():
    text = "[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n" + \
        PRESENT.format(of="a", port="serial:/dev/there-is-none", view="", more="")
    said = subprocess.run([PACKGATE, "check", "-"], input=text.encode(), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert b"[present x] /dev/there-is-none: it does not exist" in said.stdout, said.stdout


def falls_silent_before_another_battery():
    """Over a cable with a battery of the same address; its answers and our own echo are told apart."""
    ask = b"\xa5\x40\x90\x08" + bytes(8)
    ask += bytes([sum(ask) & 0xFF])
    with Cable() as cable, battery("daly", cable.url) as gateway:
        ours = cable.ask(ask)
        assert len(ours) == 13, ours
        cable.send(ours)  # the echo
        assert cable.hear(0.3) == b""
        assert cable.ask(ask) == ours
        other = bytearray(ours[:12])
        other[5] ^= 1
        cable.ask(ask)
        cable.send(bytes(other) + bytes([sum(other) & 0xFF]))
        gateway.wait_for("another device answers on")
        assert cable.ask(ask, 0.3) == b""


def outlet_of(gateway):
    return next(outlet for outlet in gateway.status()["outlets"] if outlet["kind"] == "present")


def what_was_asked_during_a_sleep_is_not_answered():
    """The process itself is stopped: what came meanwhile is of any age, and its master has given it up."""
    with Cable() as cable, presented(cable.url) as gateway:
        assert is_volts(cable.ask(VOLTS))
        pid = outlet_of(gateway)["pid"]
        os.kill(pid, signal.SIGSTOP)
        cable.send(VOLTS)
        time.sleep(4)
        os.kill(pid, signal.SIGCONT)
        assert cable.hear(0.5) == b""
        assert is_volts(cable.ask(VOLTS))


def a_new_gateway_takes_the_port_over():
    """Of one that was killed the outlet is still there, and says stop; the new one waits for the port, and then goes on."""
    with Cable() as cable, presented(cable.url) as gateway:
        assert is_volts(cable.ask(VOLTS))
        with open(gateway.path) as file:
            text = file.read()
        gateway.process.kill()
        with Gateway(text[text.index("[line"):]) as again:
            again.wait_for("present x: serial:.*another program uses it")
            assert cable.ask(VOLTS)[:3] == b"\x01\x83\x0b"
            again.wait_for("present x: serial:.*open again")
            assert is_volts(cable.ask(VOLTS))


def one_that_is_killed_comes_back():
    """It says nothing until it has values, and no old number then: its BMS is another one meanwhile."""
    age = find("age_s")
    whole = frame(1, 3, *struct.pack(">HH", age["address"], VOLTAGE["address"] + VOLTAGE["count"] - age["address"]))
    with Cable() as cable, presented(cable.url, stale_s=STALE_S) as gateway:
        assert is_volts(cable.ask(VOLTS))
        gateway.bms.stop()
        os.kill(outlet_of(gateway)["pid"], signal.SIGKILL)
        with Program(PACKGATE, "simulate", "--protocol", "daly", "--tcp", gateway.bms_url.removeprefix("tcp://"), "--options", FIXED.replace("52.8", "51.2")):
            deadline, seen, silent = time.monotonic() + PATIENCE, 0, 0
            while abs(seen - 51.2) > 0.05:
                assert time.monotonic() < deadline, seen
                answer = cable.ask(whole, 0.2)
                silent += answer == b""
                if answer[:2] == b"\x01\x83":
                    continue
                if words := struct.unpack(f">{len(answer[3:-2]) // 2}H", answer[3:-2]):
                    seen = decode(VOLTAGE, words[-2:])
                    assert abs(seen - 51.2) < 0.05 or (abs(seen - 52.8) < 0.05 and decode(age, words[:2]) <= STALE_S), (seen, words)
            assert silent > 0


def one_that_hangs_comes_back():
    """The gateway notices that nothing is read."""
    with Cable() as cable, presented(cable.url) as gateway:
        assert is_volts(cable.ask(VOLTS))
        pid = outlet_of(gateway)["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert cable.ask(VOLTS, 1) == b""
        gateway.wait_for("outlet present x: has read nothing for 10 s")
        gateway.wait_for("present x: answers")
        assert outlet_of(gateway)["pid"] != pid
        assert is_volts(cable.ask(VOLTS))


def a_port_that_is_pulled_comes_back():
    with Cable() as cable, presented(cable.url) as gateway:
        for _ in range(2):
            assert is_volts(cable.ask(VOLTS))
            cable.pull()
            gateway.wait_for("present x: serial:.*trying again")
            cable.plug()
            gateway.wait_for("present x: serial:.*open again")


def a_port_in_use_is_awaited():
    """The log says once that it is in use, however often it is tried."""
    server, url = simulate("daly", FIXED)
    with server, socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with Gateway(LINE.format(name="a", url=url, unit=1) + PRESENT.format(of="a", port=f"tcp-listen:{address}", view="", more=""), arguments=("--debug",)) as gateway:
            for _ in range(3):
                gateway.wait_for(f"cannot listen on {address}")
            other.close()
            gateway.wait_for("present x: tcp-listen:.*open again")
            assert sum("error: cannot listen" in line for line in gateway.lines) == 1


def a_port_that_is_missing_is_not_answered():
    """Values alone are no answer: the log says so once the port is there."""
    server, url = simulate("daly", FIXED)
    with Cable() as cable, server:
        cable.pull()
        text = LINE.format(name="a", url=url, unit=1) + LIMITS + PRESENT.format(of="a", port=cable.url, view="", more="") + \
            f"[present can]\nof = a\nport = can:none\nprotocol = pylon-1.2\n[present ready]\nof = a\nport = {ON_TCP}\nprotocol = modbus-rtu\n"
        with Gateway(text) as gateway:
            gateway.wait_for("present ready: answers")
            time.sleep(1.2)  # each outlet looks once a second
            assert not any(f"present {name}: answers" in line for line in gateway.lines for name in ("x", "can")), gateway.lines
            cable.plug()
            gateway.wait_for("present x: serial:.*open again")
            gateway.wait_for("present x: answers")
            assert is_volts(cable.ask(VOLTS))


def the_time_of_day_matters_not():
    """Clocks that are turned: the outlet and the gateway go by one that is not (clock_now)."""
    test_influx_clock.PACE = 1
    with tempfile.TemporaryDirectory() as folder, Cable() as cable:
        clock = test_influx_clock.Clock(folder)
        with clock.for_programs():
            context = presented(cable.url)
            context.__enter__()
        try:
            for offset in (3600, -86400, 0):
                clock.move(offset)
                for _ in range(5):
                    assert is_volts(cable.ask(VOLTS))
                    time.sleep(0.1)
        finally:
            context.__exit__(None, None, None)


def a_reload_ends_it_with_a_stop():
    with presented(ON_TCP) as gateway:
        with open(gateway.path) as file:
            text = file.read()
        with Stream(gateway) as stream:
            assert is_volts(stream.ask(VOLTS))
            with open(gateway.path, "w") as file:
                file.write(text.split("[present x]")[0])
            gateway.process.send_signal(signal.SIGHUP)
            expect_stop_then_silence(stream, time.monotonic())
        gateway.wait_for("present x: stops sending, and exits")


FLUSHES = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
static int out = -1;
__attribute__((constructor)) static void begin(void)
{
    out = fcntl(open("FOLDER/flushes", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), F_DUPFD_CLOEXEC, 200);
}
int tcflush(int fd, int queue)
{
    (void) !write(out, &"012"[queue], 1);
    return syscall(SYS_ioctl, fd, 0x540B, queue);
}
"""


def what_a_stuck_adapter_holds_ends_with_it():
    """Or the exit would wait for it, half a minute, and the adapter would send it later. It is discarded before each set of frames, too."""
    with tempfile.TemporaryDirectory(prefix="packgate-present-") as folder, preloaded(folder, FLUSHES.replace("FOLDER", folder)), \
            Cable() as cable, battery("pylon-1.2", cable.url) as gateway:
        with open(gateway.path) as file:
            text = file.read()
        with open(gateway.path, "w") as file:
            file.write(text.split("[present x]")[0])
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("present x: stops sending, and exits")
        sets = cable.hear(1).count(b"t35E")
        assert sets >= STOP_S - 1
        until(lambda: os.path.getsize(f"{folder}/flushes"), lambda flushes: flushes == sets + 1)


def status_says_who_asks():
    with presented(ON_TCP) as gateway:
        def words():
            return outlet_of(gateway).get("error", "")

        until(lambda: "no request yet" in words())
        with Stream(gateway) as stream:
            while "asked every 0." not in (said := words()):
                assert is_volts(stream.ask(VOLTS)), said
                time.sleep(0.2)
        assert "by 127.0.0.1:" in said and f"from {VOLTAGE['address']} of unit 1" in said, said


def status_says_what_was_told():
    """The limits in the last answer that had any: of the map, and of a view with its own scale."""
    view = "[view meter]\nsource = a\nlisten = 127.0.0.1:0\nunit = 3\n" \
        "register = charge_voltage_limit_v & allowed_charge_voltage_v -> 40010 u16 min 0 scale 100\n" \
        "register = discharge_current_limit_a & allowed_discharge_current_a -> 40011 u16 min 0 scale 5.12\nfill = 40010-40011 -> 10\n"
    limits = [find(f"allowed_{name}") for name in ("charge_voltage_v", "charge_current_a", "discharge_current_a")]
    whole = frame(1, 3, *struct.pack(">HH", limits[0]["address"], limits[2]["address"] + 2 - limits[0]["address"]))
    with presented(ON_TCP, LIMITS) as gateway, Stream(gateway) as stream:
        def await_words(pattern, *asked):
            deadline = time.monotonic() + PATIENCE
            while not (found := re.search(pattern, said := outlet_of(gateway).get("error", ""))):
                for request in asked:
                    assert stream.ask(request)
                assert time.monotonic() < deadline, said
                time.sleep(0.1)
            return found

        assert "told" not in await_words("by 127.*of unit 1.*", VOLTS)[0]
        # Behind it come requests without limits: what was told last stays there.
        told = await_words(r"2 from \d+ of unit 1; told: charge (\S+) A up to (\S+) V, discharge (\S+) A$", whole, VOLTS)
        volts, charge, discharge = (decode(limit, struct.unpack(">2H", stream.ask(reading(limit))[3:-2])) for limit in limits)
        assert abs(float(told[2]) - volts) < 1.5 and float(told[1]) <= charge + 0.1 and float(told[3]) <= discharge + 0.1, (told[0], volts, charge, discharge)
    with presented(ON_TCP, view + LIMITS, view=" meter") as gateway, Stream(gateway) as stream:
        for address in (40010, 10):
            request = frame(3, 4, *struct.pack(">HH", address, 2))
            seen = await_words(rf"2 from {address} of unit 3; told: charge up to (\S+) V, discharge (\S+) A$", request)
            assert abs(float(seen[1]) - volts) < 1.5, (seen[0], volts)  # it moves between the float and the full voltage



if __name__ == "__main__":
    main([a_battery_on_a_can_bus_discharges, a_gateway_that_is_not_heard_stops, a_gateway_that_hangs_stops, a_silent_bms_stops, bears_hostile_masters,
          a_battery_stops_in_its_own_protocol, falls_silent_before_another_battery, falls_silent_before_another_device, answers_masters_of_others,
          a_gateway_that_is_killed_stops, a_gateway_that_is_stopped_stops, a_reload_ends_it_with_a_stop, what_a_stuck_adapter_holds_ends_with_it,
          switches_where_it_may, serves_a_bank_and_its_packs, serves_a_view, counts_for_function_8, writes_settings_where_it_may, answers_an_order_while_others_ask, gives_an_order_up_when_the_master_goes_on, skips_its_echo, a_port_that_is_pulled_comes_back, a_port_in_use_is_awaited, a_port_that_is_missing_is_not_answered, documented_commands_read,
          what_was_asked_during_a_sleep_is_not_answered, the_time_of_day_matters_not, status_says_who_asks, status_says_what_was_told,
          a_new_gateway_takes_the_port_over, one_that_is_killed_comes_back, one_that_hangs_comes_back,
          says_nothing_before_the_first_values, says_what_port_502_says, check_looks_for_the_port], at_once=12)
