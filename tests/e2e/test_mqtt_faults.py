# SPDX-License-Identifier: MIT
# tests/run: 25 s
"""Faults around the outlet mqtt, in addition to those of test_mqtt.py: name servers that do not answer, a broker that
restarts with and without its retained messages, certificates that change, messages that do not fit, missing
permissions, unreadable keys, brokers that violate the protocol."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Gateway, PACKGATE, PATIENCE, Standin, main, read_value, simulate, until
from mqtt_harness import (Broker, CONNACK, LINE, Liar, Listener, Proxy, await_retained, make_certificates,
                          name_servers_silent)

SIMULATED = "profile=fixed,voltage_v=26.1,cells=8,soc_percent=77"


def section(port, more="interval = 1s\n", name="home", scheme="mqtt", host="127.0.0.1"):
    return f"[mqtt {name}]\nbroker = {scheme}://{host}:{port}\n{more}"


def await_status(gateway, wanted):
    """The outlet as shown by `packgate status`, as soon as `wanted` is true."""
    return until(lambda: gateway.status()["outlets"][0], wanted)


def name_servers_that_never_answer_hold_nobody_up():
    server, url = simulate("daly", SIMULATED)
    packs = LINE.format("shed", url, 1, "") + "".join(LINE.format(name, "sim:", unit, "")
                                                      for name, unit in (("b", 2), ("c", 3), ("d", 4)))
    with server, tempfile.TemporaryDirectory(prefix="packgate-deaf-") as folder:
        with name_servers_silent(folder):
            gateway = Gateway(packs + section(1883, host="broker.example"))
        with gateway, gateway.client() as client:
            gateway.wait_for("mqtt home: broker .*: no name server answered within 15 s; trying again")
            # Meanwhile the outlet has read everything: 15 seconds of four packs at ten polls a second are far more
            # than its pipe can hold.
            outlet = await_status(gateway, lambda outlet: "no name server answered" in outlet.get("error", ""))
            assert outlet["merged"] == 0 and outlet["messages"] > 100 and not outlet["connected"], outlet
            assert read_value(client, "polls", 1) > 20
            children = subprocess.run(["pgrep", "-P", str(gateway.process.pid)], stdout=subprocess.PIPE).stdout.split()
            gateway.stop()
            # No process had to be killed, and none is left.
            assert not any("by signal" in line for line in gateway.lines), gateway.lines
            until(lambda: not any(os.path.exists(f"/proc/{int(child)}/exe") for child in children))


def comes_back_to_a_broker_with_and_without_its_memory():
    server, url = simulate("daly", SIMULATED)
    for settings in ("persistence true\nautosave_on_changes true\nautosave_interval 1\npersistence_location {}/\n"
                     "allow_anonymous true\n", "allow_anonymous true\n"):
        with tempfile.TemporaryDirectory(prefix="packgate-broker-") as folder:
            settings = settings.format(folder)
            broker = Broker(settings, folder=folder)
            with Gateway(LINE.format("shed", url, 1, "") + section(broker.port)) as gateway:
                before = await_retained(broker, lambda found: any("cell_mv_8" in str(value) for value in found.values()), "all")
                broker.stop(signal.SIGTERM if "persistence" in settings else signal.SIGKILL)
                gateway.wait_for("mqtt home: broker .*; trying again")
                with Broker(settings, port=broker.port, folder=folder) as again, Listener(again) as listener:
                    gateway.wait_for("mqtt home: connected to .* again after")
                    found = await_retained(again, lambda found: found.keys() == before.keys() and
                                           found["packgate/status"] == b"online", "all again")
                    for topic in before:
                        if topic.startswith("homeassistant/"):
                            assert json.loads(found[topic]) == json.loads(before[topic]), topic
                    listener.wait_json("packgate/shed/state")
    server.stop()


def notices_another_certificate():
    server, url = simulate("daly", SIMULATED)
    with tempfile.TemporaryDirectory(prefix="packgate-tls-") as folder, tempfile.TemporaryDirectory(
            prefix="packgate-tls-") as stranger, server:
        make_certificates(folder)
        make_certificates(stranger)
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/now")
        os.chmod(f"{folder}/now", 0o755)

        def take(source):
            for name in "server.pem", "server.key":
                shutil.copy(f"{source}/{name}", f"{folder}/now/{name}")

        take(folder)
        settings = f"allow_anonymous true\ncafile {folder}/ca.pem\ncertfile {folder}/now/server.pem\nkeyfile {folder}/now/server.key\n"
        broker = Broker(settings, folder=folder)
        with Gateway(LINE.format("shed", url, 1, "") + section(broker.port, f"interval = 1s\nca_file = {folder}/ca.pem\n",
                                                               scheme="mqtts")) as gateway:
            with Listener(broker, ca_certs=f"{folder}/ca.pem") as listener:
                listener.wait_json("packgate/shed/state")
                # While running: existing connections stay.
                take(stranger)
                broker.process.send_signal(signal.SIGHUP)
                broker.wait_for("Reloading config")
                for _ in range(3):
                    listener.wait_json("packgate/shed/state")
            broker.stop()
            # The next connection reaches an unknown broker, which gets nothing.
            with Broker(settings, port=broker.port, folder=folder) as other, \
                    Listener(other, ca_certs=f"{stranger}/ca.pem") as listener:
                gateway.wait_for("mqtt home: broker .*certificate.*; trying again")
                outlet = await_status(gateway, lambda outlet: outlet["failed"] >= 3)
                assert not outlet["connected"] and "certificate" in outlet["error"], outlet
                assert not listener.came, listener.came
            take(folder)
            with Broker(settings, port=broker.port, folder=folder) as again, \
                    Listener(again, ca_certs=f"{folder}/ca.pem") as listener:
                gateway.wait_for("mqtt home: connected to .* again after")
                listener.wait_json("packgate/shed/state")
            said = [line for line in gateway.lines if "certificate" in line]
            assert len(said) <= 2, said


def counts_what_finds_no_room():
    server, url = simulate("daly", SIMULATED)
    with server, Broker() as broker, Proxy(broker) as proxy, Gateway(
            LINE.format("shed", url, 1, "") + section(proxy.port)) as gateway, Listener(broker) as listener:
        listener.wait_json("packgate/shed/state")
        assert await_status(gateway, lambda outlet: outlet["connected"])["dropped"] == 0
        proxy.flows.clear()
        gateway.wait_for("mqtt home: the broker does not read fast enough; messages are dropped")
        dropped = await_status(gateway, lambda outlet: outlet["dropped"] > 0)["dropped"]
        proxy.flows.set()
        gateway.wait_for(r"mqtt home: (the broker accepts messages again; \d+ were dropped|connected to .* again)")
        listener.wait_json("packgate/shed/state", lambda state: abs(state["time"] - time.time()) < 3)
        assert await_status(gateway, lambda outlet: outlet["connected"])["dropped"] >= dropped
        assert sum("messages are dropped" in line for line in gateway.lines) == 1, gateway.lines


class Scripted(Standin):
    """A broker of a few lines with scripted behaviour: `answers` is the reply to each type of packet, with the number
    of the packet in place of NN."""

    ANSWERS = {1: "20020000", 3: "4002NN", 8: "9003NN01", 10: "b002NN", 12: "d000"}

    def __init__(self, **differently):
        names = {"connect": 1, "publish": 3, "subscribe": 8, "unsubscribe": 10, "ping": 12}
        self.answers = {**self.ANSWERS, **{names[name]: answer for name, answer in differently.items()}}
        self.published = {}
        super().__init__()

    def talk(self, connection):
        stream = connection.makefile("rb")
        with contextlib.suppress(IndexError):  # it closed in the middle of a packet
            while head := stream.read(1):
                size, shift = 0, 0
                while True:
                    byte = stream.read(1)[0]
                    size |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                self._take(connection, head[0], stream.read(size))

    def _take(self, connection, head, body):
        kind, number = head >> 4, body[:2]
        if kind == 3:
            topic = 2 + int.from_bytes(body[:2], "big")
            number = body[topic:topic + 2]
            self.published[body[2:topic].decode()] = body[topic + (2 if head & 6 else 0):]
            if not head & 6:
                return
        answer = self.answers.get(kind)
        if answer:
            connection.sendall(bytes.fromhex(answer.replace("NN", number.hex())))


def says_what_it_may_not_subscribe_to():
    server, url = simulate("daly", SIMULATED)
    with server, Scripted(subscribe="9003NN80") as broker, Gateway(
            LINE.format("shed", url, 1, "writable = yes") + section(broker.port, "interval = 1s\nswitching = yes\n")) as gateway:
        gateway.wait_for("mqtt home: the broker rejects the subscription to orders: check its access rights")
        gateway.wait_for("mqtt home: the broker rejects the subscription to the start of Home Assistant")
        # Everything else continues.
        until(lambda: "packgate/shed/state" in broker.published)


def gives_up_a_broker_that_reads_nothing():
    server, url = simulate("daly", SIMULATED)
    with server, Scripted(unsubscribe="") as broker, Gateway(LINE.format("shed", url, 1, "") + section(broker.port)) as gateway:
        gateway.wait_for("mqtt home: broker .*: it has read nothing for 10 s; trying again")
        assert "packgate/shed/state" not in broker.published
        assert broker.published["packgate/status"] == b"online"


def stays_with_a_broker_of_few_words():
    """A broker that confirms no message: none counts as delivered, and nothing loops."""
    server, url = simulate("daly", SIMULATED)
    with server, Scripted(publish="") as broker, Gateway(
            LINE.format("shed", url, 1, "") + section(broker.port, "interval = 1s on_change\n")) as gateway:
        outlet = await_status(gateway, lambda outlet: outlet["connected"] and outlet["published"] > 10)
        assert outlet["queued"] > 0, outlet
        before = cpu_s(outlet["pid"])
        polls = gateway.status()["packs"][0]["polls"]
        while gateway.status()["packs"][0]["polls"] < polls + 30:
            time.sleep(0.1)
        assert cpu_s(outlet["pid"]) - before < 1.0


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asks_nobody_for_the_password_of_a_key():
    """Started at a terminal, where the TLS library would ask for a passphrase."""
    with tempfile.TemporaryDirectory(prefix="packgate-tls-") as folder:
        make_certificates(folder)
        os.chmod(folder, 0o755)
        subprocess.run(["openssl", "ec", "-aes256", "-passout", "pass:secret", "-in", f"{folder}/client.key", "-out",
                        f"{folder}/locked.key"], check=True, stderr=subprocess.DEVNULL)
        with Broker(f"allow_anonymous true\ncafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
                    ) as broker:
            config = os.path.join(folder, "packgate.ini")
            with open(config, "w") as file:
                file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {folder}/state\ncontrol = {folder}/control\n" +
                           LINE.format("shed", "sim:", 1, "") + section(
                               broker.port, f"ca_file = {folder}/ca.pem\nclient_cert = {folder}/client.pem, {folder}/locked.key\n", scheme="mqtts"))
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(PACKGATE, [PACKGATE, "run", "-c", config])
            said = b""
            try:
                deadline = time.monotonic() + PATIENCE
                while said.count(b"mqtt home: broker") == 0:
                    assert time.monotonic() < deadline, said
                    said += os.read(terminal, 4096)
            finally:
                os.kill(pid, signal.SIGTERM)
                try:
                    while chunk := os.read(terminal, 4096):
                        said += chunk
                except OSError:
                    pass
                os.waitpid(pid, 0)
                os.close(terminal)
            assert b"pass phrase" not in said.lower() and b"secret" not in said, said
            assert b"the key of client_cert has a passphrase" in said, said


def told_of(gateway):
    """The log lines about the section so far."""
    while not gateway.queue.empty():
        gateway.lines.append(gateway.queue.get())
    return [line for line in gateway.lines if line and "mqtt home" in line]


def a_connection_that_comes_and_goes_is_told_of_a_few_times():
    """A broker that accepts and disconnects, then accepts again and again, and then works."""
    def hang_up(connection):
        connection.sendall(CONNACK)
        connection.close()

    def greet(connection):
        while True:
            connection.sendall(50 * CONNACK)

    for talk, why in ((hang_up, ".*"), (greet, "it accepted the login twice")):
        with Liar(talk) as liar, Gateway(LINE.format("shed", "sim:", 1, "") + section(liar.port)) as gateway:
            gateway.wait_for(f"mqtt home: broker .*: {why}.*, for the third time soon after connecting; not logged again")
            await_status(gateway, lambda outlet: outlet["failed"] >= 4)
            assert [sum(word in line for line in told_of(gateway)) for word in ("broker mqtt:", "connected to")] == [3, 3], \
                told_of(gateway)


def old_orders_are_not_carried_out():
    """Neither an order that was in the outlet's socket while the outlet stood still, nor one that was in the pipe to
    the gateway while that stood still."""
    server, url = simulate("daly", SIMULATED)
    # Fresh for so long that only its age prevents the order.
    text = LINE.format("shed", url, 1, "writable = yes")
    with server, Broker() as broker, Listener(broker) as listener, Gateway(
            text + section(broker.port, "interval = 1s\nswitching = yes\n")) as gateway:
        listener.wait_for("packgate/shed/state")
        outlet = await_status(gateway, lambda outlet: outlet["connected"])["pid"]
        os.kill(outlet, signal.SIGSTOP)
        listener.publish("packgate/shed/set/charge_mos", "0")
        time.sleep(6)
        os.kill(outlet, signal.SIGCONT)
        assert listener.wait_json("packgate/shed/set/result") == {"order": "charge_mos", "value": 0, "result": "no answer"}
        gateway.wait_for("order on packgate/shed/set/charge_mos refused: it may be too old")
        assert listener.wait_json("packgate/shed/state")["charge_mos"] == 1
        gateway.process.send_signal(signal.SIGSTOP)
        listener.publish("packgate/shed/set/charge_mos", "0")
        time.sleep(4)
        gateway.process.send_signal(signal.SIGCONT)
        assert listener.wait_json("packgate/shed/set/result") == {"order": "charge_mos", "value": 0, "result": "no answer"}
        assert listener.wait_json("packgate/shed/state")["charge_mos"] == 1
        # Values arrive after the broker has answered: from then on, orders are current again.
        listener.publish("packgate/shed/set/charge_mos", "0")
        assert listener.wait_json("packgate/shed/set/result")["result"] == "confirmed"


main([name_servers_that_never_answer_hold_nobody_up, a_connection_that_comes_and_goes_is_told_of_a_few_times,
      notices_another_certificate, gives_up_a_broker_that_reads_nothing, old_orders_are_not_carried_out,
      stays_with_a_broker_of_few_words, comes_back_to_a_broker_with_and_without_its_memory, counts_what_finds_no_room,
      says_what_it_may_not_subscribe_to, asks_nobody_for_the_password_of_a_key], at_once=4)
