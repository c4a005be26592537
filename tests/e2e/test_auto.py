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
            assert read_value(client, "reconnects", 2) == 0
        with open(state) as file:
            assert "protocol = jbd" in file.read()
        with Gateway(configuration(url, other), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("found")
            assert not any("found protocol" in line for line in gateway.lines)
            # A reload keeps it.
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for("the new configuration is in force")
            assert abs(read_value(client, "voltage_v", 1) - 13.54) < 1e-4
            assert read_value(client, "reconnects", 1) == 0


def wants_to_be_alone():
    text = "[line l]\nport = tcp://127.0.0.1:1\nprotocol = auto\n[pack a]\nline = l\nunit = 1\n[pack b]\nline = l\nunit = 2\n"
    simulated = "[line l]\nport = sim:\nprotocol = auto\n[pack a]\nline = l\nunit = 1\n"
    for wrong in (text, simulated):
        result = subprocess.run([PACKGATE, "check", "-"], input=wrong.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        assert result.returncode == 1 and b"auto" in result.stdout, result.stdout


main([finds_serves_and_remembers, wants_to_be_alone])
