// SPDX-License-Identifier: MIT
// Reads what the argument (JSON: host, port, unit, reads, floats, order) asks for with modbus-serial, one after the other, and
// prints the answers as JSON.
'use strict';

const ModbusRTU = require('modbus-serial');

const asked = JSON.parse(process.argv[2]);
const client = new ModbusRTU();
const functions = { 1: 'readCoils', 2: 'readDiscreteInputs', 3: 'readHoldingRegisters', 4: 'readInputRegisters' };

// As its users do it: the registers arrive as a buffer, in which low-word-first floats are swapped in pairs of bytes.
const float = (buffer) => (asked.order === 'big' ? buffer.readFloatBE(0) : buffer.swap16().readFloatLE(0));

async function main() {
    const answers = { reads: [], floats: [] };
    await client.connectTCP(asked.host || '127.0.0.1', { port: asked.port });
    client.setID(asked.unit);
    client.setTimeout(60000);
    for (const { fc, address, count } of asked.reads) {
        const { data } = await client[functions[fc]](address, count);
        answers.reads.push(data.slice(0, count).map(Number));
    }
    for (const address of asked.floats) {
        const { buffer } = await client.readInputRegisters(address, 2);
        answers.floats.push(float(buffer));
    }
    const identification = await client.readDeviceIdentification(3, 0);
    answers.identification = identification.data;
    console.log(JSON.stringify(answers));
    client.close();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
