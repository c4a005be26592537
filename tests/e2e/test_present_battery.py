# SPDX-License-Identifier: MIT
"""A pack or a bank on a port, in the protocols that inverters use: `packgate read` and a simulated inverter read the
values that the pack reports, over TCP and pseudo terminals; CAN as text; and the messages when values turn stale."""

# tests/run: 65 s

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

from harness import PACKGATE, PATIENCE, Gateway, Program, Way, main, simulate, until
from test_present import Bridge, Cable, Wire

LIMITS = """[limits {of}]
charge_current = 100
discharge_current = 150
cells = {cells}
sensors = {sensors}
cell_full = 3.45
cell_float = 3.375, 90
cell_high = 3.375:1, 3.50:0
cell_low = 3.19:1, 2.80:0
temperature = 0:0, 5:1, 45:1, 55:0
"""
PACK = """[line {name}]
port = {url}
protocol = {protocol}
[pack {name}]
line = {name}
unit = {unit}
poll = 200ms
stale_after = 2s
"""
FIXED = "profile=fixed,cells=16,temps=4,charge_mos=1,discharge_mos=1,current_a=-12.3"
# Protocol and variant
SPOKEN = [("topbms", "pylontech"), ("topbms", "pace"), ("topbms", "seplos"), ("seplos-v3", None), ("pace-modbus", None),
          ("jk-pb", "registers"), ("jk-pb", "trigger"), ("eg4-ll", None), ("daly", None), ("daly-d2", None), ("jbd", None),
          ("daren", None), ("felicity", None)]
# Values that come from [limits].
ALLOWED = re.compile("limit|_mos$")
# In the unit of the value: half of the coarsest step of any protocol, and of dependent values.
STEPS = {"voltage_v": 0.06, "current_a": 0.06, "power_w": 6, "soc_percent": 1, "remaining_ah": 1, "full_ah": 1, "rated_ah": 1, "cell_mv": 0.6,
         "temp_c": 0.6, "temp_avg_c": 0.6, "mos_temp_c": 0.6, "cell_avg_mv": 0.6, "soh_percent": 0.6, "cell_max_mv": 0.6, "cell_min_mv": 0.6,
         "cell_delta_mv": 0.6}


def read(*arguments):
    return json.loads(subprocess.run([PACKGATE, "read", *arguments], stdout=subprocess.PIPE, check=True).stdout)


def expect_same(shown, got, title, least=15):
    compared = 0
    for name, value in got.items():
        if not isinstance(value, (int, float)) or ALLOWED.search(name) or name.startswith(("alarm", "set_", "balanc")) or name == "temp_count":
            continue
        if name == "temp_avg_c" and sum(other.startswith("temp_c.") for other in got) != shown["temp_count"]:
            continue
        if name.startswith("temp_c.") and name not in shown:
            name = "mos_temp_c"  # some protocols have it among the sensors
        step = STEPS.get(name.split(".")[0], 0)
        assert name in shown and abs(value - shown[name]) <= step, (title, name, value, shown.get(name))
        compared += 1
    assert compared >= least, (title, got)


