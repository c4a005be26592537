# SPDX-License-Identifier: MIT
"""Listening in on a line of the running gateway, and one exchange by hand: the output is exchange-file text that
packgate decode accepts, secrets are masked, several clients can listen, and one that does not read is
disconnected."""

import json
import os
import re
import signal

from control_harness import Link, named, run
from harness import Gateway, PACKGATE, PATIENCE, Program, Standin, main, simulate, until

PACK = "[line {0}]\nport = {1}\nprotocol = {2}\n[pack {0}]\nline = {0}\nunit = 1\npoll = 200ms\n"
SIM = "profile=fixed,voltage_v=26.1,cell_count=8"
ASK = "A5 40 90 08 00 00 00 00 00 00 00 00 7D"


def listen(gateway, line, count):
    """So many lines of the output of packgate listen."""
    with Program(PACKGATE, "listen", "-c", gateway.path, line) as program:
        lines = []
        for _ in range(count):
            lines.append(program.wait_for(r"^.*$")[0])
    return lines


def is_an_exchange_file():
    """Two listeners get the same bytes, and a recording of them decodes to the values of the pack."""
    server, url = simulate("daly", SIM)
    with server, Gateway(PACK.format("a", url, "daly")) as gateway:
        gateway.wait_published("a")
        with Program(PACKGATE, "listen", "-c", gateway.path, "--time", "a") as other:
            lines = listen(gateway, "a", 60)
            other.wait_for(r"^# \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$")
            other.wait_for(r"^> A5 40")
            other.wait_for(r"^< A5 01")
        assert lines[0] == "protocol daly" and lines[1].startswith("source line a"), lines
        assert all(re.fullmatch(r"[<>]( [0-9A-F]{2})+", line) for line in lines[2:]), lines
        path = os.path.join(gateway.folder, "a.exch")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        found = json.loads(run("decode", path))
        assert abs(found["voltage_v"] - 26.1) < 1e-6 and found["soc_percent"] > 0, found
        with Link(gateway) as link:
            until(lambda: link.ask("status")["control"], lambda control: control["listeners"] == 0)


def secrets_are_masked():
    """A JK sends its PINs in each full reply: they are masked, the rest is shown; a foreign request is cut."""
    server, url = simulate("jk02", "profile=fixed")
    with server, Gateway(PACK.format("a", url, "jk02")) as gateway, Link(gateway) as link:
        gateway.wait_published("a")
        text = "\n".join(listen(gateway, "a", 8))
        assert re.search("^< 55 AA EB 90", text, re.M), text
        for pin in (b"1234", b"12345678"):
            assert pin.hex(" ").upper() not in text, text
        secret = "AA 55 90 EB 41 04 31 32 33 34 35 36 37 38 39 00 00 00 00 00"
        with Program(PACKGATE, "listen", "-c", gateway.path, "a") as listener:
            listener.wait_for("^protocol")
            found = link.ask("send", line="a", bytes=secret)
            assert found["sent"] == ["AA 55 90 EB 41 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00"], found
            listener.wait_for("^> AA 55 90 EB 41 04 00 00 00 00 00")
        gateway.wait_for("AA 55 90 EB 41 04 00 00 00 00")
    assert not any("31 32" in line for line in gateway.lines)


def make_noise(connection):
    """A far end that answers everything with 8 kB of noise."""
    while connection.recv(1000):
        connection.sendall(b"U" * 8000)


def who_does_not_read_is_dropped():
    """It is counted and logged; the other listener and the polls continue."""
    server, url = simulate("daly", SIM)
    noisy = Standin(make_noise)
    text = PACK.format("a", url, "daly") + PACK.format("b", noisy.url, "daly").replace("unit = 1", "unit = 2")
    with server, Gateway(text) as gateway, Link(gateway) as link, Link(gateway) as deaf:
        gateway.wait_published("a")
        with Program(PACKGATE, "listen", "-c", gateway.path, "b") as listener:
            deaf.send(b'{"ask":"listen","line":"b"}\n')
            assert deaf.next()["listening"] == "b"
            until(lambda: link.ask("status")["control"], lambda control: control["listeners"] == 2)
            gateway.wait_for("listens on line b but does not read; disconnected")
            found = link.ask("status")
            assert found["control"]["dropped"] == 1 and found["control"]["listeners"] == 1, found["control"]
            assert named(found["packs"], "a", "pack")["fresh"] == 1
            while not listener.queue.empty():
                listener.queue.get()
            listener.wait_for("^> A5")
    noisy.close()


