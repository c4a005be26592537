// SPDX-License-Identifier: MIT
// Reads what the argument (JSON: host, port, unit, reads, floats, order) asks for with jsmodbus, all at once, and prints the
// answers as JSON.
'use strict';

const modbus = require('jsmodbus');
const net = require('net');

const asked = JSON.parse(process.argv[2]);
const socket = new net.Socket();
const client = new modbus.client.TCP(socket, asked.unit, 60000);
const functions = { 1: 'readCoils', 2: 'readDiscreteInputs', 3: 'readHoldingRegisters', 4: 'readInputRegisters' };

const float = (buffer) => (asked.order === 'big' ? buffer.readFloatBE(0) : buffer.swap16().readFloatLE(0));

async function read({ fc, address, count }) {
    const { response } = await client[functions[fc]](address, count);
    return Array.from(response.body.valuesAsArray).slice(0, count);
}

async function readFloat(address) {
    const { response } = await client.readHoldingRegisters(address, 2);
    return float(Buffer.from(response.body.valuesAsBuffer));
}

async function main() {
    const answers = {
        reads: await Promise.all(asked.reads.map(read)),
        floats: await Promise.all(asked.floats.map(readFloat)),
    };
    console.log(JSON.stringify(answers));
    socket.end();
}

function fail(error) {
    console.error(error);
    process.exit(1);
}

socket.on('error', fail);
socket.on('connect', () => main().catch(fail));
socket.connect({ host: asked.host || '127.0.0.1', port: asked.port });
