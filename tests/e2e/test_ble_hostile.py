# SPDX-License-Identifier: MIT
# tests/run: 40 s
"""Bluetooth lines among strangers and in bad air, by a stand-in for BlueZ: crowds of devices with odd names, tables of services without
an end, a service that loses its name in a row, slow links, two adapters, and a key that is to be seen nowhere."""

import json
import re
import signal
import subprocess
import tempfile

import dbus
from ble_harness import Air, Clock, KEYS, Shunts, await_polls, line, pack
from harness import PACKGATE, PATIENCE, Gateway, await_value, main, read_value, until
from web_harness import Page

DALY, JK, JBD = (f"AA:00:00:00:00:0{n}" for n in range(1, 4))
# Terminal sequences, a line break for logs, text direction marks, markup; but nothing that ends an argument.
NAME = "\x1b]0;x\x07\nerror: line a\u202e<b>%n"


def said_by(program):
    return program.lines + list(filter(None, list(program.queue.queue)))


def bears_crowds_and_storms():
    packs = {DALY: ("wide", "daly", "profile=fixed,soc=61")}
    text = (line("a", "ble:" + DALY, "daly") + pack("a", 1) + "[line w]\nport = sim:\nprotocol = daly\n" + pack("w", 100))
    with Air(packs) as air:
        air.switch("Crowd", 2000, NAME)
        with Gateway(text) as gateway, gateway.client() as client, Clock(gateway, 100):
            gateway.wait_published("a", "w")
            await_polls(client, 1)
            # Nothing, and as much as a packet can contain: neither is an answer.
            for n in range(40):
                air.switch("Notify", DALY, dbus.ByteArray(b"" if n % 2 else bytes([0xA5, n, 0x90, 8] * 128)))
            await_polls(client, 1)
            assert read_value(client, "reconnects", 1) == 0
            # It reads all of them again.
            air.switch("Drop", DALY)
            await_value(client, "reconnects", 1, lambda count: count > 0)
            await_polls(client, 1)
            air.switch("Storm", 200)
            await_polls(client, 1)
            assert abs(read_value(client, "soc_percent", 1) - 61) < 0.1
        said = said_by(gateway)
        assert not [text for text in said if "66:00" in text or re.search("[\x00-\x1f\x7f\u202e]", text) or "error" in text], said
        # Its name vanished 200 times; a line logs the loss once, and the recovery once.
        assert sum("line a" in text for text in said) < 20, said
        done = subprocess.run([PACKGATE, "probe", "ble:"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert done.returncode == 0 and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", done.stdout + done.stderr), done
        # The unknown devices are only cached, and none of them is in reach.
        assert f"ble:{DALY}".encode() in done.stdout and b"66:00" not in done.stdout, done


def takes_the_second_adapter():
    """The device is in reach of both adapters; another one is read through the first at the same time."""
    with Air({"hci0+hci1/" + DALY: ("daly", "daly", "profile=fixed,soc=61"), JK: ("jk", "jk02", "profile=fixed,soc=62")}) as air:
        text = line("a", "ble:hci1/" + DALY.lower(), "daly") + pack("a", 1) + line("b", "ble:" + JK, "jk02") + pack("b", 2)
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("a", "b")
            await_polls(client, 1)
            said = said_by(air.bluez)
            assert f"connected {DALY} over hci1" in said and f"connected {JK} over hci0" in said, said
            shown = subprocess.run([PACKGATE, "status", "-c", gateway.path], check=True, stdout=subprocess.PIPE, text=True).stdout
            assert re.search(rf"^a +ble:hci1/{DALY} +open, -60 dBm ", shown, re.M), shown
            # The other adapter is not used.
            air.switch("Power", False)
            gateway.wait_for("line b: ble:.*the Bluetooth adapter")
            await_polls(client, 1)
            assert read_value(client, "reconnects", 1) == 0
            air.switch("Power", True)
            await_polls(client, 2)
        # It has released the device: other programs can use it, through any adapter.
        done = subprocess.run([PACKGATE, "probe", "ble:hci1/"], stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
        assert f"ble:hci1/{DALY}  " in done.stdout and JK not in done.stdout, done
        done = subprocess.run([PACKGATE, "read", "--port", "ble:hci1/" + DALY, "--protocol", "daly"], stdout=subprocess.PIPE,
                              text=True, timeout=PATIENCE)
        assert done.returncode == 0 and abs(json.loads(done.stdout)["soc_percent"] - 61) < 0.1, done


def leaves_a_device_to_who_has_it():
    """A second packgate would take the first one's answers, and end its link when it exits."""
    with Air({DALY: ("daly", "daly", "profile=fixed,soc=61")}) as air:
        commands = (("probe", "ble:" + DALY), ("read", "-t", "20", "--port", "ble:hci0/" + DALY, "--protocol", "daly"))
        with Gateway(line("a", "ble:" + DALY, "daly") + pack("a", 1)) as gateway, gateway.client() as client:
            gateway.wait_published("a")
            for words in commands:
                done = subprocess.run([PACKGATE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
                assert done.returncode == 1 and "another packgate of this host uses it" in done.stdout, done
            await_polls(client, 1)
            assert read_value(client, "reconnects", 1) == 0
            gateway.stop(signal.SIGKILL)
        for words in commands:
            done = subprocess.run([PACKGATE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            assert done.returncode == 0, (done, said_by(air.bluez))


def waits_for_late_replies():
    """Over a bad link replies take longer than the minimum of 1.5 s: the gateway and `read` wait longer. A short
    reply_timeout, as for a cable, does not apply to Bluetooth."""
    packs = {DALY: ("daly", "daly", "profile=fixed,soc=61,delay=500"), JBD: ("jbd", "jbd", "profile=fixed,soc=63,delay=2200")}
    slow = "stale_after = 2m"  # a round takes seconds, or more on a busy machine
    text = (line("a", "ble:" + DALY, "daly", "reply_timeout = 200ms") + pack("a", 1, slow) + line("c", "ble:" + JBD, "jbd") + pack("c", 3, slow))
    with Air(packs) as air:
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("a", "c")
            for unit, soc in ((1, 61), (3, 63)):
                await_value(client, "soc_percent", unit, lambda percent, soc=soc: abs(percent - soc) < 0.1)
                await_polls(client, unit, 1)
            until(lambda: re.search("line c: replies come .* later than reply_timeout = 1.5 s", "\n".join(said_by(gateway))))
            gateway.stop()
        said = "\n".join(said_by(gateway))
        assert "reply_timeout = 0.2 s" not in said, said
        done = subprocess.run([PACKGATE, "read", "-t", "60", "--port", "ble:" + JBD, "--protocol", "jbd"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        assert done.returncode == 0 and abs(json.loads(done.stdout)["soc_percent"] - 63) < 0.1, done


def hides(key, texts):
    """None of them contains a part of it, in any notation."""
    for text in texts:
        squeezed = re.sub(r"[^0-9a-f]", "", text.lower())
        assert not [n for n in range(0, len(key) - 12) if key[n:n + 13] in squeezed], text


def shows_the_key_nowhere():
    """Everything that the gateway, its page and its commands show; and wherever the key was pasted in place of a
    path."""
    address, key = next(iter(KEYS.items()))
    with Air({address: ("advertiser", None, "")}) as air, tempfile.TemporaryDirectory() as folder, Shunts():
        path = folder + "/shunt"
        with open(path, "w") as file:
            file.write(key + "\n")
        good = line("s", "ble:" + address, "victron-ble", "key_file = " + path) + pack("s", 1)
        with Page(packs=good + f"; its key was {key} last year\n", arguments=("--debug",)) as page:
            page.wait_published("s")
            listening = subprocess.Popen([PACKGATE, "listen", "s", "-c", page.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

            def asked():
                """Through the page and through commands."""
                for where in ("/", "/api/v1/gateway", "/api/v1/packs", "/api/v1/packs/s", "/metrics", "/api/v1/packs?detail=all"):
                    yield page.ask(where)[2].decode(errors="replace")
                for words in (("status",), ("status", "--json"), ("check",), ("read", "s"), ("read", "--debug", "s"), ("reload",)):
                    yield subprocess.run([PACKGATE, *words, "-c", page.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         text=True, timeout=PATIENCE).stdout
            shown = list(asked())
            assert "its key was *** last year" in json.loads(shown[1])["config"]["text"]
            assert path in json.loads(shown[1])["config"]["text"]
            # The key itself in place of its file, under names that users may try.
            with open(page.path) as file:
                text = file.read()
            for wrong in ("key_file = " + key, "key = " + key, "encryption_key = " + key, "instant readout: " + key, key):
                with open(page.path, "w") as file:
                    file.write(text.replace("key_file = " + path, wrong))
                page.process.send_signal(signal.SIGHUP)
                page.wait_for("the old one stays in force")
                shown += asked()
            listening.terminate()
            shown.append(listening.communicate(timeout=PATIENCE)[0].decode())
            page.stop()
            hides(key, shown)
            hides(key, said_by(page))
        for words in (("probe", "--key-file", key, "ble:" + address),
                      ("read", "-t", "1", "--port", "ble:" + address, "--protocol", "victron-ble", "--key-file", key)):
            done = subprocess.run([PACKGATE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            assert done.returncode == 1, done
            hides(key, [done.stdout])
        record = folder + "/record"
        done = subprocess.run([PACKGATE, "read", "--port", "ble:" + address, "--protocol", "victron-ble", "--key-file", path,
                               "--record", record], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        with open(record) as file:
            hides(key, [done.stdout, file.read()])
        assert done.returncode == 0, done


main([waits_for_late_replies, bears_crowds_and_storms, leaves_a_device_to_who_has_it, shows_the_key_nowhere, takes_the_second_adapter], at_once=4)