def survives_a_reload():
    """A listener stays when its line is recreated, or is removed and added again."""
    server, url = simulate("daly", SIM)
    with server, Gateway(PACK.format("a", url, "daly")) as gateway:
        gateway.wait_published("a")
        with open(gateway.path) as file:
            text = file.read()
        with Program(PACKGATE, "listen", "-c", gateway.path, "a") as listener:
            listener.wait_for("^> A5 40")
            for change in (text.replace("200ms", "150ms"), text.replace("[line a]", "[line b]").replace("line = a", "line = b"), text):
                with open(gateway.path, "w") as file:
                    file.write(change)
                gateway.process.send_signal(signal.SIGHUP)
                gateway.wait_for("the new configuration is in force")
            while not listener.queue.empty():
                listener.queue.get()
            listener.wait_for("^> A5 40")
            listener.wait_for("^< A5 01")
            gateway.process.send_signal(signal.SIGTERM)
            assert listener.process.wait(PATIENCE) == 1
            listener.wait_for("closed the connection")
            listener.process.returncode = 0


def sends_by_hand():
    """A request with an answer, without one, and an invalid one; the log names the user."""
    server, url = simulate("daly", SIM)
    text = PACK.format("a", url, "daly") + PACK.format("b", "tcp://127.0.0.1:1", "daly").replace("unit = 1", "unit = 2")
    with server, Gateway(text) as gateway:
        gateway.wait_published("a")
        found = run("send", "-c", gateway.path, "a", *ASK.split()).splitlines()
        assert found[0] == "> " + ASK and re.fullmatch(r"< A5 01 90 08 01 05( [0-9A-F]{2}){7}", found[1]), found
        gateway.wait_for(r"line a: user %d \(process \d+\) sends 13 bytes by hand" % os.geteuid())
        gateway.wait_for("line a: A5 40 90 .*: answered")
        assert found == run("send", "-c", gateway.path, "a", ASK.replace(" ", "").lower()).splitlines()
        assert "no answer" in run("send", "-c", gateway.path, "a", ASK.replace("7D", "7E"), status=1)
        assert "hexadecimal" in run("send", "-c", gateway.path, "a", "A5 4", status=1)
        assert "hexadecimal" in run("send", "-c", gateway.path, "a", "00" * 513, status=1)
        assert "no [line c]" in run("send", "-c", gateway.path, "c", "00", status=1)
        assert "no [line c]" in run("listen", "-c", gateway.path, "c", status=1)
        with Link(gateway) as link:
            until(lambda: named(link.ask("status")["lines"], "b"), lambda line: line["errors"] > 0)
            assert "is down" in run("send", "-c", gateway.path, "b", "00", status=1)
            # A client that leaves without waiting for the answer does no harm.
            for _ in range(20):
                with Link(gateway) as other:
                    other.send(json.dumps({"ask": "send", "line": "a", "bytes": ASK}).encode() + b"\n")
            until(lambda: link.ask("send", line="a", bytes=ASK)["result"], lambda result: result == "answered")
        # A device that talks all the time leaves no time for a request.
        server, url = simulate("vedirect", "profile=fixed")
        with server, Gateway(PACK.format("t", url, "vedirect")) as talking:
            talking.wait_published("t")
            assert "without being polled" in run("send", "-c", talking.path, "t", "00", status=1)
            assert any(line.startswith("< ") for line in listen(talking, "t", 4))


main([sends_by_hand, is_an_exchange_file, secrets_are_masked, who_does_not_read_is_dropped,
      survives_a_reload], at_once=3)
