# SPDX-License-Identifier: MIT
"""Third-party clients read all blocks of a running gateway, in both word orders: mbpoll, pymodbus, and modbus-serial
and jsmodbus from npm in the versions of npm/package.json. Every value must be the one that the emulated packs
have, and all clients must read the same registers."""

import json
import math
import os
import subprocess

from pymodbus.client import ModbusTcpClient
from pymodbus.payload import BinaryPayloadDecoder

from harness import MAP, PACKGATE, PATIENCE, Gateway, find, main, mbpoll, read, simulate, until

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm")
INSTALLED = os.path.join(os.path.dirname(PACKGATE), "npm")

# The values of the emulated packs, in steps that their protocols can represent.
PACKS = {
    1: ("topbms", {"voltage_v": 53.58, "current_a": 3.84, "soc_percent": 88, "remaining_ah": 132.35, "cell_count": 16,
                   "temp_count": 4, **{f"cell_mv.{n}": 3340 + n for n in range(1, 17)},
                   **{f"temp_c.{n}": 18 + n for n in range(1, 5)}}),
    2: ("daly", {"voltage_v": 26.4, "current_a": -12.3, "soc_percent": 61.7, "remaining_ah": 123.456, "cell_count": 8,
                 "temp_count": 2, **{f"cell_mv.{n}": 3290 + 3 * n for n in range(1, 9)}, "temp_c.1": -7, "temp_c.2": 23,
                 "alarm.soc_low": 1}),
}

# function, first address, count: each table from one end to the other.
BLOCKS = [(function, address, count) for function in (3, 4)
          for address, count in ((100, 58), (290, 58), (400, 125), (525, 125), (650, 125), (775, 25), (900, 60))]
BLOCKS += [(2, 0, 48), (1, 0, 2)]

# Registers that may differ between two reads.
VOLATILE = {"memory_mib", "seconds", "age_s", "polls", "charged_wh", "discharged_wh"}


def options(values):
    counts = f"cells={values['cell_count']},temps={values['temp_count']},profile=fixed,"
    rest = {k: v for k, v in values.items() if k not in ("cell_count", "temp_count")}
    return counts + ",".join(f"{name}={value}" for name, value in rest.items())


def floats_of(values):
    """{address: expected value}, in the first block, its copy, and the second block."""
    temps = [values[f"temp_c.{n}"] for n in range(1, values["temp_count"] + 1)]
    expected = {"temp_avg_c": sum(temps) / len(temps), "voltage_v": values["voltage_v"], "current_a": values["current_a"],
                "power_w": values["voltage_v"] * values["current_a"]}
    floats = {}
    for name, value in expected.items():
        address = find(name, "compatibility")["address"]
        floats[address] = floats[address - 290 + 100] = floats[find(name, "extended")["address"]] = value
    for name in ("soc_percent", "remaining_ah"):
        floats[find(name, "extended")["address"]] = values[name]
    floats[find("check_float32")["address"]] = 123456.0
    return floats


def volatile_addresses():
    addresses = set()
    for row in MAP:
        if row["name"] in VOLATILE:
            for copy in ((0, -190) if row["block"] == "compatibility" else (0,)):
                addresses.update(range(row["address"] + copy, row["address"] + copy + row["count"]))
    return addresses


class House:
    """The two packs and a gateway that serves them in one of the word orders. All tests share them."""

    opened = {}

    @classmethod
    def of(cls, order):
        if order not in cls.opened:
            cls.opened[order] = cls(order)
        return cls.opened[order]

    def __init__(self, order):
        self.order = order
        text = ""
        self.servers = []
        for unit, (protocol, values) in PACKS.items():
            server, url = simulate(protocol, options(values))
            self.servers.append(server)
            text += f"[line {protocol}]\nport = {url}\nprotocol = {protocol}\n"
            text += f"[pack {protocol}]\nline = {protocol}\nunit = {unit}\npoll = 300ms\n"
        self.gateway = Gateway(text, f"float_order = {self.order}")
        self.port = self.gateway.port
        self.gateway.wait_published(*(protocol for protocol, _ in PACKS.values()))
        self.client = ModbusTcpClient("127.0.0.1", port=self.port, timeout=PATIENCE)
        assert self.client.connect()
        for unit in PACKS:
            self.await_temperature(unit)

    def await_temperature(self, unit):
        """Some drivers read it last; until then its float is NaN, 7FC0 0000 in either word order."""
        until(lambda: 0x7FC0 not in read(self.client, find("temp_c.1")["address"], 2, unit))

    def snapshot(self, unit):
        """All blocks by pymodbus, with which the others are compared."""
        functions = {1: self.client.read_coils, 2: self.client.read_discrete_inputs,
                     3: self.client.read_holding_registers, 4: self.client.read_input_registers}
        blocks = []
        for function, address, count in BLOCKS:
            response = functions[function](address, count=count, slave=unit)
            assert not response.isError(), (unit, function, address, response)
            blocks.append([int(v) for v in (response.bits[:count] if function <= 2 else response.registers)])
        return blocks

    def close(self):
        self.client.close()
        for program in (self.gateway, *self.servers):
            program.__exit__(None, None, None)


def differences(one, other, volatile):
    """The registers and bits that differ between two lists of blocks."""
    wrong = []
    for (function, first, count), a, b in zip(BLOCKS, one, other):
        assert len(a) == len(b) == count, (function, first, len(a), len(b))
        wrong += [f"function {function}, {first + i}: {x} and {y}" for i, (x, y) in enumerate(zip(a, b))
                  if x != y and not (function >= 3 and first + i in volatile)]
    return wrong


