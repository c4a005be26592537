# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Switching the MOS of emulated packs by coils and registers, through each driver whose protocol documents it."""

import atexit
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import tempfile

from harness import Gateway, PACKGATE, Way, await_value, main, protocols, read_value, simulate

# From the list of drivers; exceptions are drivers whose first variant cannot switch, or of which several variants are
# tested.
PROTOCOLS = [row for row in protocols() if not row["wants_map"]]
SWITCHING = {"jk-pb": ["trigger", "registers"], "topbms": ["pace"]}
DRIVERS = [(row["name"], variant) for row in PROTOCOLS if row["switches"] for variant in SWITCHING.get(row["name"], [""])]
READ_ONLY = [row["name"] for row in PROTOCOLS if not row["switches"]]
CHARGE_COIL, DISCHARGE_COIL = 0, 1
DISCHARGE_REGISTER, CHARGE_REGISTER = 290 + 17, 290 + 18


def make_password():
    """A file that is removed with this process, not with those of its cases."""
    descriptor, path = tempfile.mkstemp(prefix="packgate-")
    with open(descriptor, "w") as file:
        file.write("12345678\n")
    atexit.register(lambda own=os.getpid(): os.getpid() == own and os.unlink(path))
    return path


PASSWORD = make_password()


def pack(url, driver, variant="", more="writable = yes"):
    if driver == "ant" and more:
        more += f"\npassword_file = {PASSWORD}"
    return f"""
[line bus]
port = {url}
protocol = {driver}
[pack house]
line = bus
unit = 1
poll = 100ms
{'variant = ' + variant if variant else ''}
{more}
"""


def expect(response, code=None):
    got = response.exception_code if response.isError() else None
    assert got == code, f"expected {code}, got {response}"


def is_on(wanted):
    return lambda value: value == wanted


def tells_many_orders_in_few_lines():
    """A client that sends orders endlessly does not fill the log, which still counts them."""
    server, url = simulate("daly", "profile=fixed")
    with server, Gateway(pack(url, "daly")) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        await_value(client, "discharge_mos", 1, is_on(1))
        for n in range(40):
            expect(client.write_coil(DISCHARGE_COIL, n % 2 == 1, slave=1))
    told = [line for line in gateway.lines if re.search(r"client 127\.0\.0\.1.* orders discharge (on|off): confirmed", line)]
    more = [int(re.search(r"(\d+) other orders within a minute", line)[1])
            for line in gateway.lines if "within a minute" in line]
    # On a slow machine it takes more than one minute.
    assert len(told) >= 10 and len(told) + sum(more) == 40 and len(more) >= 1, gateway.lines
    assert len(told) < 40, told


