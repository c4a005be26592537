# SPDX-License-Identifier: MIT
"""The benchmark's registers, served by pymodbus as its examples show. Arguments: ADDRESS WORD..."""

import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import ModbusTcpServer


async def serve(address, words):
    block = ModbusSequentialDataBlock(address, words)
    context = ModbusServerContext(slaves=ModbusSlaveContext(hr=block, zero_mode=True), single=True)
    server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    running = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print("listening on 127.0.0.1:%d" % server.server.sockets[0].getsockname()[1], flush=True)
    await running


numbers = [int(text, 0) for text in sys.argv[1:]]
asyncio.run(serve(numbers[0], numbers[1:]))
