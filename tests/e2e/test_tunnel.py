# SPDX-License-Identifier: MIT
# tests/run: 45 s
"""Tunnels: another program on a polled line. It gets only its own answers, values stay fresh and true, and nothing
that it does holds the gateway up. The programs are part of this test, the packs are simulated by packgate
simulate."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from control_harness import Link, named, run
from harness import Gateway, PACKGATE, PATIENCE, Program, Standin, free_port, main, simulate, simulate_pty, until

PACK = "[pack {0}]\nline = shed\nunit = {1}\npoll = 2s\n"
INTERVAL_S = 2
LINE = "[line shed]\nport = {}\nprotocol = {}\n"
VOLTAGE = 26.1
POISON = 24.0  # plausible enough to be accepted


def daly(command, host=0x40, data=b"\0" * 8):
    frame = bytes([0xA5, host, command, 8]) + data
    return frame + bytes([sum(frame) & 0xFF])


def daly_pack(command):
    return lambda frame: frame[:3] == bytes([0xA5, 1, command]) and len(frame) == 13 and sum(frame[:12]) & 0xFF == frame[12]


class Tunneled(Gateway):
    """A gateway with [tunnel shed]; opened at once."""

    def __init__(self, url, more="", protocol="daly", packs=("a",), tunnel="", general="", open_it=True):
        self.place = free_port()
        text = LINE.format(url, protocol) + more
        for number, name in enumerate(packs, 1):
            text += PACK.format(name, number) + (f"address = {number}\n" if len(packs) > 1 else "")
        super().__init__(text + f"[tunnel shed]\nlisten = 127.0.0.1:{self.place}\n{tunnel}\n", general)
        self.wait_published(*packs)
        if open_it:
            self.tunnel("--for", "10m")

    def tunnel(self, *arguments, status=0):
        return run("tunnel", "-c", self.path, "shed", *arguments, status=status)

    def connect(self):
        return Maker(self.place)


class Maker(contextlib.AbstractContextManager):
    """The maker's program."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.port = self.socket.getsockname()[1]

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, f"closed after {data.hex()}"
            data += more
        return data

    def ask(self, request, size):
        self.send(request)
        return self.read(size)

    def closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    def __exit__(self, *arguments):
        self.close()


class Onlooker:
    """Reads the packs all the time: their highest age, and their voltages. A stall of this program stalls the others,
    too: if a machine does not run it for a second, a request or two are late."""

    def __init__(self, gateway, *packs):
        self.link = Link(gateway)
        self.packs = packs
        self.held_up = 0
        self.ages, self.voltages = {name: 0 for name in packs}, set()
        self.stop, self.looked = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.stop.is_set():
            self.found = self.link.ask("status")["packs"]
            for name in self.packs:
                pack = named(self.found, name, "pack")
                self.ages[name] = max(self.ages[name], pack["age_s"])
                if "voltage_v" in pack:
                    self.voltages.add(pack["voltage_v"])
            self.looked.set()
            end = time.monotonic() + 0.05
            time.sleep(0.05)
            self.held_up = max(self.held_up, time.monotonic() - end)

    def __enter__(self):
        assert self.looked.wait(PATIENCE)
        return self

    def __exit__(self, *arguments):
        self.stop.set()
        self.thread.join(PATIENCE)
        self.link.close()

    def end(self):
        self.stop.set()
        self.thread.join(PATIENCE)
        for name in self.packs:
            pack = named(self.found, name, "pack")
            assert pack["spikes"] == 0 and pack["implausible"] == 0 and pack["checksum_errors"] == 0, pack
            assert self.ages[name] <= 3 * INTERVAL_S + 4 * self.held_up, (self.ages, self.held_up)


class Poisoner(Standin):
    """A line between the gateway and a simulated Daly. Requests as host 0x80 are those of the maker's program: for
    the gateway its answers look the same, but they have another voltage. test_loans has late ones."""

    def __init__(self, url):
        self.target = (url.split("/")[2].split(":")[0], int(url.rsplit(":", 1)[1]))
        super().__init__()

    def talk(self, near):
        pending = b""
        with socket.create_connection(self.target) as far:
            while True:
                ready, _, _ = select.select([near, far], [], [])
                if far in ready:
                    data = far.recv(4096)
                    if not data:
                        return
                    near.sendall(data)
                if near in ready:
                    data = near.recv(4096)
                    if not data:
                        return
                    pending += data
                    while len(pending) >= 13:
                        frame, pending = pending[:13], pending[13:]
                        if frame[1] != 0x80:
                            far.sendall(frame)
                            continue
                        volts = int(POISON * 10).to_bytes(2, "big")
                        answer = bytes([0xA5, 1, frame[2], 8]) + volts + b"\0\0\x75\x30\x01\xf4"
                        near.sendall(answer + bytes([sum(answer) & 0xFF]))