def with_each_driver(test):
    """All protocols at once, because they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(len(DRIVERS)) as pool:
        jobs = {pool.submit(test, *driver): driver for driver in DRIVERS}
        failed = [f"{jobs[job]}: {job.exception()!r}" for job in concurrent.futures.as_completed(jobs) if job.exception()]
    assert not failed, "\n".join(failed)


def switches_and_reads_back():
    with_each_driver(switch_and_read_back)


def switch_and_read_back(driver, variant):
    server, url = simulate(driver, "profile=fixed", *(["--variant", variant] if variant else []))
    with server, Gateway(pack(url, driver, variant)) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        await_value(client, "discharge_mos", 1, is_on(1))
        expect(client.write_coil(DISCHARGE_COIL, False, slave=1))
        gateway.wait_for(r"client 127\.0\.0\.1.*orders discharge off: confirmed")
        await_value(client, "discharge_mos", 1, is_on(0))
        assert read_value(client, "charge_mos", 1) == 1
        assert client.read_coils(0, count=2, slave=1).bits[:2] == [True, False]
        expect(client.write_register(DISCHARGE_REGISTER, 1, slave=1))
        await_value(client, "discharge_mos", 1, is_on(1))
        expect(client.write_registers(CHARGE_REGISTER, [0], slave=1))
        await_value(client, "charge_mos", 1, is_on(0))
        expect(client.write_coils(CHARGE_COIL, [True], slave=1))
        await_value(client, "charge_mos", 1, is_on(1))


def refuses_when_off():
    server, url = simulate("daly", "profile=fixed")
    with server:
        for text, general in ((pack(url, "daly", more=""), ""), (pack(url, "daly"), "allow_write = 192.0.2.1/32")):
            with Gateway(text, general) as gateway, gateway.client() as client:
                gateway.wait_published("house")
                expect(client.write_coil(DISCHARGE_COIL, False, slave=1), 1)
                expect(client.write_register(DISCHARGE_REGISTER, 0, slave=1), 1)
                assert read_value(client, "discharge_mos", 1) == 1
                if general: # writes to read-only units are not logged
                    gateway.wait_for(r"warning: pack house: client 127\.0\.0\.1:\d+ orders discharge off: refused "
                                     r"with exception 1, the client is not in allow_write")


def says_when_the_pack_does_not_answer():
    server, url = simulate("daly", "profile=fixed")
    with Gateway(pack(url, "daly"), "stale_after = 1h") as gateway, gateway.client() as client:
        gateway.wait_published("house")
        server.stop()
        expect(client.write_coil(DISCHARGE_COIL, False, slave=1), 0x0B)
        gateway.wait_for(r"orders discharge off: (not confirmed|refused with exception 11, the pack does not answer)")


def tells_of_orders_to_a_silent_pack():
    server, url = simulate("daly", "profile=fixed")
    with Gateway(pack(url, "daly"), "poll = 200ms\nstale_after = 1s") as gateway, gateway.client() as client:
        gateway.wait_published("house")
        server.stop()
        gateway.wait_for("values are too old")
        expect(client.write_coil(DISCHARGE_COIL, False, slave=1), 0x0B)
        gateway.wait_for(r"orders discharge off: refused with exception 11, the pack does not answer")


def believes_what_is_read_back():
    """The answer to one order is lost, and arrives after the next one, which is not executed."""
    with_each_driver(believe_what_is_read_back)


def believe_what_is_read_back(driver, variant):
    server, url = simulate(driver, "profile=fixed", *(["--variant", variant] if variant else []))
    with server, contextlib.closing(Way(url)) as way, \
            Gateway(pack(way.url, driver, variant)) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        await_value(client, "discharge_mos", 1, is_on(1))
        if driver == "ant":  # which has got its password by then
            expect(client.write_coil(CHARGE_COIL, False, slave=1))
        polls = read_value(client, "polls", 1)
        await_value(client, "polls", 1, lambda now: now >= polls + 2)
        way.orders = "hold"
        expect(client.write_coil(DISCHARGE_COIL, False, slave=1))
        assert read_value(client, "discharge_mos", 1) == 0
        way.orders = "drop"
        expect(client.write_coil(DISCHARGE_COIL, True, slave=1), 0x0B)
        assert read_value(client, "discharge_mos", 1) == 0
        way.orders = "pass"
        expect(client.write_coil(DISCHARGE_COIL, True, slave=1))
        assert read_value(client, "discharge_mos", 1) == 1


def tells_a_password_when_it_is_wanted():
    """A board that got a wrong password rejects the order, whatever it answers to the password; without a password no
    order is possible; and no log contains a password, right or wrong."""
    server, url = simulate("ant", "profile=fixed")
    with server:
        text = pack(url, "ant")
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("87654321")
            file.flush()
            with Gateway(text.replace(PASSWORD, file.name), arguments=("--debug",)) as gateway, gateway.client() as client:
                gateway.wait_published("house")
                await_value(client, "discharge_mos", 1, is_on(1))
                expect(client.write_coil(DISCHARGE_COIL, False, slave=1), 4)
                file.seek(0)
                file.write("12345678")
                file.flush()
                gateway.process.send_signal(signal.SIGHUP)
                gateway.wait_for("the new configuration is in force")
                expect(client.write_coil(DISCHARGE_COIL, False, slave=1))
                gateway.wait_for("> 7E A1 23 6A 01 08 2A 2A 2A 2A 2A 2A 2A 2A ")
                gateway.wait_for("orders discharge off: confirmed")
                for secret in "87654321", "12345678":
                    told = " ".join(f"{ord(c):02X}" for c in secret)
                    assert not any(secret in line or told in line for line in gateway.lines), secret
    for wrong, why in ((text.replace(f"password_file = {PASSWORD}", ""), "expected 'password_file'"),
                       (pack(url, "daly") + f"password_file = {PASSWORD}", "has no effect here"),
                       (text.replace(PASSWORD, "/dev/null"), "cannot be used")):
        result = subprocess.run([PACKGATE, "check", "-"], input=wrong, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert why in result.stdout, (wrong, result)


def configuration_refuses_protocols_that_cannot():
    for driver in READ_ONLY:
        text = pack("tcp://127.0.0.1:1", driver)
        result = subprocess.run([PACKGATE, "check", "-"], input=text.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        assert result.returncode == 1 and b"writable" in result.stdout, (driver, result.stdout)


main([believes_what_is_read_back, switches_and_reads_back, tells_many_orders_in_few_lines, refuses_when_off,
      says_when_the_pack_does_not_answer, tells_of_orders_to_a_silent_pack,
      tells_a_password_when_it_is_wanted, configuration_refuses_protocols_that_cannot], at_once=3)
