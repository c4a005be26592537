# SPDX-License-Identifier: MIT
"""A gateway that is stopped while 300 clients ask it: afterwards no value from before is answered as fresh, not even
to requests that it had read already. test_late_turn has long stops, and test_late_orders what was ordered meanwhile."""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import time

from harness import Gateway, PATIENCE, find, main, simulate
from web_harness import Page

CLIENTS = 300
BURST = 20  # requests of each at once
STATE = find("connection_state")["address"]
POLLS = find("polls")["address"] - STATE
VALUE = find("voltage_v")["address"]
REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, STATE, VALUE + 2 - STATE)  # registers from the state to a value
REFUSED = b"\x83\x0b"


def pack(url, more):
    return f"[line bus]\nport = {url}\nprotocol = topbms\n[pack house]\nvariant = pace\nline = bus\nunit = 1\n{more}\n"


class Crowd(contextlib.AbstractContextManager):
    """Clients that read the state and a value at once, many times."""

    def __init__(self, port):
        self.clients = {}
        self.poll = select.epoll()
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self.clients[client.fileno()] = client
            self.poll.register(client.fileno(), select.EPOLLIN)
        self.received = dict.fromkeys(self.clients, b"")
        self.waiting = 0  # after so many answers
        self.polls = 0  # the highest count of cycles that any client has read
        self.closed = 0  # by the gateway

    def ask(self):
        for client in self.clients.values():
            client.sendall(REQUEST * BURST)
        self.waiting += CLIENTS * BURST

    def answers(self, wait):
        """The PDUs that have arrived by now, or within `wait` seconds."""
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
        """The log so far."""
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

    def __exit__(self, *arguments):
        for client in self.clients.values():
            client.close()
        self.poll.close()


def polls_of(pdu):
    low, high = struct.unpack(">HH", pdu[2 + 2 * POLLS:][:4])
    return high << 16 | low


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    while True:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return


def stop_while_answering(process, crowd):
    """Stopped after some answers, and before the others, to requests that it had read in one go."""
    for delay in range(1000):
        stop(process.pid)
        crowd.ask()
        process.send_signal(signal.SIGCONT)
        time.sleep(delay % 50 / 1e4)
        stop(process.pid)
        if crowd.drain() > 0 and crowd.waiting > 0:
            return
        process.send_signal(signal.SIGCONT)
        list(crowd.finish())
    raise AssertionError("it cannot be caught")


def ask_through_a_stop(gateway, crowd, seconds):
    """Of the answers to requests from before a stop that takes longer than values are fresh: how many have values
    from before, and how many have none. One may have: the one that was checked and about to be sent when the stop
    came."""
    stop_while_answering(gateway.process, crowd)
    try:
        time.sleep(seconds)  # the stop is what is tested
        crowd.drain()  # answers that it had passed to the kernel, which collects some before it sends them
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    old = refused = 0
    for pdu in crowd.finish():
        refused += pdu == REFUSED
        old += pdu != REFUSED and polls_of(pdu) <= crowd.polls
    return old, refused


def short_stops():
    """Shorter than the resolution of any time in seconds."""
    pack_of, url = simulate("topbms", "profile=fixed", "--variant", "pace")
    with pack_of, Gateway(pack(url, "poll = 500ms\nstale_after = 1s"), "max_clients = 400") as gateway:
        gateway.wait_published("house")
        with Crowd(gateway.port) as crowd:
            stops = [ask_through_a_stop(gateway, crowd, 1.3) for _ in range(5)]
            assert all(old <= 1 for old, _ in stops) and any(refused > 0 for _, refused in stops), stops
            assert crowd.closed == 0


VIEWERS = 200


def drain(viewers, until_closed=False):
    """The bytes that each of them has received by now, or until the end of its connection."""
    received = []
    for viewer in viewers:
        viewer.settimeout(PATIENCE if until_closed else 0)
        data = b""
        try:
            while more := viewer.recv(1 << 16):
                data += more
        except BlockingIOError:
            pass
        except ConnectionResetError:
            pass
        received.append(data)
    return received


def page_outlet(page):
    for child in subprocess.run(["pgrep", "-P", str(page.process.pid)], stdout=subprocess.PIPE, check=True).stdout.split():
        with open(f"/proc/{int(child)}/cmdline", "rb") as file:
            if b"packgate-outlet" in file.read():
                return int(child)
    raise AssertionError("no page runs")


def stop_within_a_tick(outlet, viewers):
    """Stopped when it has sent new values to some of the viewers, and not to the others."""
    for _ in range(50):
        drain(viewers)
        select.select(viewers, [], [], PATIENCE)
        stop(outlet)
        served = sum(bool(data) for data in drain(viewers))
        if 0 < served < VIEWERS:
            return
        os.kill(outlet, signal.SIGCONT)
        if served == 0:
            select.select(viewers, [], [], PATIENCE)
    raise AssertionError("it cannot be caught")


def a_page_that_is_stopped_within_a_tick():
    """Viewers whose turn comes after the stop do not get values from before it as fresh ones."""
    pack_of, url = simulate("topbms", "", "--variant", "pace")
    limits = f"max_clients = {VIEWERS + 20}, {VIEWERS + 20}, {VIEWERS + 20}\n"
    with pack_of, Page(limits, pack(url, "poll = 200ms\nstale_after = 1s"), listen="127.0.0.1:0") as page, contextlib.ExitStack() as opened:
        page.await_fresh()
        request = f"GET /api/v1/events?detail=house HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode()
        viewers = [opened.enter_context(page.raw(request)) for _ in range(VIEWERS)]
        for viewer in viewers:
            while b"event: pack" not in viewer.recv(1 << 16):
                pass
        outlet = page_outlet(page)
        stop_within_a_tick(outlet, viewers)
        try:
            pack_of.process.send_signal(signal.SIGSTOP)
            time.sleep(4)  # the stop is what is tested
        finally:
            os.kill(outlet, signal.SIGCONT)
        old = [data for data in drain(viewers, until_closed=True) if b'"fresh":1' in data]
        pack_of.process.send_signal(signal.SIGCONT)
        assert not old, (len(old), old[0])
        page.await_fresh()


main([short_stops, a_page_that_is_stopped_within_a_tick], at_once=3)