SIM = f"profile=fixed,voltage_v={VOLTAGE},cell_count=8,delay=20"


def opens_and_closes():
    """Closed until it is opened, for a limited time; opening it twice is fine; the log names the user, the address,
    the duration and the number of bytes."""
    server, url = simulate("daly", SIM)
    with server, Tunneled(url, open_it=False) as gateway:
        assert socket.socket().connect_ex(("127.0.0.1", gateway.place)) != 0
        assert "closed" in run("tunnel", "-c", gateway.path)
        gateway.tunnel("--for", "0s", status=2)
        assert "24 h" in gateway.tunnel("--for", "1000h", status=1)
        assert "no [tunnel other]" in run("tunnel", "-c", gateway.path, "other", "--for", "1m", status=1)
        assert f"open until" in gateway.tunnel("--for", "10m")
        gateway.wait_for(r"tunnel shed: opened by user \d+ \(process \d+\) for 600 s")
        assert "open already" in gateway.tunnel("--for", "20m")
        gateway.wait_for(r"tunnel shed: extended by user")
        with gateway.connect() as maker:
            assert daly_pack(0x90)(maker.ask(daly(0x90), 13))
            assert f"127.0.0.1:{maker.port} is connected" in run("tunnel", "-c", gateway.path)
            assert f"127.0.0.1:{maker.port}" in run("status", "-c", gateway.path)
            port = maker.port
        gateway.wait_for(rf"tunnel shed: 127\.0\.0\.1:{port} left after \S+ s: 13 bytes to line shed, 13 from it")
        with gateway.connect() as maker:
            gateway.wait_for(r"tunnel shed: \S+ is connected to line shed")
            assert "closed" in gateway.tunnel("--close")
            assert maker.closed()
        gateway.wait_for("tunnel shed: closed after")
        assert "closed already" in gateway.tunnel("--close")
        gateway.tunnel("--for", "5m")
        with Link(gateway) as link:
            for wrong in ({}, {"for_s": "10m"}, {"for_s": -1}, {"for_s": None}, {"for_s": True}):
                assert "for_s" in link.ask("tunnel", tunnel="shed", **wrong)["error"], wrong
            assert link.ask("tunnel", tunnel="shed", for_s=0)["was_open"]
        gateway.tunnel("--for", "1s")
        gateway.wait_for("tunnel shed: closed after .* its time has expired")
        assert socket.socket().connect_ex(("127.0.0.1", gateway.place)) != 0


def only_for_the_owner():
    """A user who may only read cannot open one."""
    if os.geteuid() != 0:
        return
    server, url = simulate("daly", SIM)
    with server, Tunneled(url, open_it=False) as gateway:
        os.chmod(gateway.folder, 0o755)
        script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "for r in ('tunnel\",\"tunnel\":\"shed\",\"for_s\":60', 'send\",\"line\":\"shed\",\"bytes\":\"00'):\n"
                  "    s.sendall(('{\"ask\":\"'+r+('}' if r.endswith('60') else '\"}')+'\\n').encode())\n"
                  "    print(s.recv(1000).decode())")
        found = run_as(65534, os.getegid(), script, gateway.folder + "/control")
        assert found.count("root and the user of the service only") == 2, found
        assert "closed" in run("tunnel", "-c", gateway.path)


def run_as(user, group, script, *arguments):
    return subprocess.run(["/usr/bin/python3", "-c", script, *arguments], user=user, group=group, extra_groups=[],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE).stdout.decode()


def values_stay_fresh_and_true():
    """A program that asks five times a second and gets answers that look like ours: it gets all of its own and none
    of ours, and a pack's values are never from its answers, nor older than three intervals."""
    server, url = simulate("daly", SIM)
    with server, Poisoner(url) as line, Tunneled(line.url) as gateway, gateway.connect() as maker:
        with Onlooker(gateway, "a") as onlooker:
            for _ in range(40):
                begin = time.monotonic()
                answer = maker.ask(daly(0x90, host=0x80), 13)
                assert answer[4:6] == int(POISON * 10).to_bytes(2, "big"), answer.hex()
                time.sleep(max(0, 0.2 - (time.monotonic() - begin)))
            onlooker.end()
            assert onlooker.voltages == {VOLTAGE}, onlooker.voltages
        maker.socket.settimeout(0.5)
        try:
            assert not maker.socket.recv(100)
        except TimeoutError:
            pass


