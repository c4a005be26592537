# SPDX-License-Identifier: MIT
# tests/run: 60 s
"""`packgate probe` over Bluetooth Low Energy, with a stand-in for BlueZ: the devices in reach, and the protocol of
one."""

import json
import os
import re
import subprocess
import tempfile

from ble_harness import Air, KEYS, Shunts
from harness import Gateway, PACKGATE, PATIENCE, main

DALY, JK, JBD, D2, OTHER = (f"AA:00:00:00:00:0{n}" for n in range(1, 6))


def probe(*arguments):
    done = subprocess.run([PACKGATE, "probe", "-c", EMPTY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, text=True)
    return done.returncode, done.stdout, done.stderr


def lists_what_is_in_reach():
    packs = {DALY: ("daly", "daly", "profile=fixed", "DL-1"), JK: ("jk", None, "", "my shed"), OTHER: ("unknown", None, ""),
             JBD: ("jbd", None, "", "xiao\x1b[31mxiang"), D2: ("daly", None, "")}
    with Air(packs) as air:
        air.switch("Hide", D2, True)
        with Gateway(f"[line a]\nport = ble:{DALY}\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n") as gateway:
            gateway.wait_published("a")
            status, out, error = probe("ble:", "-c", gateway.path)
        assert status == 0, error
        assert f"ble:{DALY}  DL-1\n    connected to this host: Daly: daly or daly-d2\n    it is [line a] of" in out, out
        assert f"ble:{JK}  my shed\n    -60 dBm: a serial line as JK has it: jk02?" in out, out
        assert f"ble:{JBD}  xiao?[31mxiang\n    -60 dBm: a serial line" in out, out
        assert f"ble:{OTHER}  \n    -60 dBm\n" in out and D2 not in out, out
        air.stop_bluez()
        assert probe("ble:")[::2] == (1, "listening for 10 s\npackgate: ble: BlueZ does not run (systemctl start bluetooth)\n")
        air.start_bluez()
        air.switch("Power", False)
        assert "the Bluetooth adapter is off" in probe("ble:")[2]
        assert "no such Bluetooth adapter" in probe("ble:hci7/")[2]


def finds_the_protocol():
    packs = {DALY: ("daly", "daly", "profile=fixed"), JK: ("jk", "jk02", "profile=fixed"),
             JBD: ("jbd", "jbd", "profile=fixed"), D2: ("daly-new", "daly-d2", "profile=fixed"), OTHER: ("unknown", "daly", "")}
    with Air(packs) as air:
        for address, protocol in ((DALY, "daly"), (JK, "jk02"), (JBD, "jbd"), (D2, "daly-d2")):
            air.switch("BreakNotify", D2, "fff1")
            air.switch("RefuseConnects", address, 1)  # as radio links sometimes do
            status, out, error = probe("ble:" + address.lower())
            assert status == 0 and f"port = ble:{address}\n" in out and f"protocol = {protocol}" in out, (out, error)
            assert "baud" not in out, out
        air.switch("Stale", JK, True)
        air.switch("Hide", JBD, True)
        status, out, error = probe("ble:" + JBD)
        assert status == 1 and "it is not in reach" in error, error
        status, out, error = probe("ble:" + OTHER)
        assert status == 1 and "none of the serial lines that are known" in error, error
        # No device was paired or forgotten.
        assert not [line for line in air.bluez.lines + list(filter(None, air.bluez.queue.queue)) if "removed" in line]


def hears_a_shunt():
    address, key = next(iter(KEYS.items()))
    with (Air({address: ("advertiser", None, "", "SmartShunt")}) as air, tempfile.TemporaryDirectory() as folder,
          Shunts() as shunts):
        shunts.volts[address] = 26.61
        path = os.path.join(folder, "shunt.key")
        status, out, error = probe("ble:")
        assert f"ble:{address}  SmartShunt\n    -60 dBm: Victron, Instant Readout: victron-ble" in out, out
        assert "packgate probe --key-file FILE ble:ADDRESS" in out, out
        # It is not connected to unnecessarily.
        status, out, error = probe("ble:" + address)
        assert status == 1 and "protocol victron-ble, and a key_file" in error, error
        status, out, error = probe("--key-file", path, "ble:" + address)
        assert status == 1 and "its key_file: No such file" in error, error
        with open(path, "w") as file:
            file.write("00" + key[2:])
        status, out, error = probe("--key-file", path, "ble:" + address)
        assert status == 1 and "the key in its key_file is not the one of this device" in error, error
        with open(path, "w") as file:
            file.write(key)
        # The path may be relative to the current folder.
        status, out, error = probe("--key-file", os.path.relpath(path), "ble:" + address)
        assert status == 0 and f"port = ble:{address}\n" in out and "protocol = victron-ble\n" in out, (out, error)
        shown = re.search(r"^key_file = (/.*)$", out, re.M)[1]
        assert os.path.samefile(shown, path) and "26.61 V" in out and "SOC 50.0 %" in out, out
        assert key[2:] not in out + error and "baud" not in out, (out, error)
        arguments = ["read", "--port", "ble:" + address, "--protocol", "victron-ble"]
        done = subprocess.run([PACKGATE, *arguments, "--key-file", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE, text=True)
        assert done.returncode == 0 and json.loads(done.stdout)["voltage_v"] == 26.61, done
        done = subprocess.run([PACKGATE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
        assert done.returncode == 1 and "has no 'key_file'" in done.stderr, done
        for wrong in (("--key-file", path), ("--key-file", path, "ble:"), ("--key-file", path, "tcp://127.0.0.1:1")):
            assert probe(*wrong)[0] == 2, wrong
        assert not [line for line in air.bluez.lines + list(filter(None, air.bluez.queue.queue)) if "connect" in line]


def says_that_the_bus_turns_it_away():
    """As for users whose names it does not know."""
    if os.geteuid() != 0:
        return
    with Air({}) as air:
        os.chmod(air.folder, 0o755)
        done = subprocess.run([PACKGATE, "probe", "ble:"], user=61234, group=61234, extra_groups=[], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
        assert done.returncode == 1 and "ble: the system bus (D-Bus) ended the connection\n" in done.stderr, done


with tempfile.TemporaryDirectory() as folder:
    EMPTY = os.path.join(folder, "none.ini")
    with open(EMPTY, "w") as file:
        file.write("[line x]\nport = tcp://127.0.0.1:9\nprotocol = daly\n[pack x]\nline = x\nunit = 1\n")
    main([finds_the_protocol, lists_what_is_in_reach, hears_a_shunt, says_that_the_bus_turns_it_away], at_once=4)
