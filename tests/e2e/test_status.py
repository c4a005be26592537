# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""The control socket and its clients: packgate status and health, the JSON for programs, the rights of a group, and
that no client can hold the gateway up."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from control_harness import Link, named, run
from harness import Gateway, PACKGATE, PATIENCE, Program, await_value, main, read_value, simulate, until

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\n"


def names_in(value):
    """The names of all members below."""
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set(value).union(*map(names_in, value.values())) if isinstance(value, dict) else set()


def tells_everything():
    """Lines, packs, banks, pushes, outlets, clients, as text and as JSON; a silent pack shows no values."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1,cell_count=8,soc_percent=55")
    text = (PACK.format("a", url, 1) + PACK.format("b", "tcp://127.0.0.1:1", 2) + "[bank all]\npacks = a\nunit = 100\n"
            "[push plc]\ntarget = tcp://127.0.0.1:1\nwrite = a.soc_percent -> 1 u16\n[print x]\npacks = a\n")
    with server, Gateway(text) as gateway, gateway.client() as client, Link(gateway) as link:
        gateway.wait_for("bank all: idle")
        assert abs(read_value(client, "voltage_v", 1) - 26.1) < 0.01
        found = until(lambda: link.ask("status"), lambda s: "error" in named(s["lines"], "b") and
                           named(s["packs"], "a", "pack").get("cells") and named(s["lines"], "a")["sent"] > 100)
        assert found["configuration"] == os.path.realpath(gateway.path) and found["configuration_in_force"] is True
        assert found["pid"] == gateway.process.pid and found["uptime_s"] >= 0 and abs(found["time"] - time.time()) < 3600
        with open("docs/status.md", encoding="utf-8") as file:
            documented = set(re.findall(r"`([a-z_]+)`", file.read()))
        assert names_in(found) <= documented, names_in(found) - documented
        line = named(found["lines"], "a")
        assert line["state"] == "open" and line["received"] > 100 and line["sent"] > 100 and line["packs"] == ["a"]
        assert line["port"] == url and line["protocol"] == "daly" and line["polls"] > 0
        never = named(found["lines"], "b")  # closed since the start
        assert never["errors"] > 0 and never["error"] and never["since"] <= found["time"] - found["uptime_s"] + 5, never
        pack = named(found["packs"], "a", "pack")
        assert pack["state"] == "fresh" and pack["fresh"] == 1 and pack["age_s"] < 60 and pack["cells"] == 8
        assert abs(pack["voltage_v"] - 26.1) < 1e-6 and pack["unit"] == 1 and pack["kind"] == "pack"
        silent = named(found["packs"], "b", "pack")
        assert silent["fresh"] == 0 and silent["state"] in ("never", "no_line") and "voltage_v" not in silent
        bank = named(found["packs"], "all", "pack")
        assert bank["kind"] == "bank" and bank["members"] == ["a"] and abs(bank["voltage_v"] - 26.1) < 1e-6
        assert named(found["pushes"], "plc")["connected"] is False
        assert named(found["outlets"], "x")["kind"] == "print"
        modbus = found["modbus"]
        own = "127.0.0.1:%d" % client.port()
        assert modbus["clients"] == 1 and named(modbus["connections"], own, "address")["requests"] >= 2, modbus
        assert modbus["listen"] == [f"127.0.0.1:{gateway.port}"]

        table = run("status", "-c", gateway.path)
        for word in ("a", url, "open", "26.10 V", "55.0 %", "fresh", "all", "plc", "print x", own):
            assert word in table, (word, table)
        assert json.loads(run("status", "-c", gateway.path, "--json"))["pid"] == gateway.process.pid
        assert json.loads(run("status", "--control", gateway.folder + "/control", "--json"))["version"] == found["version"]

        server.stop()
        # On a busy host it can be stale before the first request was left unanswered.
        stale = until(lambda: link.ask("status"), lambda s: not named(s["packs"], "a", "pack")["fresh"] and
                           "error" in named(s["packs"], "a", "pack"))
        pack = named(stale["packs"], "a", "pack")
        assert "voltage_v" not in pack and pack["error"] and pack["age_s"] > 0 and pack["cells"] == 8, pack


def watches():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1)) as gateway:
        gateway.wait_published("a")
        with Program(PACKGATE, "status", "-c", gateway.path, "--json", "--watch") as watch:
            for _ in range(2):
                assert json.loads(watch.wait_for(r"^\{.*\}$")[0])["pid"] == gateway.process.pid


def await_healthy(gateway):
    """A gateway that was held up, also by a busy host, disconnects who asks at that moment."""
    until(lambda: subprocess.run([PACKGATE, "health", "-c", gateway.path], stdout=subprocess.PIPE, timeout=PATIENCE),
          lambda result: result.returncode == 0 and b"1 pack" in result.stdout)


def health():
    """0 while the gateway answers, 1 if it does not, because it has ended or hangs."""
    with Gateway(PACK.format("a", "sim:", 1)) as gateway:
        gateway.wait_published("a")
        await_healthy(gateway)
        gateway.process.send_signal(signal.SIGSTOP)
        try:
            assert "does not answer" in run("health", "-c", gateway.path, status=1)
        finally:
            gateway.process.send_signal(signal.SIGCONT)
        gateway.wait_for("held up for")
        await_healthy(gateway)
        # A file with mistakes does not matter for the running gateway.
        with open(gateway.path, "a") as file:
            file.write("nonsense\n")
        await_healthy(gateway)
        gateway.stop()
        assert "is it running" in run("health", "-c", gateway.path, status=1)
        assert "is it running" in run("status", "-c", gateway.path, status=1)


def goes_on_after_a_stop(begun=""):
    """A command that is stopped while it waits (Ctrl-Z) and continued still gets its answer."""
    def state(process):
        with open(f"/proc/{process.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(folder + "/control")
        server.listen()
        with subprocess.Popen([PACKGATE, "send", "--control", folder + "/control", "a", "A5"], stdout=subprocess.PIPE) as process:
            client, _ = server.accept()
            with client, client.makefile("rw") as file:
                assert json.loads(file.readline())["ask"] == "send"
                file.write(begun)
                file.flush()
                time.sleep(0.1 if begun else 0)
                until(lambda: state(process), "S".__eq__)  # it waits
                process.send_signal(signal.SIGSTOP)
                until(lambda: state(process), "T".__eq__)
                process.send_signal(signal.SIGCONT)
                until(lambda: state(process), "T".__ne__)
                time.sleep(0.1)
                file.write('{"result":"answered","sent":["A5"],"received":["01"]}\n'[len(begun):])
                file.flush()
                assert process.communicate(timeout=PATIENCE)[0] == b"> A5\n< 01\n" and process.returncode == 0


def goes_on_after_a_stop_within_the_answer():
    """The part of the answer that was received before the stop is kept."""
    goes_on_after_a_stop('{"result":"answ')


def configuration_without_secrets():
    """The text as it was last read, with passwords masked, and the mistakes that a failed reload found in it."""
    with Gateway(PACK.format("a", "sim:", 1) + "; password = hunter2\n") as gateway, Link(gateway) as link:
        found = link.ask("configuration")
        assert found["in_force"] is True and found["mistakes"] == [] and "[pack a]" in found["text"], found
        assert "hunter2" not in found["text"] and "password = ***" in found["text"]
        with open(gateway.path, "a") as file:
            file.write("token = hunter3\n")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("the old one stays in force")
        found = link.ask("configuration")
        assert found["in_force"] is False and "hunter3" not in json.dumps(found), found
        assert found["mistakes"][0]["line"] > 1 and "token" in found["mistakes"][0]["text"], found
        assert "not in force" in run("status", "-c", gateway.path)


def reads_beside_the_gateway():
    """packgate read takes the values from the running gateway of the same file, because its port accepts only one
    program."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1,cell_count=8")
    text = PACK.format("a", url, 1).replace("protocol = daly\n", "protocol = daly\nreply_timeout = 60s\n") + PACK.format("b", "tcp://127.0.0.1:1", 2)
    with server, Gateway(text) as gateway:
        gateway.wait_published("a")
        found = json.loads(run("read", "-c", gateway.path, "a"))
        assert found["pack"] == "a" and found["protocol"] == "daly" and abs(found["voltage_v"] - 26.1) < 1e-6, found
        assert "fresh" not in found and "cell_mv.8" in found and "model" not in found.get("protocol")
        with Program(PACKGATE, "read", "--watch", "-c", gateway.path, "a") as watch:
            for _ in range(3):
                assert json.loads(watch.wait_for(r"^\{.*\}$")[0])["pack"] == "a"
        assert "no answer; the running gateway" in run("read", "-c", gateway.path, "-t", "1", "b", status=1)
        assert "no pack 'c'" in run("read", "-c", gateway.path, "c", status=1)
        # To see the bytes a program needs the line for itself; a serial server would accept it as a second master.
        for words in ("--debug",), ("--record", os.path.join(gateway.folder, "a.exch")):
            assert "stop it first" in run("read", *words, "-t", "1", "-c", gateway.path, "a", status=1)
        assert not os.path.exists(os.path.join(gateway.folder, "a.exch"))
        # Nor beside a gateway whose configuration is named: it says that two masters are on the line.
        for words in ("probe", "-c", gateway.path, url), ("read", "-c", gateway.path, "--port", url, "--protocol", "daly"):
            said = subprocess.run([PACKGATE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
            assert "polls this port, too" in said.stderr, said
        # One connection was all that the gateway opened: no other program has connected.
        with Link(gateway) as link:
            assert named(link.ask("status")["lines"], "a")["openings"] == 1
        other = os.path.join(gateway.folder, "other.ini")  # its gateway is not the running one
        with open(gateway.path) as file, open(other, "w") as copy:
            copy.write(file.read().replace(url, "sim:profile=fixed,voltage_v=13.3,cell_count=4"))
        assert abs(json.loads(run("read", "-c", other, "a"))["voltage_v"] - 13.3) < 1e-6


def reads_beside_a_gateway_that_it_may_not_ask():
    """A user outside of the service's group polls as a second master, and is told so."""
    if os.geteuid() != 0:
        return
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1,cell_count=8")
    with server, Gateway(PACK.format("a", url, 1)) as gateway, open(gateway.path) as file:
        gateway.wait_published("a")
        done = subprocess.run([PACKGATE, "read", "-c", "/dev/stdin"], stdin=file, user=61234, group=61234, extra_groups=[],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
        assert done.returncode == 0 and json.loads(done.stdout)["pack"] == "a", done
        assert "permission denied" in done.stderr and "beside the gateway" in done.stderr, done


def file_name_in_another_encoding():
    """JSON cannot hold the path then: the answers come without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, os.fsdecode(b"caf\xe9.ini"))
        with open(path, "w") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {folder}/state\ncontrol = {folder}/control\n"
                       + PACK.format("a", "sim:", 1))
        with Program(PACKGATE, "run", "-c", path) as gateway:
            gateway.folder = folder
            gateway.wait_for(r"pack a: (?:idle|charging|discharging)")
            with Link(gateway) as link:
                found = link.ask("values")
                assert found["configuration"] is None and found["packs"][0]["pack"] == "a", found
                assert "path" not in link.ask("configuration")


def socket_file():
    """Its mode; a socket left by a dead gateway is replaced, that of a running one and any other file are not."""
    with tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        path = folder + "/deep/control"
        with Gateway(PACK.format("a", "sim:", 1), control=path) as gateway:
            gateway.wait_published("a")
            run("health", "-c", gateway.path)
            assert os.stat(path).st_mode & 0o777 == 0o660, oct(os.stat(path).st_mode)
            with Gateway(PACK.format("a", "sim:", 1), control=path) as second:
                second.wait_for("another gateway uses it")
                second.wait_published("a")
            assert run("health", "-c", gateway.path)
            gateway.process.kill()
            gateway.process.wait(PATIENCE)
        assert os.path.exists(path)
        with Gateway(PACK.format("a", "sim:", 1), control=path) as gateway:
            gateway.wait_published("a")
            run("health", "-c", gateway.path)
        assert not os.path.exists(path)
        with open(path, "w") as file:
            file.write("precious")
        with Gateway(PACK.format("a", "sim:", 1), control=path) as gateway:
            gateway.wait_for("not a socket")
            gateway.wait_published("a")
        with open(path) as file:
            assert file.read() == "precious"
        os.unlink(path)
        # A reload moves it, and `none` removes it.
        with Gateway(PACK.format("a", "sim:", 1), control=path) as gateway:
            gateway.wait_published("a")
            for control in (folder + "/other", "none"):
                with open(gateway.path) as file:
                    lines = [f"control = {control}\n" if line.startswith("control") else line for line in file]
                with open(gateway.path, "w") as file:
                    file.writelines(lines)
                gateway.process.send_signal(signal.SIGHUP)
                gateway.wait_for("the new configuration is in force")
                assert not os.path.exists(path)
                assert os.path.exists(folder + "/other") == (control != "none")
            assert "control = none" in run("status", "-c", gateway.path, status=1)


def who_may_ask():
    """Root and the group of the service may read; others cannot connect."""
    if os.geteuid() != 0:
        return
    with tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        os.chmod(folder, 0o755)
        path = folder + "/control"
        script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "try:\n    s.sendall(b'{\"ask\":\"health\"}\\n')\nexcept OSError:\n    pass\nprint(s.makefile().readline())")

        def ask(user, group, more=()):
            return subprocess.run(["/usr/bin/python3", "-c", script, path], user=user, group=group, extra_groups=list(more),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        with Gateway(PACK.format("a", "sim:", 1), control=path) as gateway:
            gateway.wait_published("a")
            own = os.getegid()
            assert b"healthy" in ask(65534, own).stdout
            assert b"healthy" in ask(65534, 65534, [own]).stdout
            assert b"PermissionError" in ask(65534, 65534).stderr
            os.chmod(path, 0o666)  # whatever the mode of the file, the kernel's credentials of the peer decide
            assert b"root and the group" in ask(65534, 65534).stdout
            assert b"healthy" in ask(65534, own).stdout


def bad_input():
    """Garbage, half a request, an endless request, a client that reads nothing, 1,000 connections: each gets one
    clear message, and polling, Modbus and the next client continue."""
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(PACK.format("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        with Link(gateway) as link:
            for line in (b"\n", b"x\n", b"\0\0\n", b"[]\n", b"{\n", b'{"ask":1}\n', b'{"ask":"reboot"}\n', b"\xff\xfe\n",
                         b'{"ask":"status","ask":"health"}\n', b'{"ask":"values","packs":3}\n',
                         b'{"ask":"values","packs":["nobody"]}\n', b"[" * 3000 + b"\n"):
                link.send(line)
                assert set(link.next()) == {"error"}, line
            assert link.ask("health")["healthy"]
        with Link(gateway) as link:  # two at once, and one in pieces
            link.send(b'{"ask":"health"}\n{"ask":"health"}\r\n{"a')
            assert link.next()["healthy"] and link.next()["healthy"]
            link.send(b'sk":"health"}\n')
            assert link.next()["healthy"]
        with Link(gateway) as link:
            link.send(b"x" * 4096)
            assert "4096" in link.next()["error"] and link.next() is None
        polls = read_value(client, "polls", 1)
        halves, deaf = [], []
        for _ in range(20):
            halves.append(Link(gateway))
            halves[-1].send(b'{"ask":"st')
        for _ in range(20):
            deaf.append(Link(gateway))
            deaf[-1].send(b'{"ask":"status"}\n' * 200)
        assert run("health", "-c", gateway.path)
        crowd = []
        for _ in range(1000):
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(PATIENCE)
            one.connect(gateway.folder + "/control")
            crowd.append(one)
        gateway.wait_for("control socket: more than 64 clients at once")
        assert "too many clients" in json.loads(crowd[0].makefile().readline())["error"] and not crowd[0].recv(1)
        assert run("health", "-c", gateway.path)
        await_value(client, "polls", 1, lambda value: value > polls + 5)
        for one in crowd:
            one.close()
        for one in halves + deaf:
            one.close()
        assert run("health", "-c", gateway.path)
        assert sum("more than 64 clients" in line for line in gateway.lines) == 1, gateway.lines


main([health, tells_everything, watches, goes_on_after_a_stop, goes_on_after_a_stop_within_the_answer,
      configuration_without_secrets, reads_beside_the_gateway, reads_beside_a_gateway_that_it_may_not_ask,
      file_name_in_another_encoding, socket_file, who_may_ask, bad_input], at_once=3)
