# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""Writing settings of emulated packs, by both registers of a float: SOC, capacity and balancer, through each driver
whose protocol documents it. A write is confirmed by the value that is read back, whatever happens to the
acknowledgement."""

import concurrent.futures
import contextlib
import math
import os
import re
import socket
import struct
import subprocess

from harness import PACKGATE, PATIENCE, Gateway, Way, await_value, main, protocols, read_value, simulate, until

# Settings by value: the first register, and the values to set in turn if the resolution allows it.
REGISTERS = {"soc_percent": (290 + 216, (80.5, 12.0)), "rated_ah": (290 + 224, (280.5, 100.0)), "set_balancer": (290 + 652, (0, 1))}
SOC, CAPACITY, BALANCER = ((name, register) for name, (register, _) in REGISTERS.items())
VARIANTS = {"jk-pb": ["trigger", "registers"]}
PROTOCOLS = [row for row in protocols() if not row["wants_map"]]


def in_turn(setting):
    """The values with the resolution of this protocol."""
    return tuple(math.floor(value / setting["step"] + 1e-6) * setting["step"] if setting["step"] >= 1 else value
                 for value in REGISTERS[setting["name"]][1])


# driver, variant, and settings: value, first register, values to set in turn.
DRIVERS = [(row["name"], variant, {(setting["name"], REGISTERS[setting["name"]][0]): in_turn(setting) for setting in row["settings"]})
           for row in PROTOCOLS if row["settings"] and row["name"] != "jk-4e57"  # which has its own case
           for variant in VARIANTS.get(row["name"], [""])]
NOT_THERE, OUT_OF_RANGE, NO_ANSWER, NOT_ALLOWED = 2, 3, 0x0B, 1
OTHERS = [row["name"] for row in PROTOCOLS if not row["settings"]]


def pack(url, driver, variant="", writable="settings", more=""):
    return f"""