class Stream(Wire):
    """A TCP connection; what came before a request counts as well."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.fd = self.socket.fileno()

    def ask(self, request, seconds=5):
        self.socket.sendall(request)
        return self.hear(seconds)

    def close(self):
        self.socket.close()


def wait_presented(gateway, count):
    waiting = {f"p{number}" for number in range(count)}
    while waiting:
        waiting.discard(gateway.wait_for(r"present (p\d+): answers")[1])


@contextlib.contextmanager
def source(*sections, protocol="jk-pb", variant=None, options=FIXED, sensors=4):
    """A gateway with one pack, "a", which is presented."""
    server, url = simulate(protocol, options, *(("--variant", variant) if variant else ()))
    presents = "".join(f"[present p{number}]\nof = a\n{section}\n" for number, section in enumerate(sections))
    with server, Gateway(PACK.format(name="a", url=url, protocol=protocol, unit=1) + LIMITS.format(of="a", cells=16, sensors=sensors)
                         + presents) as gateway:
        gateway.bms, gateway.bms_url = server, url
        wait_presented(gateway, len(sections))
        yield gateway


def port_of(gateway, name):
    return int(next(re.search(r"port (\d+)", line)[1] for line in gateway.lines if f"present {name}: listening" in line))


def arguments_for(protocol, variant):
    address = ["--address", "2"] if variant == "pylontech" else []
    return ["--protocol", protocol, *address] + (["--variant", variant] if variant else [])


def joined(stack):
    """Two pseudo terminals: `path`, and that of `near`."""
    return stack.enter_context(Bridge(stack.enter_context(Cable())))


def presented_by_all(wires=None):
    """A [present] for each of SPOKEN, over TCP, or on these wires."""
    for number, (protocol, variant) in enumerate(SPOKEN):
        port = f"serial:{wires[number].near.path}" if wires else "tcp-listen:127.0.0.1:0"
        yield f"port = {port}\nprotocol = {protocol}\n" + (f"variant = {variant}\n" if variant else "")


def port_of_form(gateway, wires, number):
    return f"serial:{wires[number].path}" if wires else f"tcp://127.0.0.1:{port_of(gateway, f'p{number}')}"


def read_by_all(gateway, wires=None):
    """The exit status and the output of a reader for each [present] of presented_by_all, all at once."""
    readers = [subprocess.Popen([PACKGATE, "read", "--port", port_of_form(gateway, wires, number), *arguments_for(*form)], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL) for number, form in enumerate(SPOKEN)]
    for reader in readers:
        text = reader.communicate(timeout=PATIENCE)[0].decode()
        yield reader.returncode, text


def is_read_as_it_is(wires=None):
    with source(*presented_by_all(wires)) as gateway:
        shown = read("-c", gateway.path, "a")
        for (protocol, variant), (status, text) in zip(SPOKEN, read_by_all(gateway, wires)):
            assert status == 0, (protocol, variant)
            expect_same(shown, json.loads(text), f"{protocol} {variant}")


def over_serial_lines():
    with contextlib.ExitStack() as stack:
        is_read_as_it_is([joined(stack) for _ in SPOKEN])


@contextlib.contextmanager
def bank(*sections):
    """The same for "h", a bank of three makes."""
    with contextlib.ExitStack() as stack:
        text = ""
        for name, protocol, unit in (("a", "jk-pb", 1), ("b", "daly", 2), ("c", "topbms", 3)):
            server, url = simulate(protocol, f"{FIXED},seed={unit}")
            stack.enter_context(server)
            text += PACK.format(name=name, url=url, protocol=protocol, unit=unit)
        text += "[bank h]\npacks = a, b, c\nunit = 10\n" + LIMITS.format(of="h", cells=16, sensors=4)
        text += "".join(f"[present p{number}]\nof = h\n{section}\n" for number, section in enumerate(sections))
        gateway = stack.enter_context(Gateway(text))
        wait_presented(gateway, len(sections))
        yield gateway


def a_bank_is_read_as_it_is(wires=None):
    """It has no single cells and sensors: protocols whose messages all need them send nothing, the others omit them."""
    with bank(*presented_by_all(wires)) as gateway:
        shown, told = read("-c", gateway.path, "h"), {}
        for (protocol, variant), (status, text) in zip(SPOKEN, read_by_all(gateway, wires)):
            if status == 0:
                told[protocol] = json.loads(text)
                expect_same(shown, told[protocol], f"{protocol} {variant}", least=10)
            assert status == 0 or not text, (protocol, variant, text)
        assert abs(told["daly"]["current_a"] + 3 * 12.3) < 0.06, told


def a_bank_over_serial_lines():
    with contextlib.ExitStack() as stack:
        a_bank_is_read_as_it_is([joined(stack) for _ in SPOKEN])


def a_bank_is_a_stack():
    """For an inverter, over TCP and serial lines: the values that a bank has, and no others."""
    kinds = [("pylontech", "topbms pylontech"), ("victron", "victron"), ("pylon-1.2", "pylon-1.2"), ("pylon-1.3", "pylon-1.3")]
    with contextlib.ExitStack() as stack:
        wires = [joined(stack) for _ in kinds]
        gateway = stack.enter_context(bank(*(f"protocol = {protocol}\nport = {port}" for (_, protocol), wire in zip(kinds, wires)
                                             for port in ("tcp-listen:127.0.0.1:0", f"serial:{wire.near.path}"))))
        for number, ((kind, _), wire) in enumerate(zip(kinds, wires)):
            for port in (f"tcp://127.0.0.1:{port_of(gateway, f'p{2 * number}')}", f"serial:{wire.path}"):
                before = read("-c", gateway.path, "h")
                with Program(PACKGATE, "simulate", "--inverter", kind, "--port", port) as inverter:
                    told = inverter.wait_for(r"([\d.]+) V, (-?[\d.]+) A, SOC ([\d.]+) %, may charge ([\d.]+) A up to ([\d.]+) V, discharge")
                shown = read("-c", gateway.path, "h")  # the allowed voltage rises from float
                volts, amperes, soc = (float(told[n]) for n in (1, 2, 3))
                assert abs(volts - shown["voltage_v"]) < 0.06 and abs(amperes - shown["current_a"]) < 0.06, (kind, port, told[0], shown)
                assert before["soc_percent"] <= soc <= shown["soc_percent"], (kind, port, told[0], shown)
                least, most = (of["allowed_charge_voltage_v"] for of in (before, shown))
                assert least - 0.11 < float(told[5]) < most + 0.11, (kind, port, told[0], before, shown)
        with Stream(port_of(gateway, "p0")) as stream:
            # As a single battery: its cells are unknown, so there is no answer.
            assert stream.ask(b"~20024642E00202FD33\r", 1) == b""
            assert stream.ask(b"~200246630000FDA9\r")[:13] == b"~20024600D012"
            # Neither a switch nor another address
            assert stream.ask(b"~200346630000FDA8\r", 0.5) == b""


def words_of(gateway, name):
    return next(outlet for outlet in gateway.status()["outlets"] if outlet["name"] == name).get("error", "")


def await_status(gateway, wanted, name="p0"):
    until(lambda: words_of(gateway, name), lambda said: wanted in said)


def frames(data):
    return {line[1:4]: line[5:] for line in data.decode().split("\r") if line.startswith("t")}


def can_as_text():
    with source("port = tcp-listen:127.0.0.1:0\nprotocol = pylon-1.2\nsoh = 97\n") as gateway:
        port = port_of(gateway, "p0")
        with Stream(port) as stream:
            said = hear_frames(stream, lambda said: len(said) >= 6)
            assert set(said) == {"351", "355", "356", "359", "35C", "35E"}, said
            assert said["35E"] == b"PYLON   ".hex().upper()
            assert int.from_bytes(bytes.fromhex(said["356"])[2:4], "little", signed=True) == -123
            await_status(gateway, "no frame of an inverter yet")
            stream.socket.sendall(b"t30580000000000000000\r")
            await_status(gateway, "acknowledged by")  # only once, so there is no time between two
            time.sleep(1)
            stream.socket.sendall(b"t30580000000000000000\r")
            await_status(gateway, "acknowledged every")
            assert float(re.search(r"every ([\d.]+) s", words_of(gateway, "p0"))[1]) >= 0.9


def hear_frames(stream, enough):
    """Whole frames, until they are enough."""
    data = b""
    while not enough(frames(data)) or not data.endswith(b"\r"):
        data += stream.hear(2)
    return frames(data)


def limits_of_can(port):
    """Decodes the last complete set of frames."""
    with Stream(port) as stream:
        data = hear_frames(stream, lambda said: "351" in said)
        stream.socket.sendall(b"t30580000000000000000\r")
        frame = bytes.fromhex(data["351"])
    volts, charge, discharge = (int.from_bytes(frame[n:n + 2], "little") / 10 for n in (0, 2, 4))
    return f"charge {charge:g} A up to {volts:g} V, discharge {discharge:g} A"


def limits_of_stack(port):
    with Stream(port) as stream:
        info = stream.ask(b"~200246630000FDA9\r")[13:]
    volts, _, charge, discharge = (int(info[n:n + 4], 16) for n in range(0, 16, 4))
    return f"charge {charge / 10:g} A up to {volts / 1000:.3f} V, discharge {discharge / 10:g} A"


def limits_of_a_battery(protocol):
    """As decoded by its driver; for a protocol without limits, its switches."""
    def limits(port):
        values = read("--port", f"tcp://127.0.0.1:{port}", "--protocol", protocol)
        charge = f"charge {values['charge_current_limit_a']:g} A" if "charge_current_limit_a" in values else f"charging {('off', 'on')[values['charge_mos']]}"
        return charge if protocol == "eg4-ll" else f"{charge}, discharging {('off', 'on')[values['discharge_mos']]}"
    return limits


def status_says_what_the_answer_carries():
    """Neither unrounded limits, nor limits that the protocol does not have."""
    forms = [("pylon-1.2", limits_of_can, "charge 33.3 A up to 54 V, discharge 44.4 A"),
             ("topbms pylontech", limits_of_stack, "charge 33.3 A up to 54.064 V, discharge 44.4 A"),
             ("eg4-ll", limits_of_a_battery("eg4-ll"), "charge 33 A"), ("daly", limits_of_a_battery("daly"), "charging on, discharging on")]
    limits = LIMITS.replace("= 100", "= 33.37").replace("= 150", "= 44.48").replace("= 3.45\n", "= 3.379\n").replace("= 3.375\n", "= 3.379\n")
    server, url = simulate("jk-pb", FIXED)
    with server, Gateway(PACK.format(name="a", url=url, protocol="jk-pb", unit=1) + limits.format(of="a", cells=16, sensors=4) + "".join(
            f"[present p{number}]\nof = a\nport = tcp-listen:127.0.0.1:0\nprotocol = {protocol}\n" for number, (protocol, *_) in enumerate(forms))) as gateway:
        wait_presented(gateway, len(forms))
        for number, (protocol, carried, wanted) in enumerate(forms):
            port = port_of(gateway, f"p{number}")
            while carried(port) != wanted:  # after half a minute
                pass
            deadline = time.monotonic() + PATIENCE
            while not (said := words_of(gateway, f"p{number}")).endswith(f"; told: {wanted}"):
                assert carried(port) == wanted and time.monotonic() < deadline, (protocol, said, wanted)


def expect_stop(happens):
    """First limits of 0, then nothing."""
    with source("port = tcp-listen:127.0.0.1:0\nprotocol = topbms pylontech\n", "port = tcp-listen:127.0.0.1:0\nprotocol = pylon-1.2\n") as gateway:
        ports = [port_of(gateway, name) for name in ("p0", "p1")]
        with Program(PACKGATE, "simulate", "--inverter", "pylontech", "--port", f"tcp://127.0.0.1:{ports[0]}") as asking, \
                Program(PACKGATE, "simulate", "--inverter", "pylon-1.2", "--port", f"tcp://127.0.0.1:{ports[1]}") as listener:
            for inverter in (asking, listener):
                inverter.wait_for(r"may charge [1-9]\d*\.\d A.*takes")  # after half a minute
            happens(gateway)
            for inverter in (asking, listener):
                inverter.wait_for(r"may charge 0\.0 A.*discharge 0\.0 A.*takes 0\.0 A")
                inverter.wait_for(r"received no limits for")
        with contextlib.suppress(ProcessLookupError):
            gateway.process.send_signal(signal.SIGCONT)


def a_silent_bms_says_stop():
    expect_stop(lambda gateway: gateway.bms.stop())


def a_gateway_that_hangs_says_stop():
    expect_stop(lambda gateway: gateway.process.send_signal(signal.SIGSTOP))


def a_gateway_that_dies_says_stop():
    expect_stop(lambda gateway: gateway.process.send_signal(signal.SIGKILL))


def unfit_sections_are_refused():
    for protocol, more, complaint in (("victron", "address = 2\n", "has no addresses"),
                                      ("daly", "variant = toast\n", "has no variant"), ("jk-pb", "port = can:can0\n", "is not for a CAN bus"),
                                      ("toast", "", "protocol")):
        port = "" if "port" in more else "port = tcp-listen:127.0.0.1:0\n"
        text = PACK.format(name="a", url="sim:", protocol="daly", unit=1) + LIMITS.format(of="a", cells=16, sensors=4) + f"[present x]\nof = a\nprotocol = {protocol}\n{port}{more}"
        result = subprocess.run([PACKGATE, "check", "-"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert result.returncode == 1 and re.search(complaint, result.stdout.decode()), (protocol, result.stdout.decode())


def kill_outlets(gateway):
    """Kills the processes of all [present]. Returns their number."""
    pids = [outlet["pid"] for outlet in gateway.status()["outlets"] if outlet["kind"] == "present"]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


RTU_READ_STATE = b"\x01\x04\x01\x90\x00\x08\xf0\x1d"


def wait_listening(gateway, count):
    """The port of each restarted [present]."""
    ports = {}
    while len(ports) < count:
        line = gateway.wait_for(r"present (p\d+): listening on port (\d+)")
        ports[line[1]] = int(line[2])
    return ports


def one_that_is_killed_says_nothing_old():
    """Killed during the stop: it no longer knows about it, and waits for a whole fresh cycle."""
    sections = ("protocol = modbus-rtu\nport = tcp-listen:127.0.0.1:0", "protocol = topbms pylontech\nport = tcp-listen:127.0.0.1:0",
                "protocol = pylon-1.2\nport = tcp-listen:127.0.0.1:0", "protocol = daly\nport = tcp-listen:127.0.0.1:0")
    requests = {"p0": RTU_READ_STATE, "p1": b"~200246630000FDA9\r", "p2": b"", "p3": bytes.fromhex("a5409008") + bytes(8) + b"\x7d"}
    with source(*sections) as gateway:
        for name, request in requests.items():
            with Stream(port_of(gateway, name)) as stream:
                assert stream.ask(request), name
        gateway.bms.stop()
        for _ in requests:
            gateway.wait_for("present p.: sending stop")
        kill_outlets(gateway)
        ports = wait_listening(gateway, len(sections))
        with contextlib.ExitStack() as stack:
            streams = {name: stack.enter_context(Stream(port)) for name, port in ports.items()}
            for _ in range(3):  # CAN frames are sent each second
                for name, stream in streams.items():
                    assert stream.ask(requests[name], 0.5) == b"", name
            again = stack.enter_context(Program(PACKGATE, "simulate", "--protocol", "jk-pb", "--tcp", gateway.bms_url.removeprefix("tcp://"), "--options",
                                                FIXED.replace("-12.3", "-4.5")))
            again.wait_for("listening")
            wait_presented(gateway, len(sections))
            assert b"~20024600D012" == streams["p1"].ask(requests["p1"])[:13]
            assert int.from_bytes(bytes.fromhex(frames(streams["p2"].hear(5))["356"])[2:4], "little", signed=True) == -45
            assert int.from_bytes(streams["p3"].ask(requests["p3"])[8:10], "big") == 30000 + 45
            assert streams["p0"].ask(requests["p0"])


class LossyWay(Way):
    """A proxy to a Daly, whose alarms are lost from some time on."""

    lost = False

    def pass_on(self, near, far):
        for data in self.sent(near, far):
            if not (self.lost and data[2] == 0x98):
                far.sendall(data)


def expect_alarm(port):
    with Stream(port) as stream:
        said = hear_frames(stream, lambda said: len(said) >= 6)
        assert said["359"].startswith("02"), said


def an_alarm_that_is_not_read_has_not_ended():
    alarmed, url = simulate("daly", FIXED + ",alarm.cell_over_voltage=protection")
    way = LossyWay(url)
    calm, other = simulate("daly", FIXED)
    packs = PACK.format(name="a", url=way.url, protocol="daly", unit=1) + PACK.format(name="b", url=other, protocol="daly", unit=2)
    bank = "[bank house]\npacks = a, b\nunit = 9\n" + LIMITS.format(of="house", cells=16, sensors=1)
    with alarmed, calm, Gateway(packs + bank + "[present p0]\nof = house\nport = tcp-listen:127.0.0.1:0\nprotocol = pylon-1.2\nsoh = 97\n") as gateway:
        wait_presented(gateway, 1)
        way.lost = True
        while "alarm.cell_over_voltage" in read("-c", gateway.path, "a"):
            pass
        expect_alarm(port_of(gateway, "p0"))
        kill_outlets(gateway)
        expect_alarm(wait_listening(gateway, 1)["p0"])
    way.close()


def check_names_what_is_not_told():
    health = r"state of charge, health \(set soh\)"
    for protocol, more, wanted in (("daly", "", f"{health}, capacity, cycles, cell voltages, cell temperatures"), ("daly", "soh = 100\n", "capacity, cycles"),
                                   ("topbms", "", f"capacity, cycles, cell voltages, cell temperatures, perhaps {health}\n"),  # not all variants report it
                                   ("topbms", "soh = 99\n", "capacity, cycles, cell voltages, cell temperatures\n")):
        text = PACK.format(name="a", url="sim:", protocol=protocol, unit=1) + LIMITS.format(of="a", cells=16, sensors=4)
        result = subprocess.run([PACKGATE, "check", "-"], input=(text + "[present x]\nof = a\nprotocol = pylon-1.2\nport = can:can0\n" + more).encode(),
                                stdout=subprocess.PIPE, check=True)
        assert re.search(rf"x +a +can:can0 +pylon-1.2 +{wanted}", result.stdout.decode()), result.stdout.decode()


def status_names_what_is_not_told():
    """Values that this BMS does not report: `check` cannot know that about all of them."""
    sections = ("port = tcp-listen:127.0.0.1:0\nprotocol = victron", "port = tcp-listen:127.0.0.1:0\nprotocol = topbms\nvariant = pylontech",
                "port = tcp-listen:127.0.0.1:0\nprotocol = victron\nsoh = 97", "port = tcp-listen:127.0.0.1:0\nprotocol = daly",
                "port = tcp-listen:127.0.0.1:0\nprotocol = modbus-rtu")
    everything = "voltage, current, state of charge, health (set soh), cycles, cell voltages, cell temperatures"
    with source(*sections, protocol="topbms", variant="pace") as gateway:
        for number, missing in enumerate(("state of charge, health (set soh)", everything + " (of the stack)", "", "", "")):
            await_status(gateway, f"answers; not reported: {missing}; n" if missing else "answers; n", f"p{number}")


def an_inverter_needs_a_port_of_its_kind():
    result = subprocess.run([PACKGATE, "simulate", "--inverter", "pylontech", "--port", "can:can0"], stderr=subprocess.PIPE, timeout=10)
    assert result.returncode == 2 and b"a CAN interface is not for 'pylontech'" in result.stderr, result.stderr.decode()


if __name__ == "__main__":
    main([one_that_is_killed_says_nothing_old, status_says_what_the_answer_carries, a_silent_bms_says_stop, a_gateway_that_hangs_says_stop, a_gateway_that_dies_says_stop, a_bank_over_serial_lines, over_serial_lines, a_bank_is_read_as_it_is, is_read_as_it_is,
          a_bank_is_a_stack, can_as_text, an_alarm_that_is_not_read_has_not_ended, unfit_sections_are_refused,
          check_names_what_is_not_told, status_names_what_is_not_told, an_inverter_needs_a_port_of_its_kind], at_once=8)
