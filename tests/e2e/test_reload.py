# SPDX-License-Identifier: MIT
"""SIGHUP: unchanged lines and connected clients stay, everything else follows the new file, an invalid file changes
nothing."""

import os
import queue
import signal
import socket
import tempfile
import threading

from control_harness import run
from harness import Gateway, PACKGATE, PATIENCE, Program, await_value, exception_of, main, read, read_value, simulate, until

BUSY, STALE, NO_UNIT = 6, 0x0B, 0x0A


def pack(name, url, unit, more=""):
    return f"[line {name}]\nport = {url}\nprotocol = daly\n[pack {name}]\nline = {name}\nunit = {unit}\npoll = 100ms\n{more}\n"


def keeps_what_is_unchanged():
    first, one = simulate("daly", "profile=fixed,voltage_v=26.1")
    second, two = simulate("daly", "profile=fixed,voltage_v=26.2")
    third, three = simulate("daly", "profile=fixed,voltage_v=26.3")
    with first, second, third, Gateway(pack("a", one, 1) + pack("b", two, 2)) as gateway, gateway.client() as client:
        gateway.wait_published("a", "b")
        for unit in (1, 2):
            await_value(client, "polls", unit, lambda polls: polls >= 20)
        # Line a stays, pack b gets another unit, c is new; the same client continues. A restarted client would count
        # from 0.
        gateway.rewrite(pack("a", one, 1) + pack("b", two, 5) + pack("c", three, 3))
        gateway.wait_for("the new configuration is in force")
        assert read_value(client, "polls", 1) >= 20 and read_value(client, "polls", 5) >= 20
        gateway.wait_published("c")
        for unit, voltage in ((1, 26.1), (5, 26.2), (3, 26.3)):
            assert abs(read_value(client, "voltage_v", unit) - voltage) < 1e-4
        assert exception_of(client, 290, 1, 2) == 0x0A
        # b is removed, and a is now the other board.
        gateway.rewrite(pack("a", two, 1) + pack("c", three, 3))
        gateway.wait_for("the new configuration is in force")
        gateway.wait_published("a")
        assert abs(read_value(client, "voltage_v", 1) - 26.2) < 1e-4
        assert exception_of(client, 290, 1, 5) == 0x0A
        # A unit that now belongs to another pack has no values before this has answered, above all not the old ones.
        gateway.rewrite(pack("a", "tcp://127.0.0.1:1", 1) + pack("c", three, 3))
        gateway.wait_for("the new configuration is in force")
        assert exception_of(client, 290, 8, 1) == 0x0B


