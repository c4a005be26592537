# SPDX-License-Identifier: MIT
# tests/run: 35 s
"""`protocol = auto`: the gateway detects what is on a line, remembers it, and serves the other packs meanwhile."""

import os
import re
import signal
import tempfile

from harness import Gateway, PACKGATE, await_value, exception_of, main, read_value, simulate, subprocess


def configuration(url, other):
    return f"""
[line unknown]
port = {url}
[pack found]
line = unknown
protocol = auto
unit = 1
poll = 200ms
[line known]
port = {other}
[pack known]
line = known
protocol = daly
unit = 2
poll = 200ms
"""


def finds_serves_and_remembers():
    jbd, url = simulate("jbd", "profile=fixed,voltage_v=13.54,cells=4")
    daly, other = simulate("daly", "profile=fixed,voltage_v=26.4")
    with tempfile.TemporaryDirectory() as folder, jbd, daly:
        state = os.path.join(folder, "state")
        with Gateway(configuration(url, other), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("known")  # while the search continues
            assert exception_of(client, 290, 8, 1) == 0x0B
            gateway.wait_for("pack found: found protocol jbd$")  # the serial server sets the rate
            gateway.wait_published("found")
            assert abs(read_value(client, "voltage_v", 1) - 13.54) < 1e-4
            assert read_value(client, "driver", 1) == "jbd"
        with open(state) as file:
            assert "protocol = jbd" in file.read()
        with Gateway(configuration(url, other), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("found")
            assert not any("found protocol" in line for line in gateway.lines)
            # A reload keeps it. A restarted client would count from 0.
            await_value(client, "polls", 1, lambda polls: polls >= 20)
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for("the new configuration is in force")
            assert abs(read_value(client, "voltage_v", 1) - 13.54) < 1e-4
            assert read_value(client, "polls", 1) >= 20


def bus(url, *packs):
    lines = [f"[line bus]\nport = {url}\nprotocol = auto\n"]
    for unit, address in enumerate(packs, 1):
        where = f"address = {address}\n" if address is not None else ""
        lines.append(f"[pack p{unit}]\nline = bus\n{where}unit = {unit}\npoll = 200ms\n")
    return "\n".join(lines)


def socs(first, count):
    return "profile=fixed," + ",".join(f"@{a}:soc_percent={20 + 10 * a}" for a in range(first, first + count))


def finds_several_on_a_bus():
    """Without addresses: all packs, in the order of their addresses. After a restart they are known at once."""
    packs, url = simulate("topbms", socs(1, 3), "--variant", "pace", "--count", "3", "--address", "1")
    with tempfile.TemporaryDirectory() as folder, packs:
        state = os.path.join(folder, "state")
        for again in False, True:
            with Gateway(bus(url, None, None, None), state=state) as gateway, gateway.client() as client:
                gateway.wait_published("p1", "p2", "p3")
                for unit in 1, 2, 3:
                    await_value(client, "soc_percent", unit, lambda soc: soc is not None and abs(soc - (20 + 10 * unit)) < 0.6)
                assert any("found protocol" in line for line in gateway.lines) == (not again), gateway.lines


def finds_by_address_and_assumes_the_rest():
    """With addresses: each pack gets the protocol that answers at its address. A sleeping one is asked like the
    others, and appears when it wakes up."""
    packs, url = simulate("daly-p81", socs(1, 4) + ",@3:silent=1", "--count", "4", "--address", "1")
    with packs, Gateway(bus(url, 4, 2, 3)) as gateway, gateway.client() as client:
        gateway.wait_for("pack p3: nothing answers at address 3 of line bus; polling it with protocol daly-p81")
        gateway.wait_published("p1", "p2")
        assert abs(read_value(client, "soc_percent", 1) - 60) < 0.6 and abs(read_value(client, "soc_percent", 2) - 40) < 0.6
        assert exception_of(client, 290, 8, 3) == 0x0B


def beside(url, *more):
    packs = [f"[line bus]\nport = {url}\n[pack given]\nline = bus\nprotocol = daly-p81\naddress = 2\nunit = 1\npoll = 200ms\n"]
    for unit, address in enumerate(more, 2):
        where = f"address = {address}\n" if address is not None else ""
        packs.append(f"[pack p{unit}]\nline = bus\nprotocol = auto\n{where}unit = {unit}\npoll = 200ms\n")
    return "".join(packs)


def finds_beside_one_that_is_given():
    """The device that answers at the address of a configured pack is that pack. After a restart all are polled at
    once."""
    packs, url = simulate("daly-p81", socs(1, 3), "--count", "3", "--address", "1")
    with tempfile.TemporaryDirectory() as folder, packs:
        state = os.path.join(folder, "state")
        for again in False, True:
            with Gateway(beside(url, None, None), state=state) as gateway, gateway.client() as client:
                gateway.wait_published("given", "p2", "p3")
                for unit, address in (1, 2), (2, 1), (3, 3):
                    assert abs(read_value(client, "soc_percent", unit) - (20 + 10 * address)) < 0.6, unit
                assert any("found protocol" in line for line in gateway.lines) == (not again), gateway.lines


def gives_the_line_back():
    """If nothing is found, the configured pack is still polled, and the other is asked like it. The same while a pack
    that a reload has added is searched, and nothing is searched twice."""
    packs, url = simulate("daly-p81", socs(1, 5) + ",@5:silent=1", "--count", "5", "--address", "1")
    with packs, Gateway(beside(url)) as gateway, gateway.client() as client:
        gateway.wait_published("given")
        with open(gateway.path) as file:
            general = file.read().split("[line bus]")[0]
        with open(gateway.path, "w") as file:
            file.write(general + beside(url, 5))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("pack p2: nothing answers at address 5 of line bus; polling it with protocol daly-p81")
        await_value(client, "polls", 1, lambda polls: polls and polls >= 20)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the new configuration is in force")
        assert read_value(client, "polls", 1) >= 20


def assumes_nothing_where_protocols_differ():
    """A sleeping pack does not get the protocol of a neighbour if these have several: it would be asked in the wrong
    one for ever."""
    packs, url = simulate("daly-p81", socs(2, 2), "--count", "2", "--address", "2")
    text = beside(url, 3, 5).replace("protocol = daly-p81\naddress = 2", "protocol = jbd-up\naddress = 7")
    with tempfile.TemporaryDirectory() as folder, packs:
        state = os.path.join(folder, "state")
        with Gateway(text, state=state) as gateway, gateway.client() as client:
            gateway.wait_for("pack p3: not found on line bus; a restart searches again")
            gateway.wait_published("p2")
            assert read_value(client, "driver", 2) == "daly-p81"
            assert exception_of(client, 290, 8, 3) == 0x0B
        with open(state) as file:
            assert not re.search(r"\[p3\][^[]*protocol = \w", file.read())


def refuses_what_it_cannot_find():
    line = "[line l]\nport = tcp://127.0.0.1:1\nprotocol = auto\n"
    serial = "[line l]\nport = serial:/dev/null\nprotocol = auto\n"
    beside = "[pack a]\nline = l\naddress = 2\nunit = 1\n[pack b]\nline = l\nprotocol = {}\nunit = 2\naddress = {}\n"
    talker = line + "[pack a]\nline = l\nunit = 1\n[pack b]\nline = l\nprotocol = vedirect\nunit = 2\n"
    same = line + beside.format("daly", 2)
    rate = serial + beside.format("daly", 3)
    twice = line + "[pack a]\nline = l\naddress = 2\nunit = 1\n[pack b]\nline = l\naddress = 2\nunit = 2\n"
    simulated = "[line l]\nport = sim:\nprotocol = auto\n[pack a]\nline = l\nunit = 1\n"
    for wrong, why in (talker, "one pack to a line"), (same, "is already that of [pack a]"), (rate, "no 'baud'"), (twice, "auto"), \
            (simulated, "auto"):
        result = subprocess.run([PACKGATE, "check", "-"], input=wrong.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        assert result.returncode == 1 and why in result.stdout.decode(), result.stdout
    several = line + "[pack a]\nline = l\nunit = 1\n[pack b]\nline = l\nunit = 2\n"
    mixed = line + beside.format("daly", 3)
    with_rate = serial + "baud = 9600\n" + beside.format("daly", 3)
    for right in several, mixed, with_rate:
        result = subprocess.run([PACKGATE, "check", "-"], input=right.encode(), stdout=subprocess.PIPE)
        assert result.returncode == 0 and b"-1" not in result.stdout, result


main([finds_several_on_a_bus, finds_by_address_and_assumes_the_rest, finds_beside_one_that_is_given, gives_the_line_back,
      assumes_nothing_where_protocols_differ, finds_serves_and_remembers, refuses_what_it_cannot_find], at_once=3)
