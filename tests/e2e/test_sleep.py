# SPDX-License-Identifier: MIT
"""A gateway that is stopped while 300 clients ask it: nothing that was fresh before is answered as fresh afterwards,
also not to requests that it had collected already. After a long stop all clients are disconnected, and nothing that was ordered
meanwhile is carried out."""

import select
import signal
import socket
import struct
import time

from harness import Gateway, PATIENCE, await_value, find, main, read_value, simulate

CLIENTS = 300
BURST = 20  # requests of each at once
STATE = find("connection_state")["address"]
POLLS = find("polls")["address"] - STATE
VALUE = find("voltage_v")["address"]
REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, STATE, VALUE + 2 - STATE)  # from the state to a value
ORDER = struct.pack(">HHHBBHH", 2, 0, 6, 1, 5, 1, 0)  # discharge off
REFUSED = b"\x83\x0b"


def pack(url, more):
    return f"[line bus]\nport = {url}\nprotocol = topbms\n[pack house]\nvariant = pace\nline = bus\nunit = 1\nwritable = yes\n{more}\n"


class Crowd:
    """Clients that ask for the state and a value at once, many times over."""

    def __init__(self, port):
        self.clients = {}
        self.poll = select.epoll()
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self.clients[client.fileno()] = client
            self.poll.register(client.fileno(), select.EPOLLIN)
        self.received = dict.fromkeys(self.clients, b"")
        self.waiting = 0  # for so many answers
        self.polls = 0  # the highest count of cycles that anybody was told
        self.closed = 0  # by the gateway

    def ask(self):
        for client in self.clients.values():
            client.sendall(REQUEST * BURST)
        self.waiting += CLIENTS * BURST

    def answers(self, wait):
        """The PDUs that are there by now, or within `wait` seconds."""
        pdus = []
        for number, _ in self.poll.poll(wait, CLIENTS):
            try:
                data = self.received[number] + self.clients[number].recv(1 << 16)
            except ConnectionResetError:
                data = self.received[number]
            if data == self.received[number]:
                self.poll.unregister(number)
                self.closed += 1
                continue
            while len(data) > 6 and len(data) >= 6 + struct.unpack(">H", data[4:6])[0]:
                end = 6 + struct.unpack(">H", data[4:6])[0]
                pdus.append(data[7:end])
                data = data[end:]
            self.received[number] = data
        assert all(pdu[0] == 3 or pdu == REFUSED for pdu in pdus), pdus
        self.waiting -= len(pdus)
        return pdus

    def drain(self):
        """What was said until now."""
        count = 0
        while self.poll.poll(0, 1):
            pdus = self.answers(0)
            count += len(pdus)
            self.polls = max([self.polls] + [polls_of(pdu) for pdu in pdus if pdu != REFUSED])
        return count

    def finish(self):
        while self.waiting > 0 and self.closed < CLIENTS:
            closed = self.closed
            pdus = self.answers(PATIENCE)
            assert pdus or self.closed > closed, "no answer"
            yield from pdus

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        for client in self.clients.values():
            client.close()
        self.poll.close()


def polls_of(pdu):
    low, high = struct.unpack(">HH", pdu[2 + 2 * POLLS:][:4])
    return high << 16 | low


def stop(process):
    process.send_signal(signal.SIGSTOP)
    while True:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return


def stop_while_answering(process, crowd):
    """Stopped after some answers, and before the others, to what it has collected in one go."""
    for delay in range(1000):
        stop(process)
        crowd.ask()
        process.send_signal(signal.SIGCONT)
        time.sleep(delay % 50 / 1e4)
        stop(process)
        if crowd.drain() > 0 and crowd.waiting > 0:
            return
        process.send_signal(signal.SIGCONT)
        list(crowd.finish())
    raise AssertionError("it cannot be caught")


def ask_through_a_stop(gateway, crowd, seconds, meanwhile=lambda: None):
    """Of the answers to what was asked before a stop that takes longer than values are good for: how many have those of
    before, and how many none. One may have: that which was judged, and about to be sent, when the stop came."""
    stop_while_answering(gateway.process, crowd)
    try:
        meanwhile()
        time.sleep(seconds)  # the stop is what is tested
        crowd.drain()  # answers that it had given to the kernel, which collects some before it sends them
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    old = refused = 0
    for pdu in crowd.finish():
        refused += pdu == REFUSED
        old += pdu != REFUSED and polls_of(pdu) <= crowd.polls
    return old, refused


def short_stops():
    """Shorter than anything that is told by a clock of seconds."""
    pack_of, url = simulate("topbms", "profile=fixed", "--variant", "pace")
    with pack_of, Gateway(pack(url, "poll = 500ms\nstale_after = 1s"), "max_clients = 400") as gateway:
        gateway.wait_published("house")
        with Crowd(gateway.port) as crowd:
            stops = [ask_through_a_stop(gateway, crowd, 1.3) for _ in range(5)]
            assert all(old <= 1 for old, _ in stops) and any(refused > 0 for _, refused in stops), stops
            assert crowd.closed == 0


def long_stop():
    pack_of, url = simulate("topbms", "profile=fixed", "--variant", "pace")
    with pack_of, Gateway(pack(url, ""), "max_clients = 400") as gateway:
        gateway.wait_published("house")
        with Crowd(gateway.port) as crowd, socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as switch:
            def order_late():
                time.sleep(8)
                switch.sendall(ORDER)
            old, _ = ask_through_a_stop(gateway, crowd, 8, order_late)
            assert old <= 1 and crowd.closed == CLIENTS, (old, crowd.closed)
            try:
                assert switch.recv(100) == b""
            except ConnectionResetError:
                pass
        with gateway.client() as client:
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda count: count > polls + 1)
            assert read_value(client, "discharge_mos", 1) == 1


main([short_stops, long_stop])