def check_floats(unit, got):
    """Compares {address: float} of a client with the values of the pack."""
    expected = floats_of(PACKS[unit][1])
    assert set(got) == set(expected)
    for address, value in expected.items():
        assert abs(got[address] - value) <= abs(value) * 1e-5, f"unit {unit}, {address}: {got[address]}, not {value}"


def check_whole_values(unit, blocks):
    """Compares cells, states and alarms in a client's registers with the values of the pack."""
    values = PACKS[unit][1]
    registers = {}
    for (function, first, count), words in zip(BLOCKS, blocks):
        if function == 3:
            registers.update(zip(range(first, first + count), words))
    cells = [values.get(f"cell_mv.{n}", 0) for n in range(1, 17)]
    assert [registers[310 + n] for n in range(16)] == [registers[120 + n] for n in range(16)] == cells
    assert registers[330] == values["cell_count"] and registers[290] == math.floor(values["soc_percent"] + 0.5)
    assert registers[335] == values.get("alarm.soc_low", 0)
    first = find("cell_mv.1")["address"]
    assert [registers[first + n] for n in range(values["cell_count"])] == cells[:values["cell_count"]]
    assert [registers[find(name)["address"]] for name in ("check_u16", "check_s16")] == [12345, 0x10000 - 12345]
    alarms = blocks[-2]
    assert alarms[0] == values.get("alarm.soc_low", 0) and alarms[15] == alarms[0] and sum(alarms[1:23]) == alarms[0]
    assert blocks[-1] == [1, 1]


def check_client(read_all):
    """`read_all(house, unit)` returns all blocks and the floats, as the client reads them."""
    for order in ("little", "big"):
        house = House.of(order)
        for unit in PACKS:
            expected = house.snapshot(unit)
            blocks, floats = read_all(house, unit)
            wrong = differences(expected, blocks, volatile_addresses())
            assert not wrong, "\n".join(wrong)
            check_whole_values(unit, blocks)
            check_floats(unit, floats)


def read_pymodbus(house, unit):
    word_order = ">" if house.order == "big" else "<"
    floats = {}
    for address in floats_of(PACKS[unit][1]):
        words = house.client.read_holding_registers(address, count=2, slave=unit).registers
        decoder = BinaryPayloadDecoder.fromRegisters(words, byteorder=">", wordorder=word_order)
        floats[address] = decoder.decode_32bit_float()
    return house.snapshot(unit), floats


def read_mbpoll(house, unit):
    kinds = {1: "0", 2: "1", 3: "4", 4: "3"}
    blocks = []
    for function, address, count in BLOCKS:
        values = mbpoll(house.port, "-a", unit, "-r", address, "-c", count, "-t", kinds[function])
        blocks.append([int(values[address + i]) & 0xFFFF for i in range(count)])
    floats = {}
    for address in floats_of(PACKS[unit][1]):
        order = ["-B"] if house.order == "big" else []
        floats[address] = float(mbpoll(house.port, "-a", unit, "-r", address, "-t", "4:float", *order)[address])
    return blocks, floats


def run_script(name, house, unit):
    addresses = list(floats_of(PACKS[unit][1]))
    asked = {"port": house.port, "unit": unit, "order": house.order, "floats": addresses,
             "reads": [{"fc": function, "address": address, "count": count} for function, address, count in BLOCKS]}
    result = subprocess.run(["node", os.path.join(CLIENTS, name), json.dumps(asked)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=PATIENCE, env={**os.environ, "NODE_PATH": f"{INSTALLED}/node_modules"})
    assert result.returncode == 0, result.stderr.decode()
    answers = json.loads(result.stdout)
    return answers, dict(zip(addresses, answers["floats"]))


def read_modbus_serial(house, unit):
    answers, floats = run_script("modbus-serial.js", house, unit)
    texts = answers["identification"]
    assert texts["0"] == texts["1"] == "packgate" and texts["6"] == PACKS[unit][0], texts
    return answers["reads"], floats


def read_jsmodbus(house, unit):
    answers, floats = run_script("jsmodbus.js", house, unit)
    return answers["reads"], floats


def installs_the_clients_of_npm():
    subprocess.run([os.path.join(CLIENTS, "install"), INSTALLED], check=True, timeout=5 * PATIENCE)
    with open(os.path.join(CLIENTS, "package.json")) as file:
        wanted = json.load(file)["dependencies"]
    for name, version in wanted.items():
        with open(f"{INSTALLED}/node_modules/{name}/package.json") as file:
            assert json.load(file)["version"] == version, name


def pymodbus_reads_all_blocks():
    check_client(read_pymodbus)


def pymodbus_reads_the_identification():
    for unit, (protocol, _) in PACKS.items():
        client = House.of("little").client
        if hasattr(client, "read_device_information"):
            response = client.read_device_information(read_code=3, object_id=0, slave=unit)
        else:  # Debian 12
            from pymodbus.mei_message import ReadDeviceInformationRequest
            response = client.execute(ReadDeviceInformationRequest(read_code=3, object_id=0, unit=unit))
        texts = {number: text.decode() for number, text in response.information.items()}
        assert texts[0] == texts[1] == "packgate" and texts[6] == protocol, texts


def mbpoll_reads_all_blocks():
    check_client(read_mbpoll)


def modbus_serial_reads_all_blocks():
    check_client(read_modbus_serial)


def jsmodbus_reads_all_blocks():
    check_client(read_jsmodbus)


def all_end_cleanly():
    for house in House.opened.values():
        house.close()


main([installs_the_clients_of_npm, pymodbus_reads_all_blocks, pymodbus_reads_the_identification, mbpoll_reads_all_blocks,
      modbus_serial_reads_all_blocks, jsmodbus_reads_all_blocks, all_end_cleanly])