[line bus]
port = {url}
protocol = {driver}
[pack house]
line = bus
unit = 1
poll = 100ms
stale_after = 1h
{'variant = ' + variant if variant else ''}
{'writable = ' + writable if writable else ''}
{more}
"""


def words(value):
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return [low, high]


def write(client, setting, value):
    """The exception code, or None. It takes a while, because the pack is read before and after."""
    response = client.write_registers(setting[1], words(value), slave=1)
    return response.exception_code if response.isError() else None


def expect(got, wanted=None):
    assert got == wanted, f"expected {wanted}, got {got}"


def near(value):
    return lambda got: got is not None and abs(got - value) < 0.06


def simulate_variant(driver, variant, *options):
    return simulate(driver, *(options or ("profile=fixed,soc=50",)), *(["--variant", variant] if variant else []))


def with_each_driver(test, leave_out=()):
    with concurrent.futures.ThreadPoolExecutor(len(DRIVERS)) as pool:
        jobs = {pool.submit(test, *driver): driver for driver in DRIVERS if driver[0] not in leave_out}
        failed = [f"{jobs[job]}: {job.exception()!r}" for job in concurrent.futures.as_completed(jobs) if job.exception()]
    assert not failed, "\n".join(failed)


def open_pack(driver, variant, url, **more):
    gateway = Gateway(pack(url, driver, variant, **more))
    gateway.wait_published("house")
    return gateway


def sets_and_reads_back():
    with_each_driver(set_and_read_back)


def set_and_read_back(driver, variant, settings):
    server, url = simulate_variant(driver, variant)
    with server, open_pack(driver, variant, url) as gateway, gateway.client() as client:
        for setting, values in settings.items():
            await_value(client, setting[0], 1, lambda got: not math.isnan(got))
            for value in values:
                expect(write(client, setting, value))
                await_value(client, setting[0], 1, near(value))
                gateway.wait_for(rf"client 127\.0\.0\.1:\d+ orders {setting[0]} {value:g} instead of [\d.]+: confirmed")


def does_not_write_what_is_set_already():
    """It is read again first, because another program may have changed it; and writing wears the memory out."""
    server, url = simulate_variant("jk02", "")
    with server, contextlib.closing(Way(url)) as way, open_pack("jk02", "", way.url) as gateway, gateway.client() as client:
        await_value(client, "set_balancer", 1, lambda got: got == 1)
        way.await_all_asked(client)
        way.orders = "count"
        for _ in range(3):
            expect(write(client, BALANCER, 1))
        assert way.counted == 0
        expect(write(client, BALANCER, 0))
        assert way.counted == 1


def refuses():
    server, url = simulate_variant("daly", "")
    with server, open_pack("daly", "", url) as gateway, gateway.client() as client:
        for value in (100.1, -1, math.nan, math.inf, 1e30):
            expect(write(client, SOC, value), OUT_OF_RANGE)
        expect(write(client, CAPACITY, 100), NOT_THERE)
        expect(write(client, BALANCER, 1), NOT_THERE)
        for address, registers in ((SOC[1], [0]), (SOC[1] + 1, [0, 0]), (SOC[1], [0, 0, 0]), (SOC[1] - 2, [0, 0, 0, 0]),
                                   (290, [50]), (290 + 610, words(3650)), (290 + 210, words(50))):
            expect(client.write_registers(address, registers, slave=1).exception_code, NOT_THERE)
        expect(client.write_register(SOC[1], 50, slave=1).exception_code, NOT_THERE)
        expect(client.write_coil(0, False, slave=1).exception_code, NOT_THERE)  # settings only
        await_value(client, "soc_percent", 1, near(50))
        await_value(client, "charge_mos", 1, near(1))
        gateway.wait_for(r"warning: pack house: client 127\.0\.0\.1:\d+ orders soc_percent 100\.1: refused with exception 3, "
                         r"the value is out of range")


def refuses_without_the_right():
    server, url = simulate_variant("daly", "")
    with server:
        for writable, general, code in (("", "", NOT_ALLOWED), ("yes", "", NOT_THERE),
                                        ("settings", "allow_write = 192.0.2.1/32", NOT_ALLOWED)):
            with Gateway(pack(url, "daly", writable=writable), general) as gateway, gateway.client() as client:
                gateway.wait_published("house")
                expect(write(client, SOC, 80), code)
                await_value(client, "soc_percent", 1, near(50))
        with Gateway(pack(url, "daly", writable="all")) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            expect(write(client, SOC, 80))
            assert not client.write_coil(0, False, slave=1).isError()
            await_value(client, "charge_mos", 1, lambda got: got == 0)


def tells_what_was_not_carried_out():
    """Firmware of version 11 does not answer this request."""
    server, url = simulate_variant("jk-4e57", "")
    with server, open_pack("jk-4e57", "", url) as gateway, gateway.client() as client:
        await_value(client, "set_balancer", 1, lambda got: got == 1)
        expect(write(client, BALANCER, 0), NO_ANSWER)
        await_value(client, "set_balancer", 1, near(1))
        gateway.wait_for(r"orders set_balancer 0 instead of 1: not confirmed")


def believes_only_what_is_read_back():
    with_each_driver(believe_only_what_is_read_back, leave_out=("jbd",))  # it takes four requests: the next one


def believe_only_what_is_read_back(driver, variant, settings):
    """The acknowledgement is lost, and arrives after the next order, which is not executed."""
    setting, (first, second) = next(iter(settings.items()))
    server, url = simulate_variant(driver, variant)
    with server, contextlib.closing(Way(url)) as way, open_pack(driver, variant, way.url) as gateway, \
            gateway.client() as client:
        await_value(client, setting[0], 1, lambda got: not math.isnan(got))
        way.await_all_asked(client)
        way.orders = "hold"
        expect(write(client, setting, first))
        await_value(client, setting[0], 1, near(first))
        way.orders = "drop"
        expect(write(client, setting, second), NO_ANSWER)
        await_value(client, setting[0], 1, near(first))
        way.orders = "pass"
        expect(write(client, setting, second))
        await_value(client, setting[0], 1, near(second))


ENTER, LEAVE = bytes.fromhex("DD5A00025678FF3077"), bytes.fromhex("DD5A01020000FFFD77")
PARAMETER = bytes.fromhex("DDA51000FFF077")  # answered in factory mode only


def in_factory_mode(url):
    host, port = url[len("tcp://"):].split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as board:
        board.sendall(PARAMETER)
        answer = board.recv(16)
        while not answer.endswith(b"\x77"):
            answer += board.recv(16)
        assert answer[:2] == b"\xDD\x10" and answer[2] in (0, 0x81), answer.hex()
        return answer[2] == 0


def leaves_factory_mode():
    """A gateway that is killed in the middle leaves a JBD board in factory mode. The next one ends that mode before
    it writes anything; one that does not write settings only sends requests that read."""
    server, url = simulate_variant("jbd", "")
    with server:
        with contextlib.closing(Killer(url)) as way, open_pack("jbd", "", way.url) as gateway, gateway.client() as client:
            until(lambda: LEAVE in way.passed)  # which program was there before is unknown
            way.victim = gateway
            with contextlib.suppress(ConnectionError):
                client.write_registers(SOC[1], words(80), slave=1)
            gateway.process.wait(PATIENCE)
        assert in_factory_mode(url)
        with contextlib.closing(Killer(url)) as way, open_pack("jbd", "", way.url, writable="yes") as gateway:
            gateway.stop()
            assert b"\xDD\x5A" not in way.passed, way.passed.hex()
        assert in_factory_mode(url)
        with contextlib.closing(Killer(url)) as way, open_pack("jbd", "", way.url) as gateway, gateway.client() as client:
            until(lambda: LEAVE in way.passed)
            way.await_all_asked(client)
            told = way.passed.count(LEAVE)
            assert told <= 2, way.passed.hex()  # the first answers of a pack are requested twice
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda now: now >= polls + 10)
            assert way.passed.count(LEAVE) == told, way.passed.hex()
            await_value(client, "soc_percent", 1, near(50))
            expect(write(client, SOC, 80))
            await_value(client, "soc_percent", 1, near(80))
        assert not in_factory_mode(url)


def comes_out_after_a_lost_line():
    """The connection ends when the board has entered factory mode: the mode is ended through the next one."""
    server, url = simulate_variant("jbd", "")
    with server, contextlib.closing(Killer(url)) as way, open_pack("jbd", "", way.url) as gateway, gateway.client() as client:
        way.await_all_asked(client)
        before, way.cut = way.passed.count(LEAVE), True
        response = client.write_registers(SOC[1], words(80), slave=1)  # which may continue on the next connection
        until(lambda: way.passed.count(LEAVE) > before)
        await_value(client, "soc_percent", 1, near(50 if response.isError() else 80))
        expect(write(client, SOC, 12))
        gateway.stop()
        assert not in_factory_mode(url)


class Killer(Way):
    """Passes everything on, and kills the gateway, or its connection, when it sends a board into factory mode."""

    def __init__(self, url):
        self.victim, self.cut, self.passed = None, False, b""
        super().__init__(url)

    def pass_on(self, near_end, far):
        for data in self.sent(near_end, far):
            self.passed += data
            self.known.add(data)
            far.sendall(data)
            if data == ENTER and (self.victim or self.cut):
                while not data.endswith(b"\x77") or data[1:2] != b"\0":
                    data = far.recv(16)  # it has done it
                if self.victim:
                    self.victim.process.kill()
                self.cut = False
                return


def the_page_s_commands_do_it():
    with open(os.path.join(os.path.dirname(__file__), "../../docs/settings.md")) as file:
        commands = re.findall(r"^mbpoll .* 127\.0\.0\.1 .*?(?= *#)", file.read(), re.M)
    assert len(commands) == 2
    server, url = simulate_variant("daly-d2", "")
    with server, open_pack("daly-d2", "", url) as gateway, gateway.client() as client:
        await_value(client, "set_balancer", 1, lambda got: got == 1)
        for command in commands:
            program, *rest = command.split()
            result = subprocess.run([program, "-p", str(gateway.port), *rest], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=2 * PATIENCE)
            assert result.returncode == 0, (command, result.stdout)
        await_value(client, "soc_percent", 1, near(80.5))
        await_value(client, "set_balancer", 1, near(0))


def configuration_refuses_protocols_that_cannot():
    for driver in OTHERS:
        for writable in "settings", "all":
            result = subprocess.run([PACKGATE, "check", "-"], input=pack("tcp://127.0.0.1:1", driver, writable=writable).encode(),
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
            assert result.returncode == 1 and re.search(rb"protocol '\S+' has no", result.stdout), (driver, result.stdout)


main([believes_only_what_is_read_back, sets_and_reads_back, does_not_write_what_is_set_already, refuses,
      refuses_without_the_right, tells_what_was_not_carried_out, leaves_factory_mode, comes_out_after_a_lost_line,
      the_page_s_commands_do_it, configuration_refuses_protocols_that_cannot], at_once=3)
