# SPDX-License-Identifier: MIT
"""Speaks for many gateways: each its own connection with TLS, its own token, one compressed request an interval in line
protocol, and what was not confirmed again, as the outlet does. Ends on SIGTERM once all is confirmed, and prints what it sent.

    load.py PORT CA TOKENS GATEWAYS [INTERVAL]        TOKENS: lines "NAME TOKEN" """

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

port, ca, tokens, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
interval = int(sys.argv[5]) if len(sys.argv) > 5 else 10
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
    def __init__(self, name, token, context):
        self.name, self.token, self.context = name, token, context
        self.owed, self.recent = collections.deque(), collections.deque()
        self.last, self.ticks = None, 0
        self.reader = self.writer = None

    async def post(self, body):
        if not self.writer:
            self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=self.context), 30)
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

    async def run(self, number):
        await asyncio.sleep(interval * number / count)
        due = time.time()
        while not stopping.is_set():
            self.tick()
            await self.send_all()
            due = max(due + interval, time.time())
            try:
                await asyncio.wait_for(stopping.wait(), max(0, due - time.time()))
            except asyncio.TimeoutError:
                pass
        await self.send_all()
        self.drop()


async def main():
    context = ssl.create_default_context(cafile=ca)
    with open(tokens, encoding="utf-8") as file:
        known = [line.split() for line in file][:count]
    gateways = [Gateway(name, token, context) for name, token in known]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps({**total}), flush=True))
    print("ready", flush=True)
    runs = [asyncio.create_task(gateway.run(number)) for number, gateway in enumerate(gateways)]
    await stopping.wait()
    await asyncio.wait(runs, timeout=PATIENCE)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**total, "per_pack": PER_PACK, "packs": PACKS, "owed": sum(len(gateway.owed) for gateway in gateways),
                      "by_gateway": {gateway.name: gateway.ticks for gateway in gateways},
                      "cpu_s": usage.ru_utime + usage.ru_stime}), flush=True)

asyncio.run(main())
