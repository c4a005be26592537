# SPDX-License-Identifier: MIT
"""`protocol = modbus`: a BMS that is described by a file, from the file to the client; the file is checked, and
reloaded when it changes."""

import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import tempfile
import threading

from harness import Gateway, PACKGATE, await_value, main, read_value, simulate, with_crc16

EXAMPLE = "conf/modbus-map-example.txt"


def pack(url, path):
    return f"[line bus]\nport = {url}\nprotocol = modbus {path}\nreply_timeout = 5s\n[pack house]\nline = bus\naddress = 1\nunit = 1\npoll = 100ms\n"


def simulated():
    return simulate("eg4-ll", "profile=fixed,cells=16,voltage_v=52.8,current_a=-12.3,soc_percent=61,cell_mv.7=3311",
                    "--address", "1")


def near(expected):
    return lambda value: abs(value - expected) < 1e-4


def serves_what_the_map_says():
    server, url = simulated()
    with server, Gateway(pack(url, os.path.abspath(EXAMPLE))) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        for name, expected in (("voltage_v", 52.8), ("current_a", -12.3), ("soc_percent", 61), ("cell_mv.7", 3311),
                               ("cell_count", 16)):
            await_value(client, name, 1, near(expected))


def simulates_what_a_map_describes():
    """A map is tested without the BMS: the values are decoded unchanged."""
    options = "profile=fixed,cells=15,voltage_v=51.7,current_a=-12.3,soc_percent=61,cell_mv.7=3311,temp_c.1=-9"
    server, url = simulate("modbus", options, "--map", EXAMPLE, "--address", "1")
    with server, Gateway(pack(url, os.path.abspath(EXAMPLE))) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        for name, expected in (("voltage_v", 51.7), ("current_a", -12.3), ("soc_percent", 61), ("cell_mv.7", 3311),
                               ("cell_count", 15), ("temp_c.1", -9), ("rated_ah", 100)):
            await_value(client, name, 1, near(expected))
    for wrong in (["--protocol", "modbus"], ["--protocol", "daly", "--map", EXAMPLE], ["--protocol", "modbus", "--map", "/none"]):
        done = subprocess.run([PACKGATE, "simulate", "--tcp", "0", *wrong], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and "map" in done.stderr, (wrong, done)


def the_page_s_map_works():
    with open("docs/modbus-map.md") as page, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "growatt.txt")
        with open(path, "w") as file:
            file.write(re.search(r"^```text\n(read .*?)^```", page.read(), re.M | re.S)[1])
        server, url = simulate("modbus", "profile=fixed,voltage_v=51.77,current_a=-12.34,soc_percent=61,temp_c.1=-9.5", "--map", path)
        with server, Gateway(pack(url, path)) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            for name, expected in ("voltage_v", 51.77), ("current_a", -12.34), ("soc_percent", 61), ("temp_c.1", -9.5):
                await_value(client, name, 1, near(expected))


def reads_without_a_configuration():
    server, url = simulated()
    with server:
        call = [PACKGATE, "read", "--port", url, "--protocol", "modbus", "--address", "1", "--timeout", "60"]
        done = subprocess.run(call + ["--map", EXAMPLE], stdout=subprocess.PIPE, check=True)
        values = json.loads(done.stdout)
        assert near(52.8)(values["voltage_v"]) and values["soc_percent"] == 61, values
        without = subprocess.run(call, stderr=subprocess.PIPE, text=True)
        assert without.returncode == 1 and "map" in without.stderr, without
        wrong = subprocess.run(call + ["--map", "/none"], stderr=subprocess.PIPE, text=True)
        assert wrong.returncode == 1 and "packgate read: --map: " in wrong.stderr and "/none" in wrong.stderr, wrong


