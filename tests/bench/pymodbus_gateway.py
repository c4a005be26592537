# SPDX-License-Identifier: MIT
"""What packgate does for a fleet of Daly D2 BMS, as a Python programmer would write it on pymodbus: it asks each BMS
once a second for the same registers as packgate, over a TCP connection of its own (Modbus RTU, as a serial server
passes it on), and serves the main values at the same addresses. One asyncio program, so that no thread waits for
another; the library's own client, framer, server and data store, used as its documentation shows. It does less than
packgate: no alarms, no energy counters, no exception once a BMS has fallen silent. Arguments: the ports of the BMS;
the first is served as unit 1."""

import asyncio
import struct
import sys

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import ModbusTcpServer
from pymodbus.transaction import ModbusRtuFramer

POLL = 1.0
PATIENCE = 1.0
ADDRESS = 0xD2                  # of a Daly D2 BMS
MAIN, COUNTERS, MOS = 290, 412, 516
REGISTERS = 520
HOLDING = 3


def words(number):
    """A float, low word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", number))
    return [low, high]


def main_values(status):
    """The 20 registers from 290 on."""
    cells = status[:min(status[49], 32)]
    temps = [raw - 40 for raw in status[32:32 + min(status[50], 8)]]
    voltage = status[40] / 10
    current = abs(status[41] - 30000) / 10 * (-1 if status[47] == 2 else 1)
    power = voltage * current
    numbers = [status[42] / 10, voltage, current, power, max(cells) - min(cells), sum(cells) / len(cells), max(cells),
               min(cells)]
    return ([round(number) & 0xFFFF for number in numbers]
            + words(sum(temps) / len(temps)) + words(voltage) + words(current) + words(power)
            + [0, status[54], status[53], 0])


class Pack:
    def __init__(self, unit, port):
        self.unit = unit
        self.client = AsyncModbusTcpClient("127.0.0.1", port, framer=ModbusRtuFramer, timeout=PATIENCE)
        self.values = ModbusSlaveContext(di=ModbusSequentialDataBlock(0, [0]), co=ModbusSequentialDataBlock(0, [0]),
                                         ir=ModbusSequentialDataBlock(0, [0]),
                                         hr=ModbusSequentialDataBlock(0, [0] * REGISTERS), zero_mode=True)
        self.polls = self.timeouts = 0

    async def read(self, address, count):
        reply = await self.client.protocol.read_holding_registers(address, count=count, slave=ADDRESS)
        if reply.isError():
            raise ConnectionError(reply)
        return reply.registers

    async def cycle(self):
        status = await self.read(0, 62)
        more = await self.read(62, 9)
        self.values.setValues(HOLDING, MAIN, main_values(status))
        self.values.setValues(HOLDING, MOS, words(more[4] - 40))
        self.polls += 1

    async def poll(self):
        await self.client.connect()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self.cycle()
            except asyncio.TimeoutError:
                self.timeouts += 1
            self.values.setValues(HOLDING, COUNTERS, [self.polls & 0xFFFF, self.polls >> 16,
                                                      self.timeouts & 0xFFFF, self.timeouts >> 16])
            if self.polls == 1:
                print(f"pack {self.unit}: polled", flush=True)
            due += POLL
            await asyncio.sleep(due - loop.time())


async def main(ports):
    packs = {unit: Pack(unit, port) for unit, port in enumerate(ports, 1)}
    context = ModbusServerContext(slaves={unit: pack.values for unit, pack in packs.items()}, single=False)
    server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print("listening on 127.0.0.1:%d" % server.server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(serving, *(pack.poll() for pack in packs.values()))


asyncio.run(main([int(text) for text in sys.argv[1:]]))