def keeps_all_with_a_wrong_file():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1")
    with server, Gateway(pack("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        await_value(client, "polls", 1, lambda polls: polls >= 20)
        gateway.rewrite(pack("a", url, 1) + "[line c]\nport = sim:\nprotocol = daly\n[pack b]\nline = nowhere\nunit = 1\n")
        gateway.wait_for(r"^warning: \S+/packgate.ini:\d+: \[line c\] has no pack and stays unused$")
        gateway.wait_for(r"^error: \S+/packgate.ini:\d+: there is no \[line nowhere\]")
        gateway.wait_for("the old one stays in force")
        assert abs(read_value(client, "voltage_v", 1) - 26.1) < 1e-4
        assert read_value(client, "polls", 1) >= 20


def begins_without_packs():
    """No registers, and a message about what to do; a reload adds packs, and removes them again."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1")
    with server, Gateway("") as gateway, gateway.client() as client:
        for unit in (0, 1, 247, 255):
            assert exception_of(client, 290, 1, unit) == NO_UNIT, unit
        said = run("status", "-c", gateway.path)
        assert "No pack is configured yet" in said and "packgate probe" in said and "packgate setup" in said and os.path.realpath(gateway.path) in said, said
        assert "no pack is configured" in run("health", "-c", gateway.path)
        assert "has no pack to read" in run("read", "-c", gateway.path, status=1)
        gateway.rewrite(pack("a", url, 1))
        gateway.wait_published("a")
        assert abs(read_value(client, "voltage_v", 1) - 26.1) < 1e-4
        assert "No pack" not in run("status", "-c", gateway.path)
        gateway.rewrite("")
        gateway.wait_for("the new configuration is in force")
        assert exception_of(client, 290, 1, 1) == NO_UNIT


def is_not_emptied_by_an_empty_file():
    """An editor or a full disk may have caused it: the packs stay."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1")
    with server, Gateway(pack("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        with open(gateway.path, "w"):
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for(r"there is no \[section\]")
            gateway.wait_for("the old one stays in force")
        assert abs(read_value(client, "voltage_v", 1) - 26.1) < 1e-4


def starts_before_its_file_is_there():
    """--first replaces the file until it exists, and never afterwards."""
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1")
    with server, tempfile.TemporaryDirectory() as folder:
        first, path = f"{folder}/first.ini", f"{folder}/packgate.ini"
        general = f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {folder}/state\ncontrol = {folder}/control\n"
        with open(first, "w") as file:
            file.write(general)
        with Program(PACKGATE, "run", "-c", path, "--first", first) as gateway:
            gateway.wait_for("packgate.ini does not exist yet: starting with .*/first.ini")
            gateway.wait_for("listening on")
            with socket.socket(socket.AF_UNIX) as control:  # which is open a moment later
                until(lambda: control.connect_ex(f"{folder}/control"), lambda error: error == 0)
            assert f"add it to {os.path.realpath(folder)}/packgate.ini" in run("status", "--control", f"{folder}/control")
            with open(path, "w") as file:
                file.write(general + pack("a", url, 1))
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for(r"pack a: (idle|charging|discharging)")
            os.remove(path)
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for("packgate.ini: cannot be opened")
            gateway.wait_for("the old one stays in force")


def moves_the_map():
    server, url = simulate("daly", "profile=fixed,voltage_v=26.1,soc_percent=77")
    with server, Gateway(pack("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        assert read(client, 290, 1, 1) == [77]
        gateway.rewrite(pack("a", url, 1), "base = 1000, none")
        gateway.wait_for("the new configuration is in force")
        assert read(client, 1000, 1, 1) == [77]
        assert exception_of(client, 290, 1, 1) == 2 and exception_of(client, 100, 1, 1) == 2


def takes_over_who_may():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(pack("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        assert client.write_coil(1, False, slave=1).exception_code == 1
        gateway.rewrite(pack("a", url, 1, "writable = yes"))
        gateway.wait_for("the new configuration is in force")
        assert not client.write_coil(1, False, slave=1).isError()
        gateway.rewrite(pack("a", url, 1, "writable = yes"), "allow = 192.0.2.0/24")
        gateway.wait_for("not in `allow` any more")


def says_what_needs_a_restart():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(pack("a", url, 1)) as gateway, gateway.client() as client:
        gateway.wait_published("a")
        gateway.rewrite(pack("a", url, 1), "max_clients = 7")
        gateway.wait_for(r"warning: \[gateway\] max_clients: 7, was not given \(.*\); the new value needs a restart")
        assert read_value(client, "map_version", 1) == 3


def says_what_changed():
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(pack("a", url, 1)) as gateway:
        gateway.wait_published("a")
        gateway.rewrite(pack("a", url, 7, "writable = yes") + "[bank all]\npacks = a\nunit = 8\n")
        gateway.wait_for(r"^\[pack a\] unit: 7, was 1$")
        gateway.wait_for(r"^\[pack a\] writable: yes, was no$")
        gateway.wait_for(r"^\[bank all\] is new$")
        gateway.wait_for("the new configuration is in force$")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for("is in force, without changes$")


def bus(url, *packs):
    text = f"[line bus]\nport = {url}\nprotocol = daly\n"
    for name, address, unit in packs:
        text += f"[pack {name}]\nline = bus\naddress = {address}\nunit = {unit}\npoll = 100ms\n"
    return text


def never_serves_a_pack_under_the_unit_of_another():
    server, url = simulate("daly", "profile=fixed,@1:voltage_v=26.1,@2:voltage_v=26.2", "--address", 1, "--count", 2)
    with server, Gateway(bus(url, ("a", 1, 1), ("b", 2, 2))) as gateway, gateway.client() as client:
        def volts(unit):
            return round(read_value(client, "voltage_v", unit), 3)

        gateway.wait_published("a", "b")
        assert (volts(1), volts(2)) == (26.1, 26.2)
        for unit in (1, 2):
            await_value(client, "polls", unit, lambda polls: polls >= 20)
        # The units are swapped: the packs continue, and have the other unit at once.
        gateway.rewrite(bus(url, ("a", 1, 2), ("b", 2, 1)))
        gateway.wait_for("the new configuration is in force")
        assert (volts(1), volts(2)) == (26.2, 26.1)
        assert read_value(client, "polls", 1) >= 20 and read_value(client, "polls", 2) >= 20
        # The addresses or the names are swapped: nothing is known about the packs until they answer.
        for packs in (("a", 2, 1), ("b", 1, 2)), (("b", 2, 1), ("a", 1, 2)):
            server.process.send_signal(signal.SIGSTOP)
            gateway.rewrite(bus(url, *packs))
            gateway.wait_for("the new configuration is in force")
            assert exception_of(client, 290, 1, 1) == exception_of(client, 290, 1, 2) == STALE
            server.process.send_signal(signal.SIGCONT)
            gateway.wait_published("a", "b")
            assert (volts(1), volts(2)) == (26.2, 26.1)


def answers_an_order_to_a_pack_that_goes():
    gone, url = simulate("daly", "profile=fixed")
    other, other_url = simulate("daly", "profile=fixed")
    stays = pack("b", other_url, 2)
    text = pack("a", url, 1, "writable = yes").replace("protocol", "reply_timeout = 60s\nprotocol") + stays
    answers = queue.Queue()

    def order(client):
        answers.put(client.write_coil(1, False, slave=1).exception_code)

    with gone, other, Gateway(text) as gateway, gateway.client() as first, gateway.client() as second:
        gateway.wait_published("a", "b")
        gone.process.send_signal(signal.SIGSTOP)
        for client in first, second:
            threading.Thread(target=order, args=(client,), daemon=True).start()
        # The second one gets "busy", which shows that the order of the other is in progress.
        assert answers.get(timeout=PATIENCE) == BUSY
        gateway.rewrite(stays)
        gateway.wait_for("the new configuration is in force")
        assert answers.get(timeout=PATIENCE) == STALE
        assert exception_of(first, 290, 1, 1) == NO_UNIT and exception_of(first, 290, 1, 2) is None
        gone.process.send_signal(signal.SIGCONT)


main([begins_without_packs, is_not_emptied_by_an_empty_file, starts_before_its_file_is_there, never_serves_a_pack_under_the_unit_of_another, keeps_what_is_unchanged, keeps_all_with_a_wrong_file,
      moves_the_map, takes_over_who_may, says_what_needs_a_restart, says_what_changed,
      answers_an_order_to_a_pack_that_goes], at_once=3)