def several_packs_stay_fresh():
    """The same with three packs on the line, and a program that reads one of them."""
    server, url = simulate("topbms", "profile=fixed,delay=20,voltage_v=52.5", "--address", "1", "--count", "3")
    packs = ("a", "b", "c")
    with server, Tunneled(url, protocol="topbms", packs=packs) as gateway, gateway.connect() as maker:
        with Link(gateway) as link:
            link.send(b'{"ask":"listen","line":"shed"}\n')
            link.next()
            while True:  # one of our own requests, which the program also sends
                piece = link.next()
                if piece.get("passed") == ">":
                    request = bytes.fromhex(piece["bytes"])
                    break
        with Onlooker(gateway, *packs) as onlooker:
            for _ in range(20):
                begin = time.monotonic()
                maker.send(request)
                answer = b""
                while not answer.endswith(b"\r"):
                    answer += maker.read(1)
                assert answer.startswith(b"~") and answer.count(b"~") == 1, answer
                time.sleep(max(0, 0.2 - (time.monotonic() - begin)))
            onlooker.end()
            assert onlooker.voltages == {52.5}, onlooker.voltages


def on_a_serial_line():
    """Everything that a tunnel is for, over a serial line: answers are complete and the program's own, values fresh
    and true."""
    with tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        link = os.path.join(folder, "tty")
        with simulate_pty("daly", link, SIM), Tunneled(f"serial:{link}") as gateway, gateway.connect() as maker:
            with Onlooker(gateway, "a") as onlooker:
                for _ in range(8):
                    for command in 0x90, 0x93, 0x94:
                        answer = maker.ask(daly(command), 13)
                        assert daly_pack(command)(answer), answer.hex()
                answers = maker.ask(daly(0x90) + daly(0x93), 26)
                assert [answers[2], answers[15]] == [0x90, 0x93], answers.hex()
                assert maker.ask(daly(0xDA), 13)[2] == 0xDA
                until(lambda: named(onlooker.found, "a", "pack"), lambda pack: pack.get("charge_mos") == 0)
                onlooker.end()
                assert onlooker.voltages == {VOLTAGE}, onlooker.voltages


def bursts_and_floods():
    """Several requests at once get their answers; a program that never waits gets its answers late, while the packs
    are polled in time; one that does not read, or connects and disconnects, does no harm."""
    server, url = simulate("daly", SIM)
    with server, Tunneled(url) as gateway, Onlooker(gateway, "a") as onlooker:
        with gateway.connect() as maker:
            answers = maker.ask(daly(0x90) + daly(0x93) + daly(0x94), 39)
            assert [answers[i + 2] for i in (0, 13, 26)] == [0x90, 0x93, 0x94], answers.hex()
        gateway.wait_for("left after")
        with gateway.connect() as maker:  # never waits
            end = time.monotonic() + 6
            sent = 0
            maker.socket.setblocking(False)
            received = 0
            while time.monotonic() < end:
                try:
                    sent += maker.socket.send(daly(0x90))
                    received += len(maker.socket.recv(4096))
                except BlockingIOError:
                    pass
                time.sleep(0.01)
            assert received >= 13, received
        gateway.wait_for("(left|was lost) after")
        with gateway.connect() as maker:  # endless garbage, whose echo nobody reads
            maker.socket.settimeout(3)
            try:
                for _ in range(200):
                    maker.send(os.urandom(4096))
            except OSError:
                pass
        gateway.wait_for("sends far more than the line can carry; disconnected")
        for number in range(30):  # disconnects in the middle of an exchange
            with gateway.connect() as maker:
                maker.send(daly(0x90)[:13 if number % 2 else 5])
                time.sleep(0.03)
        gateway.tunnel("--for", "10m")
        with gateway.connect() as maker:
            assert daly_pack(0x93)(maker.ask(daly(0x93), 13))
        onlooker.end()
        assert onlooker.voltages == {VOLTAGE}, onlooker.voltages


def long_frames_and_writes():
    """A JK frame of some 230 bytes arrives whole, over a line of 115200 baud in pieces, and we see a switch that the
    program changes."""
    with open("tests/captures/jk-4e57/01-hw6-14s-charging.exch") as file:
        request = bytes.fromhex(re.search(r"^> ([0-9A-F ]+)", file.read(), re.M)[1])
    server, url = simulate("jk-4e57", "profile=fixed,cells=16,split=1,baud=19200")
    with server, Tunneled(url, protocol="jk-4e57") as gateway, gateway.connect() as maker:
        for _ in range(3):
            head = maker.ask(request, 4)
            assert head[:2] == b"NW", head
            size = int.from_bytes(head[2:], "big") + 2
            frame = head + maker.read(size - 4)
            assert size > 200 and int.from_bytes(frame[-2:], "big") == sum(frame[:-4]) & 0xFFFF, frame.hex()
    server, url = simulate("daly", SIM)
    with server, Tunneled(url) as gateway, gateway.connect() as maker, Link(gateway) as link:
        assert named(link.ask("status")["packs"], "a", "pack")["charge_mos"] == 1
        answer = maker.ask(daly(0xDA), 13)
        assert answer[2] == 0xDA, answer.hex()
        until(lambda: named(link.ask("status")["packs"], "a", "pack"), lambda pack: pack.get("charge_mos") == 0)


