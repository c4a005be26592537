# SPDX-License-Identifier: MIT
"""Speaks for many gateways: each has a connection with TLS to nginx, with its own token, and sends one compressed request an interval
in line protocol, and what was not confirmed again, as the outlet does; by a connection to mosquitto it publishes the state of a
pack each interval. Ends on SIGTERM once all is confirmed, and prints what it sent.

    load.py CREDENTIALS [INTERVAL]        lines "NAME TOKEN PASSWORD" """

import asyncio
import collections
import json
import random
import resource
import signal
import ssl
import sys
import time
import zlib

PACKS, CELLS = 4, 16
VALUES = ["voltage_v", "current_a", "power_w", "soc_percent", "remaining_ah", "cell_max_mv", "cell_min_mv", "cell_delta_mv",
          "cell_avg_mv", "temp_avg_c", "temp_max_c", "temp_min_c", "mos_temp_c", "cycles_total", "charged_wh_total",
          "discharged_wh_total", "alarm_level", "fresh", "charge_mos", "discharge_mos"]
PER_PACK = len(VALUES) + CELLS
REGRET_S = 60       # what was confirmed so shortly before a failure is sent once more, as the outlet does
PATIENCE = 600

# By its address: two thousand look-ups at once fill the pipe that wakes the loop, and with it a signal is lost.
HOST, ADDRESS = "fleet.example.net", "127.0.0.1"

interval = int(sys.argv[2]) if len(sys.argv) > 2 else 10
stopping = asyncio.Event()
total = collections.Counter()


def lines(name, at):
    """The same for the same time, however often it is asked."""
    out = []
    for pack in range(PACKS):
        tags = f"packgate,gateway={name},line=l{pack},pack=p{pack}"
        wave = (at // interval + pack) % 97
        fields = ",".join(f"{value}={50 + wave / 10 + n:.2f}" for n, value in enumerate(VALUES))
        out.append(f"{tags} {fields} {at}000000000")
        out.extend(f"{tags},cell={cell + 1} cell_mv={3300 + (wave + cell) % 40} {at}000000000" for cell in range(CELLS))
    return "\n".join(out).encode() + b"\n"


def compress(text):
    worker = zlib.compressobj(1, wbits=31)
    return worker.compress(text) + worker.flush()


class Gateway:
    def __init__(self, name, token, password, context):
        self.name, self.token, self.password, self.context = name, token, password, context
        self.owed, self.recent = collections.deque(), collections.deque()
        self.last, self.ticks = None, 0
        self.reader = self.writer = self.broker = None

    async def post(self, body):
        if not self.writer:
            self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection(ADDRESS, 443, ssl=self.context, server_hostname=HOST), 30)
            total["connections"] += 1
        self.writer.write(b"POST /write HTTP/1.1\r\nHost: fleet.example.net\r\nAuthorization: Token %s\r\nContent-Encoding: gzip\r\n"
                          b"Content-Length: %d\r\n\r\n" % (self.token.encode(), len(body)) + body)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await asyncio.wait_for(self.reader.readexactly(int(line.split(b":")[1])), 30)
        total["bytes"] += len(body)
        total["requests"] += 1
        return int(head.split()[1])

    def drop(self):
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None

    def packet(self, kind, *fields, rest=b""):
        """Of MQTT 3.1.1."""
        body = b"".join(len(field).to_bytes(2, "big") + field for field in fields) + rest
        size = bytes([body_size % 128 + 128, body_size // 128]) if (body_size := len(body)) > 127 else bytes([body_size])
        return bytes([kind]) + size + body

    async def publish(self):
        """Live: what cannot be sent now is not sent."""
        try:
            if not self.broker or self.broker.is_closing():
                reader, self.broker = await asyncio.wait_for(asyncio.open_connection(ADDRESS, 8883, ssl=self.context, server_hostname=HOST), 30)
                name, password = self.name.encode(), self.password.encode()
                # Version 4, a user, a password and a clean session, no keep-alive.
                texts = b"".join(len(text).to_bytes(2, "big") + text for text in (name, name, password))
                self.broker.write(self.packet(0x10, b"MQTT", rest=b"\x04\xc2\x00\x00" + texts))
                answer = await asyncio.wait_for(reader.readexactly(4), 30)
                assert answer == b"\x20\x02\x00\x00", answer
                total["logins"] += 1
            self.broker.write(self.packet(0x30, f"packgate/{self.name}/p0/state".encode(), rest=b'{"voltage_v":53.12,"soc_percent":88}'))
            total["published"] += 1
        except (OSError, EOFError, asyncio.TimeoutError):
            total["logins failed"] += 1
            if self.broker:
                self.broker.transport.abort()
            self.broker = None

    def tick(self):
        """Every interval that has begun is owed, also while nothing can be sent."""
        now = int(time.time()) // interval * interval
        for at in range(self.last + interval if self.last else now, now + 1, interval):
            total["ticks"] += 1
            self.ticks += 1
            self.owed.append(at)
            self.last = at

    async def send_all(self):
        pause = 1
        while self.owed:
            at = self.owed[0]
            text = lines(self.name, at)
            try:
                status = await self.post(compress(text))
            except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                status = 0
                self.drop()
            if status == 204:
                total["text"] += len(text)
                self.recent.append(self.owed.popleft())
                while self.recent and self.recent[0] < at - REGRET_S:
                    self.recent.popleft()
                pause = 1
                continue
            total[f"status {status}"] += 1
            if status == 0 or status >= 500:
                self.owed = collections.deque(sorted({*self.recent, *self.owed}))
                self.recent.clear()
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))
            pause = min(2 * pause, 10)
            if not stopping.is_set():
                self.tick()

    async def run(self, number, count):
        await asyncio.sleep(interval * number / count)
        due = time.time()
        while not stopping.is_set():
            self.tick()
            await asyncio.gather(self.send_all(), self.publish())
            due = max(due + interval, time.time())
            try:
                await asyncio.wait_for(stopping.wait(), max(0, due - time.time()))
            except asyncio.TimeoutError:
                pass
        await self.send_all()
        self.drop()
        if self.broker:
            self.broker.transport.abort()


async def main():
    context = ssl.create_default_context()
    with open(sys.argv[1], encoding="utf-8") as file:
        known = [line.split() for line in file]
    gateways = [Gateway(*words, context) for words in known]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps({**total}), flush=True))
    print("ready", flush=True)
    runs = [asyncio.create_task(gateway.run(number, len(gateways))) for number, gateway in enumerate(gateways)]
    await stopping.wait()
    await asyncio.wait(runs, timeout=PATIENCE)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**total, "per_pack": PER_PACK, "packs": PACKS, "owed": sum(len(gateway.owed) for gateway in gateways),
                      "by_gateway": {gateway.name: gateway.ticks for gateway in gateways},
                      "cpu_s": usage.ru_utime + usage.ru_stime}), flush=True)

asyncio.run(main())
