# SPDX-License-Identifier: MIT
"""`protocol = auto`: the gateway finds out what is on a line, remembers it, and serves the other packs meanwhile."""

import os
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
            gateway.wait_published("known")  # while the search goes on
            assert exception_of(client, 290, 8, 1) == 0x0B
            gateway.wait_for("pack found: found protocol jbd at 9600 baud")
            gateway.wait_published("found")
            assert abs(read_value(client, "voltage_v", 1) - 13.54) < 1e-4
            assert read_value(client, "driver", 1) == "jbd"
        with open(state) as file:
            assert "protocol = jbd" in file.read()
        with Gateway(configuration(url, other), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("found")
            assert not any("found protocol" in line for line in gateway.lines)
            # A reload keeps it. Who began anew would count from 0.
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
    """Without addresses: all of them, in the order of their addresses. A restart knows them at once."""
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
    """With addresses: each pack gets what answers at its own. One that sleeps is asked like the others, and there when it
    wakes up."""
    packs, url = simulate("daly-p81", socs(1, 4) + ",@3:silent=1", "--count", "4", "--address", "1")
    with packs, Gateway(bus(url, 4, 2, 3)) as gateway, gateway.client() as client:
        gateway.wait_for("pack p3: nothing answers at address 3 of line bus; it is asked with protocol daly-p81")
        gateway.wait_published("p1", "p2")
        assert abs(read_value(client, "soc_percent", 1) - 60) < 0.6 and abs(read_value(client, "soc_percent", 2) - 40) < 0.6
        assert exception_of(client, 290, 8, 3) == 0x0B


def wants_a_line_for_it_alone():
    line = "[line l]\nport = tcp://127.0.0.1:1\nprotocol = auto\n"
    mixed = line + "[pack a]\nline = l\nunit = 1\n[pack b]\nline = l\nprotocol = daly\nunit = 2\n"
    twice = line + "[pack a]\nline = l\naddress = 2\nunit = 1\n[pack b]\nline = l\naddress = 2\nunit = 2\n"
    simulated = "[line l]\nport = sim:\nprotocol = auto\n[pack a]\nline = l\nunit = 1\n"
    for wrong in mixed, twice, simulated:
        result = subprocess.run([PACKGATE, "check", "-"], input=wrong.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        assert result.returncode == 1 and b"auto" in result.stdout, result.stdout
    several = line + "[pack a]\nline = l\nunit = 1\n[pack b]\nline = l\nunit = 2\n"
    assert subprocess.run([PACKGATE, "check", "-"], input=several.encode(), stdout=subprocess.DEVNULL).returncode == 0


main([finds_several_on_a_bus, finds_by_address_and_assumes_the_rest, finds_serves_and_remembers,
      wants_a_line_for_it_alone], at_once=3)