def one_program_of_the_right_place():
    """A second program is rejected, and so is one that is not in allow_write; one that sends nothing is disconnected."""
    server, url = simulate("daly", SIM)
    with server, Tunneled(url, tunnel="idle = 1s") as gateway:
        with gateway.connect() as maker:
            with gateway.connect() as second:
                assert second.closed()
            gateway.wait_for("refused: another program is connected")
            assert daly_pack(0x90)(maker.ask(daly(0x90), 13))
            assert maker.closed()
        gateway.wait_for("sent nothing for too long")
    server, url = simulate("daly", SIM)
    with server, Tunneled(url, general="allow_write = 192.0.2.0/24") as gateway:
        for _ in range(20):  # repeated attempts do not fill the log
            with gateway.connect() as maker:
                assert maker.closed()
        gateway.wait_for("refused: its address is not in `allow_write`")
        gateway.tunnel("--close")
        gateway.wait_for("tunnel shed: 19 further connections refused")
        assert sum("refused: its address" in line for line in gateway.lines) == 1, gateway.lines


def alone_on_the_line():
    """share = no: no polls while a program is connected, and its bytes are sent unchanged."""
    server, url = simulate("daly", SIM)
    with server, Tunneled(url, tunnel="share = no") as gateway, Link(gateway) as link:
        with gateway.connect() as maker:
            gateway.wait_for("its packs are not polled")
            assert daly_pack(0x90)(maker.ask(daly(0x90), 13))
            before = named(link.ask("status")["lines"], "shed")["requests"]
            for _ in range(20):
                assert daly_pack(0x93)(maker.ask(daly(0x93), 13))
                time.sleep(0.15)
            assert named(link.ask("status")["lines"], "shed")["requests"] == before
        until(lambda: named(link.ask("status")["lines"], "shed")["requests"], lambda now: now > before + 5)
        until(lambda: named(link.ask("status")["packs"], "a", "pack"), lambda pack: pack["age_s"] < INTERVAL_S)


def line_lost():
    """The line is lost while it is lent, and comes back: one message each, the program stays connected, polling
    continues."""
    place = free_port()
    server, url = simulate_at(place, SIM + ",delay=300")
    with Tunneled(url) as gateway, gateway.connect() as maker:
        with server:
            maker.ask(daly(0x90), 13)
            maker.send(daly(0x90))
            time.sleep(0.1)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(PATIENCE)
            for _ in range(10):
                maker.send(daly(0x90))
                time.sleep(0.1)
            gateway.wait_for(r"warning: tunnel shed: line shed (is down|was lost)")
        server, _ = simulate_at(place, SIM)
        with server:
            found = b""
            maker.socket.settimeout(1)
            deadline = time.monotonic() + PATIENCE
            while len(found) < 13 and time.monotonic() < deadline:
                maker.send(daly(0x93))
                try:
                    found = maker.socket.recv(13)
                except TimeoutError:
                    pass
            assert daly_pack(0x93)(found), found.hex()
            gateway.wait_for("tunnel shed: line shed is back")
            with Link(gateway) as link:
                until(lambda: named(link.ask("status")["packs"], "a", "pack"),
                           lambda pack: pack["fresh"] and pack["age_s"] < INTERVAL_S)
            maker.close()
            gateway.wait_for("left after|was lost after")
    assert sum("dropped until it is back" in line for line in gateway.lines) == 1, gateway.lines


def simulate_at(port, options):
    program = Program(PACKGATE, "simulate", "--protocol", "daly", "--tcp", f"127.0.0.1:{port}", "--options", options)
    return program, program.wait_for(r"(tcp://127\.0\.0\.1:\d+)")[1]


def reload():
    """A tunnel stays open over a reload that does not change it, and is closed with its section."""
    server, url = simulate("daly", SIM)
    with server, Tunneled(url) as gateway, gateway.connect() as maker:
        maker.ask(daly(0x90), 13)
        with open(gateway.path) as file:
            text = file.read()
        with open(gateway.path, "w") as file:
            file.write(text.replace("poll = 2s", "poll = 1s"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the new configuration is in force")
        assert daly_pack(0x93)(maker.ask(daly(0x93), 13))
        with open(gateway.path, "w") as file:
            file.write(text[:text.index("[tunnel")])
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("its section was removed")
        assert maker.closed()


if __name__ == "__main__":
    main([several_packs_stay_fresh, line_lost, values_stay_fresh_and_true, opens_and_closes, only_for_the_owner, on_a_serial_line,
          bursts_and_floods, long_frames_and_writes, one_program_of_the_right_place, alone_on_the_line, reload], at_once=4)
