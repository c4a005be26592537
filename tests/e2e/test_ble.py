# SPDX-License-Identifier: MIT
# tests/run: 70 s
"""Packs over Bluetooth Low Energy, by a stand-in for BlueZ on a private bus: real D-Bus messages, simulated packs."""

import re
import signal
import subprocess
import tempfile
import time

import dbus
import dbus.lowlevel
from ble_harness import Air, Clock, KEYS, Shunts, await_polls, line, pack, victron_record
from harness import Gateway, PACKGATE, PATIENCE, await_value, decode, exception_of, find, main, read_value, until

DALY, JK, JBD, D2 = (f"AA:00:00:00:00:0{n}" for n in range(1, 5))


def reads_daly_jk_and_jbd():
    packs = {DALY: ("daly", "daly", "profile=fixed,soc=61", "DL-1", "--variant", "bluetooth"),
             JK: ("jk", "jk02", "profile=fixed,soc=62", "JK-1"),
             JBD: ("jbd", "jbd", "profile=fixed,soc=63", "xiaoxiang"),
             D2: ("request", "daly-d2", "profile=fixed,soc=64", "DL-2")}
    text = (line("a", "ble:" + DALY.lower(), "daly") + pack("a", 1) + line("b", "ble:hci0/" + JK, "jk02") + pack("b", 2) +
            line("c", "ble:xiaoxiang", "jbd") + pack("c", 3) + line("d", "ble:" + D2, "daly-d2") + pack("d", 4))
    with Air(packs) as air, Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("a", "b", "c", "d")
        for unit in range(1, 5):
            await_polls(client, unit)
            await_value(client, "soc_percent", unit, lambda soc, unit=unit: abs(soc - 60 - unit) < 0.1)
        shown = subprocess.run([PACKGATE, "status", "-c", gateway.path], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert re.search(r"^a +ble:AA:00:00:00:00:01 +open, -60 dBm ", shown, re.M), shown
        assert gateway.stop() == 0
        # On a busy host a pack may be reported as late.
        warnings = [text for text in gateway.lines if re.search("warning|error", text) and "no answer" not in text]
        assert len(warnings) == 1 and "is a name" in warnings[0], warnings
        # No device stays connected: otherwise other programs could not connect, and some devices would no longer
        # advertise.
        for _ in range(4):
            air.bluez.wait_for("disconnected")


def reads_by_maps_over_modules_of_their_own():
    """Characteristics with 128-bit UUIDs, two of which differ only in their last digits."""
    def by_map(profile, make, soc):
        return profile, "modbus", f"profile=fixed,soc={soc}", make, "--map", f"conf/maps/{make}.txt"

    packs = {DALY: by_map("nordic", "vatrer", 61), JBD: by_map("buknuwo", "buknuwo", 62)}
    text = "".join(line(name, "ble:" + address, f"modbus conf/maps/{make}.txt") + pack(name, unit)
                   for unit, (name, address, make) in enumerate((("a", DALY, "vatrer"), ("b", JBD, "buknuwo")), 1))
    with Air(packs), Gateway(text) as gateway, gateway.client() as client:
        gateway.wait_published("a", "b")
        for unit in (1, 2):
            await_value(client, "soc_percent", unit, lambda soc, unit=unit: abs(soc - 60 - unit) < 0.1)


WIRED = line("w", "sim:", "daly") + pack("w", 100)


def await_state(client, unit, fresh):
    """Stale values cannot be read."""
    row = find("voltage_v")
    until(lambda: (exception_of(client, row["address"], row["count"], unit) is None) == fresh)


def survives_what_happens_to_links():
    packs = {DALY: ("daly", "daly", "profile=fixed,soc=61"), JK: ("jk-two", "jk02", "profile=fixed,soc=62")}
    text = (line("a", "ble:" + DALY, "daly") + pack("a", 1) + line("b", "ble:" + JK, "jk02") + pack("b", 2) + WIRED)
    with Air(packs) as air, Gateway(text) as gateway, gateway.client() as client, Clock(gateway, 100):
        def goes_on():
            await_polls(client, 1, 3)
            await_polls(client, 2, 3)

        gateway.wait_published("a", "b")
        goes_on()
        air.switch("Drop", DALY)
        goes_on()
        air.switch("RefuseConnects", JK, 2)
        air.switch("Drop", JK)
        goes_on()
        air.switch("Power", False)
        gateway.wait_for("the Bluetooth adapter is off")
        air.switch("Power", True)
        goes_on()
        air.switch("Adapter", False)
        gateway.wait_for("this host has no Bluetooth adapter")
        air.switch("Adapter", True)
        goes_on()
        air.stop_bluez()
        gateway.wait_for("BlueZ does not run")
        air.start_bluez()
        goes_on()
    assert not [text for text in gateway.lines if "error" in text], gateway.lines


def waits_for_a_device_that_its_app_holds():
    """A device that never completes a connection does not block the adapter for others."""
    packs = {DALY: ("daly", "daly", "profile=fixed"), JBD: ("jbd", "jbd", "profile=fixed")}
    text = line("a", "ble:" + DALY, "daly") + pack("a", 1) + line("b", "ble:" + JBD, "jbd") + pack("b", 2)
    with Air(packs) as air:
        air.switch("Hide", DALY, True)
        air.switch("Hang", JBD, True)
        with Gateway(text) as gateway, gateway.client() as client:
            said = {gateway.wait_for("line (.): ble:.*(not in reach|does not let us connect)")[1] for _ in range(2)}
            assert said == {"a", "b"}, said
            air.switch("Hide", DALY, False)
            air.switch("Hang", JBD, False)
            gateway.wait_published("a", "b")
            await_polls(client, 1, 3)
            await_polls(client, 2, 3)


def finds_the_serial_line_that_works():
    packs = {DALY: ("daly-new", "daly", "profile=fixed"), D2: ("daly-new", "daly-d2", "profile=fixed"),
             JBD: ("jbd", "jbd", "profile=fixed"), JK: ("jk-old", "jk02", "profile=fixed")}
    text = (line("a", "ble:" + DALY, "daly") + pack("a", 1) + line("b", "ble:" + D2, "daly-d2") + pack("b", 2) +
            line("c", "ble:" + JBD, "jbd") + pack("c", 3) + line("d", "ble:" + JK, "jk02") + pack("d", 4))
    with Air(packs) as air:
        air.switch("BreakNotify", DALY, "fff1")  # D2 accepts the subscription and stays silent
        air.switch("Obey", JBD, "request")       # has both kinds of write, and obeys only one
        air.switch("Stale", JK, True)            # BlueZ remembers that it has no services
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("a", "b", "c", "d")
            air.bluez.wait_for("removed " + JK)
            for unit in range(1, 5):
                await_polls(client, unit, 3)
            air.switch("Busy", DALY, 2)
            await_polls(client, 1, 3)


def shares_the_adapter_with_another_scanner():
    with Air({DALY: ("daly", "daly", "profile=fixed")}) as air:
        air.switch("Hide", DALY, False)
        adapter = dbus.Interface(air.client.get_object("org.bluez", "/org/bluez/hci0", introspect=False), "org.bluez.Adapter1")
        adapter.StartDiscovery()
        with Gateway(line("a", "ble:" + DALY, "daly") + pack("a", 1)) as gateway, gateway.client() as client:
            gateway.wait_published("a")
            await_polls(client, 1, 3)
        adapter.StopDiscovery()  # it was scanning all the time


def takes_over_from_one_that_was_killed():
    with Air({DALY: ("daly", "daly", "profile=fixed")}) as air:
        text = line("a", "ble:" + DALY, "daly") + pack("a", 1)
        with Gateway(text) as gateway:
            gateway.wait_published("a")
            gateway.stop(signal.SIGKILL)
        with Gateway(text) as gateway, gateway.client() as client:
            gateway.wait_published("a")
            await_polls(client, 1, 3)
        air.bluez.wait_for("disconnected")


def never_waits_for_the_bus():
    packs = {DALY: ("daly", "daly", "profile=fixed")}
    text = line("a", "ble:" + DALY, "daly") + pack("a", 1) + WIRED
    with Air(packs) as air:
        air.stop_bluez()
        air.stop_bus()
        with Gateway(text) as gateway, gateway.client() as client, Clock(gateway, 100):
            gateway.wait_for("line a: ble:.*the system bus .* does not run")
            gateway.wait_published("w")
            air.start_bus()
            air.start_bluez()
            gateway.wait_published("a")
            await_polls(client, 1, 3)
            # It stalls, together with all bytes in transit.
            air.bus.process.send_signal(signal.SIGSTOP)
            await_state(client, 1, False)
            await_polls(client, 100, 20)
            air.bus.process.send_signal(signal.SIGCONT)
            await_state(client, 1, True)
            await_polls(client, 1, 3)
            # It had stalled already when the line was opened.
            air.switch("Hide", DALY, True)
            await_state(client, 1, False)
            air.bus.process.send_signal(signal.SIGSTOP)
            await_polls(client, 100, 20)
            air.bus.process.send_signal(signal.SIGCONT)
            air.switch("Hide", DALY, False)
            await_state(client, 1, True)
            # It exits, and restarts.
            air.stop_bus()
            air.stop_bluez()
            await_state(client, 1, False)
            air.start_bus()
            air.start_bluez()
            await_state(client, 1, True)
        assert not [text for text in gateway.lines if "error" in text], gateway.lines


def name_of(bus, process):
    """A process's unique name on the bus."""
    daemon = dbus.Interface(bus.get_object("org.freedesktop.DBus", "/org/freedesktop/DBus", introspect=False),
                            "org.freedesktop.DBus")
    for name in daemon.ListNames():
        if name.startswith(":") and daemon.GetConnectionUnixProcessID(name) == process:
            return name
    raise AssertionError("it is not on the bus")


def believes_bluez_alone_and_bears_a_flood():
    packs = {DALY: ("daly", "daly", "profile=fixed,soc=61")}
    text = line("a", "ble:" + DALY, "daly") + pack("a", 1) + WIRED
    with Air(packs) as air, Gateway(text) as gateway, gateway.client() as client, Clock(gateway, 100):
        gateway.wait_published("a")
        air.switch("Flood", 1)
        name = name_of(air.client, gateway.process.pid)
        device = "/org/bluez/hci0/dev_" + DALY.replace(":", "_")

        def lie(path, interface, values):
            message = dbus.lowlevel.SignalMessage(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")
            message.append(interface, dbus.Dictionary(values, signature="sv"), dbus.Array([], signature="s"),
                           signature="sa{sv}as")
            message.set_destination(name)
            air.client.send_message(message)

        soc = bytes.fromhex("a501900802120000753000c8")  # 20.0 %, as a valid frame would encode it
        soc += bytes([sum(soc) & 255])
        for _ in range(2000):
            lie(device + "/service0010/char0011", "org.bluez.GattCharacteristic1", {"Value": dbus.Array(soc, signature="y")})
            lie(device, "org.bluez.Device1", {"Connected": False})
            lie("/org/bluez/hci0", "org.bluez.Adapter1", {"Powered": False})
        air.client.flush()
        await_polls(client, 1)
        assert read_value(client, "reconnects", 1) == 0
        assert abs(read_value(client, "soc_percent", 1) - 61) < 0.1
        for _ in range(20):
            air.switch("Flood", 500)
            assert abs(read_value(client, "soc_percent", 1) - 61) < 0.1
        await_polls(client, 1)


def hears_what_a_shunt_advertises():
    """The test vector, and records after it, encrypted by openssl."""
    shunt, key = "C0:FF:EE:00:00:01", "aff4d0995b7d1e176c0c33ecb9e70dcd"

    with Air({shunt: ("advertiser", None, "")}) as air, tempfile.NamedTemporaryFile("w") as file:
        file.write("bad" + key[3:] + "\n")
        file.flush()
        text = line("s", "ble:" + shunt, "victron-ble", "key_file = " + file.name) + pack("s", 1, "capacity = 200")
        assert victron_record(key, 0x40B0).hex() == "10028 9a302b040af925d09a4d89aa0128bdef48c6298a9".replace(" ", "")
        nonce = 0x40B0

        def say_on(client):
            """About one record per second, so that the values stay fresh."""
            nonlocal nonce
            nonce += 1
            air.switch("Advertise", shunt, dbus.ByteArray(victron_record(key, nonce)))
            row = find("voltage_v")
            return exception_of(client, row["address"], row["count"], 1) is None

        with Gateway(text, arguments=("--debug",)) as gateway, gateway.client() as client:
            air.switch("Advertise", shunt, dbus.ByteArray(victron_record(key, nonce)))
            gateway.wait_for("line s: .*the key in its key_file is not the one of this device")
            with open(file.name, "w") as again:
                again.write(key + "\n")
            until(lambda: say_on(client))
            assert abs(read_value(client, "voltage_v", 1) - 12.53) < 1e-4
            assert abs(read_value(client, "soc_percent", 1) - 50) < 0.01
            assert abs(read_value(client, "remaining_ah", 1) - 150) < 0.01
            # The same record again and again is an old one.
            await_state(client, 1, False)
            gateway.stop()
            assert not [text for text in gateway.lines if key[3:20] in text.lower().replace(" ", "")]


def shunt(n, key, more=""):
    return line(f"s{n}", "ble:" + list(KEYS)[n], "victron-ble", "key_file = " + key) + pack(f"s{n}", n + 1, more)


def hears_several_shunts():
    """Shunts with a right key, the key of another shunt, a key that only begins like it, and none; beside a connected
    pack. No key is ever shown."""
    keys = list(KEYS.values())
    packs = {address: ("advertiser", None, "") for address in KEYS} | {DALY: ("daly", "daly", "profile=fixed,soc=61")}
    with Air(packs) as air, tempfile.TemporaryDirectory() as folder, Shunts() as shunts:
        files = []
        for n, text in enumerate((keys[0], keys[1], keys[0], keys[3][:2] + keys[0][2:])):
            files.append(f"{folder}/key{n}")
            with open(files[n], "w") as file:
                file.write(text + "\n")
        text = ("".join(shunt(n, path) for n, path in enumerate(files)) + shunt(4, folder + "/none") +
                line("a", "ble:" + DALY, "daly") + pack("a", 9))
        with Gateway(text, arguments=("--debug",)) as gateway, gateway.client() as client:
            for unit in (1, 2, 9):
                await_state(client, unit, True)
            assert abs(read_value(client, "voltage_v", 1) - 12) < 1e-4 and abs(read_value(client, "voltage_v", 2) - 13) < 1e-4
            listening = subprocess.Popen([PACKGATE, "listen", "s0", "-c", gateway.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # Three quarters of random data have wrong unused bits, and the rest differs each time: none of it is
            # accepted.
            for unit in (3, 4, 5):
                await_state(client, unit, False)
            await_polls(client, 1, 10)
            row = find("voltage_v")
            for unit in (3, 4, 5):
                assert exception_of(client, row["address"], row["count"], unit) is not None, unit
            shown = [subprocess.run([PACKGATE, *words, "-c", gateway.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                    timeout=PATIENCE).stdout for words in (("status",), ("status", "--json"), ("check",), ("read", "s0"))]
            listening.terminate()
            shown.append(listening.communicate(timeout=PATIENCE)[0].decode())
            # One falls silent, or repeats itself: it is stale, and the other is not.
            shunts.silent.add(list(KEYS)[0])
            await_state(client, 1, False)
            await_state(client, 2, True)
            shunts.silent.clear()
            await_state(client, 1, True)
            # It was out of reach, and BlueZ has forgotten it meanwhile.
            air.switch("Temporary", 1)
            air.switch("Hide", list(KEYS)[1], True)
            air.bluez.wait_for("forgotten " + list(KEYS)[1])
            await_state(client, 2, False)
            air.switch("Hide", list(KEYS)[1], False)
            await_state(client, 2, True)
            # The right key was written to the file.
            with open(files[2], "w") as file:
                file.write(keys[2] + "\n")
            await_state(client, 3, True)
            assert abs(read_value(client, "voltage_v", 3) - 14) < 1e-4
            gateway.stop()
        said = "\n".join(gateway.lines)
        for n, why in (("2", "the key in its key_file is not the one of this device"), ("4", "its key_file: No such file")):
            assert re.search(f"line s{n}: .*{why}", said), said
        for text in (*shown, said):
            squeezed = re.sub(r"[^0-9a-f]", "", text.lower())
            assert not [key for key in keys if key[2:14] in squeezed or key[-12:] in squeezed], text


def takes_no_old_record():
    """The bus stalls: data after it are seconds old, and skipped."""
    packs = {list(KEYS)[0]: ("advertiser", None, "")}
    with Air(packs) as air, tempfile.NamedTemporaryFile("w") as file, Shunts() as shunts:
        address, key = next(iter(KEYS.items()))
        file.write(key)
        file.flush()
        begin = time.monotonic()
        oldest = 0

        def look(client):
            """Its voltage encodes the time of the advertisement."""
            nonlocal oldest
            row = find("voltage_v")
            answer = client.read_holding_registers(row["address"], count=row["count"], slave=1)
            asked = time.monotonic() - begin
            if not answer.isError():
                oldest = max(oldest, asked - (decode(row, answer.registers) - 10) * 10)
            time.sleep(0.03)  # leaves the processor to others

        with Gateway(shunt(0, file.name, "stale_after = 4s"), arguments=("--debug",)) as gateway, gateway.client() as client:
            shunts.running = False
            shunts.thread.join()

            def talk(seconds, nonce=[200]):
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    nonce[0] += 1
                    volts = round(10 + (time.monotonic() - begin) / 10, 2)
                    shunts.mock.Advertise(address, dbus.ByteArray(victron_record(key, nonce[0], volts)), ignore_reply=True)
                    shunts.client.flush()
                    pause = time.monotonic() + 0.4
                    while time.monotonic() < pause:
                        look(client)
            deadline = time.monotonic() + PATIENCE
            while exception_of(client, find("voltage_v")["address"], 2, 1) is not None:
                assert time.monotonic() < deadline
                talk(0.3)
            talk(5)
            # Records are lost on the air all the time: this does not reopen anything.
            for _ in range(3):
                air.switch("Hide", address, True)
                time.sleep(2.5)
                air.switch("Hide", address, False)
                talk(1)
            # (If a busy host has stopped the process, it reopens its ports and logs why.)
            begun = sum("scan started" in text for text in [*air.bluez.lines, *filter(None, list(air.bluez.queue.queue))])
            stopped = sum("in the meantime" in text for text in [*gateway.lines, *filter(None, list(gateway.queue.queue))])
            assert begun <= 1 + stopped, (begun, stopped)
            print(f"# oldest value shown as fresh: {oldest:.1f} s")
            assert oldest < 12, oldest
            # BlueZ is stopped with received data: it sends them at once when it continues.
            air.bus.process.send_signal(signal.SIGSTOP)
            talk(16)
            air.bus.process.send_signal(signal.SIGCONT)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                look(client)
            print(f"# and over a bus that stood still: {oldest:.1f} s")
            assert oldest < 12, oldest
            deadline = time.monotonic() + PATIENCE
            while exception_of(client, find("voltage_v")["address"], 2, 1) is not None:
                assert time.monotonic() < deadline
                talk(0.3)


def scans_one_at_a_time():
    """Several lines start at once, beside another program, and with a controller that is busy at first; only one
    connects at a time."""
    packs = {DALY: ("daly", "daly", "profile=fixed"), JK: ("jk", "jk02", "profile=fixed"), JBD: ("jbd", "jbd", "profile=fixed")}
    packs |= {address: ("advertiser", None, "") for address in list(KEYS)[:3]}
    with Air(packs, delay=0.4) as air, tempfile.TemporaryDirectory() as folder, Shunts():
        text = (line("a", "ble:" + DALY, "daly") + pack("a", 11) + line("b", "ble:" + JK, "jk02") + pack("b", 12) +
                line("c", "ble:" + JBD, "jbd") + pack("c", 13))
        for n in range(3):
            with open(f"{folder}/key{n}", "w") as file:
                file.write(list(KEYS.values())[n])
            text += shunt(n, f"{folder}/key{n}")
        air.switch("RefuseScans", 2)
        with Gateway(text) as gateway, gateway.client() as client:
            for unit in (1, 2, 3, 11, 12, 13):
                await_state(client, unit, True)
            # Longer than the time-out: a line whose scan is never answered would be lost.
            await_polls(client, 1, 26)
            for unit in (1, 2, 3, 11, 12, 13):
                assert read_value(client, "reconnects", unit) == 0, unit
            gateway.stop()
        said = air.bluez.lines + list(filter(None, air.bluez.queue.queue))
        assert not [text for text in said if "two at once" in text], said
        assert not [text for text in gateway.lines if "does not answer" in text], gateway.lines


def says_that_it_wants_to_be_paired():
    with Air({JK: ("jk", "jk02", "profile=fixed")}) as air:
        air.switch("WantBond", JK, True)
        with Gateway(line("b", "ble:" + JK, "jk02") + pack("b", 1)) as gateway:
            gateway.wait_for("line b: ble:.*it refuses to notify: Not paired")
            air.switch("WantBond", JK, False)
            gateway.wait_published("b")


main([never_waits_for_the_bus, hears_several_shunts, survives_what_happens_to_links, takes_no_old_record,
      waits_for_a_device_that_its_app_holds, finds_the_serial_line_that_works, scans_one_at_a_time,
      reads_daly_jk_and_jbd, shares_the_adapter_with_another_scanner, takes_over_from_one_that_was_killed,
      believes_bluez_alone_and_bears_a_flood, hears_what_a_shunt_advertises, says_that_it_wants_to_be_paired,
      reads_by_maps_over_modules_of_their_own], at_once=5)