def takes_over_a_changed_map():
    server, url = simulated()
    with server, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bms.txt")
        shutil.copy(EXAMPLE, path)
        with Gateway(pack(url, path)) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            await_value(client, "current_a", 1, near(-12.3))
            # Without a change the line stays open, with one it does not.
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for("the new configuration is in force, without changes")
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda count: count > polls + 2)
            with open(path) as file:
                text = file.read()
            with open(path, "w") as file:
                file.write(text.replace("s16    scale 0.01 ", "s16    scale -0.01 "))
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for(rf"\[pack house\] map: {re.escape(path)} has changed")
            gateway.wait_for("the new configuration is in force$")
            gateway.wait_published("house")
            await_value(client, "current_a", 1, near(12.3))
            # A map with a mistake changes nothing.
            with open(path, "a") as file:
                file.write("voltage 0 u16\n")
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for(r"bms\.txt:\d+: 'voltage' is no value")
            assert abs(read_value(client, "current_a", 1) - 12.3) < 1e-4


def is_simulated_in_the_process():
    """On a line of its own, over reloads with the same map and with another one."""
    options = "sim:profile=fixed,cells=15,voltage_v=51.7,current_a=-12.3,soc_percent=61"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bms.txt")
        shutil.copy(EXAMPLE, path)
        with Gateway(pack(options, path)) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            for name, expected in ("voltage_v", 51.7), ("current_a", -12.3), ("cell_count", 15):
                await_value(client, name, 1, near(expected))
            for change in "", "# a remark, and thus another file\n":
                with open(path, "a") as file:
                    file.write(change)
                for _ in range(3):
                    gateway.process.send_signal(signal.SIGHUP)
                    gateway.wait_for("the new configuration is in force")
                    polls = read_value(client, "polls", 1)
                    await_value(client, "polls", 1, lambda count: count > polls + 3)
                await_value(client, "current_a", 1, near(-12.3))


SELECTED = """
write 0x550 3 0x8100
read holding 0x551 1
expect 0x551 0x8801
read holding 0x558 4
voltage_v 0x558 u16 scale 0.1
soc_percent 0x559 u16 scale 0.1
"""


class Module(socketserver.BaseRequestHandler):
    """A battery that must be told which of its modules will be read, and needs a while: values that are read too
    early are those of another module."""

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.request.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data

    def words(self, register):
        server = self.server
        if register == 0x551:
            server.asked += 1
            return [0x8801 if server.asked > 2 else 0x8100]
        return [531, 613, 0, 0] if server.asked > 2 else [444, 999, 0, 0]

    def handle(self):
        server = self.server
        try:
            while True:
                head = self.read(8)
                if head[1] == 0x10:
                    assert self.read(5)[:3] == b"\x03\x81\x00", head
                    server.asked = 0
                    server.writes += 1
                    self.request.sendall(with_crc16(head[:6]))
                    continue
                data = b"".join(word.to_bytes(2, "big") for word in self.words(int.from_bytes(head[2:4], "big")))
                self.request.sendall(with_crc16(bytes((head[0], 3, len(data))) + data))
        except ConnectionError:
            pass


def writes_before_it_reads():
    """Each poll selects the module, and values are not read before it is ready."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Module) as server, tempfile.NamedTemporaryFile("w") as file:
        file.write(SELECTED)
        file.flush()
        server.daemon_threads = True
        server.asked = server.writes = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = pack(f"tcp://127.0.0.1:{server.server_address[1]}", file.name)
        with Gateway(text.replace("reply_timeout = 5s", "reply_timeout = 200ms")) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            for _ in range(3):
                polls = read_value(client, "polls", 1)
                await_value(client, "polls", 1, lambda count: count > polls)
                assert abs(read_value(client, "voltage_v", 1) - 53.1) < 1e-4
                assert abs(read_value(client, "soc_percent", 1) - 61.3) < 1e-4
        assert server.writes > 3, server.writes
        server.shutdown()


def checks_the_map():
    text = "[line l]\nport = tcp://192.0.2.1:1\n[pack p]\nline = l\nunit = 1\nprotocol = modbus %s\n"
    for path, status in (EXAMPLE, 0), ("README.md", 1), ("/nowhere", 1):
        result = subprocess.run([PACKGATE, "check", "-c", "-"], input=(text % path).encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        assert result.returncode == status, (path, result)
        assert status == 0 or path.encode() in result.stderr, result


main([serves_what_the_map_says, simulates_what_a_map_describes, the_page_s_map_works, reads_without_a_configuration, takes_over_a_changed_map, is_simulated_in_the_process, writes_before_it_reads,
      checks_the_map])
