# SPDX-License-Identifier: MIT
"""Orders to switch whose BMS takes long to confirm: what their clients may do meanwhile, over raw sockets, and that
no other client is affected."""

import contextlib
import select
import signal
import socket
import struct

from harness import PATIENCE, Gateway, await_value, main, simulate

BUSY, UNANSWERED = 6, 0x0B
CHARGE, DISCHARGE = 0, 1  # coils
OFF, ON = 0, 0xFF00


def order(transaction, coil, value, unit=1):
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, 5, coil, value)


def refusal(transaction, exception, unit=1):
    return struct.pack(">HHHBBB", transaction, 0, 3, unit, 0x85, exception)


def self_check(transaction):
    """A read that is always answered, and its answer."""
    request = struct.pack(">HHHBBHH", transaction, 0, 6, 1, 3, 470, 1)
    return request, struct.pack(">HHHBBBH", transaction, 0, 5, 1, 3, 2, 12345)


def line(name, url, unit):
    return f"""
[line {name}]
port = {url}
protocol = jk-4e57
reply_timeout = 60s
[pack {name}]
line = {name}
unit = {unit}
poll = 200ms
stale_after = 1h
writable = yes
"""


class House(contextlib.AbstractContextManager):
    """Packs with a line each, which can be held: then they do not answer, and no order to them ends."""

    def __init__(self, general="", packs=1):
        self.packs, urls = zip(*(simulate("jk-4e57", "profile=fixed") for _ in range(packs)))
        names = [f"pack-{unit}" for unit in range(1, packs + 1)]
        self.gateway = Gateway("".join(line(name, url, unit) for unit, (name, url) in enumerate(zip(names, urls), 1)), general)
        self.gateway.wait_published(*names)
        self.good = self.connect()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.gateway.port), PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def hold(self):
        for pack in self.packs:
            pack.process.send_signal(signal.SIGSTOP)

    def release(self):
        for pack in self.packs:
            pack.process.send_signal(signal.SIGCONT)

    def send(self, data):
        """A client whose bytes have reached the gateway, because clients that connected later were answered."""
        client = self.connect()
        client.sendall(data)
        for n in range(3):
            check_served(self.good, n)
        return client

    def await_switch(self, coil, value):
        with self.gateway.client() as client:
            await_value(client, ("charge_mos", "discharge_mos")[coil], 1, lambda got: got == (value == ON))

    def __exit__(self, *arguments):
        self.release()
        self.good.close()
        self.gateway.__exit__(*arguments)
        for pack in self.packs:
            pack.__exit__(*arguments)


def expect(client, expected):
    got = b""
    while len(got) < len(expected):
        part = client.recv(len(expected) - len(got))
        assert part, f"closed after {got.hex()}, expected {expected.hex()}"
        got += part
    assert got == expected, f"{got.hex()}, not {expected.hex()}"


def check_served(client, transaction):
    request, answer = self_check(transaction)
    client.sendall(request)
    expect(client, answer)


def is_quiet(client):
    return not select.select([client], [], [], 0)[0]


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def others_are_served_meanwhile():
    with House() as house:
        house.hold()
        client = house.send(order(1, DISCHARGE, OFF))
        for n in range(1000):
            check_served(house.good, n)
        assert is_quiet(client)
        house.release()
        expect(client, order(1, DISCHARGE, OFF))
        house.await_switch(DISCHARGE, OFF)
        client.close()


def who_leaves_has_ordered_all_the_same():
    with House() as house:
        for leave, coil, value in ((socket.socket.close, DISCHARGE, OFF), (reset, CHARGE, OFF), (reset, DISCHARGE, ON)):
            house.hold()
            leave(house.send(order(1, coil, value)))
            check_served(house.good, 1)
            house.release()
            what = f"{('charge', 'discharge')[coil]} {'on' if value == ON else 'off'}"
            house.gateway.wait_for(rf"client 127\.0\.0\.1.* orders {what}: confirmed")
            house.await_switch(coil, value)


def a_second_order_to_the_same_pack_has_to_wait():
    with House() as house:
        house.hold()
        first, second = house.send(order(1, CHARGE, OFF)), house.send(order(2, DISCHARGE, OFF))
        expect(second, refusal(2, BUSY))
        house.release()
        expect(first, order(1, CHARGE, OFF))
        second.sendall(order(3, DISCHARGE, OFF))
        expect(second, order(3, DISCHARGE, OFF))
        first.close()
        second.close()


def a_pack_that_is_gone_ends_the_order():
    with House() as house:
        house.hold()
        client = house.send(order(1, DISCHARGE, OFF))
        house.packs[0].stop(signal.SIGKILL)
        expect(client, refusal(1, UNANSWERED))
        client.close()


def expect_an_end_for_each(client):
    """The results of three orders: the last one is answered, or the connection is closed."""
    got = b""
    while b"\0\3\0\0\0" not in got:
        try:
            part = client.recv(100)
        except ConnectionResetError:
            part = b""
        if not part:
            return
        got += part


# One client: its order to the second line is pending, and one to the first line follows it.
ACROSS_LINES = order(1, CHARGE, OFF, 2) + order(2, CHARGE, OFF, 1) + order(3, DISCHARGE, OFF, 2)


def ends_while_orders_are_pending():
    with House(packs=2) as house:
        house.hold()
        client = house.send(ACROSS_LINES)
        assert house.gateway.stop() == 0
        expect_an_end_for_each(client)


def reloads_while_orders_are_pending():
    """Both lines are replaced then; pending orders end there."""
    with House(packs=2) as house:
        house.hold()
        client = house.send(ACROSS_LINES)
        with open(house.gateway.path) as file:
            text = file.read()
        with open(house.gateway.path, "w") as file:
            file.write(text.replace("reply_timeout = 60s", "reply_timeout = 50s"))
        house.gateway.process.send_signal(signal.SIGHUP)
        expect(client, refusal(1, UNANSWERED, 2))
        house.gateway.wait_for("the new configuration is in force")
        house.release()
        expect_an_end_for_each(client)
        house.gateway.wait_published("pack-1")
        house.good.sendall(order(9, DISCHARGE, OFF))
        expect(house.good, order(9, DISCHARGE, OFF))
        house.await_switch(DISCHARGE, OFF)
        client.close()


main([others_are_served_meanwhile, who_leaves_has_ordered_all_the_same, a_second_order_to_the_same_pack_has_to_wait,
      a_pack_that_is_gone_ends_the_order, ends_while_orders_are_pending, reloads_while_orders_are_pending])
