// SPDX-License-Identifier: MIT
// The benchmark's registers, served by jsmodbus as its examples show. Arguments: ADDRESS WORD...
'use strict';

const modbus = require('jsmodbus');
const net = require('net');

const [address, ...words] = process.argv.slice(2).map(Number);
const holding = Buffer.alloc(2 * (address + words.length));
words.forEach((word, i) => holding.writeUInt16BE(word, 2 * (address + i)));

const sockets = new net.Server();
new modbus.server.TCP(sockets, { holding });
sockets.on('connection', (socket) => socket.on('error', () => {})); // a client that leaves
sockets.listen(0, '127.0.0.1', 1000, () => {
    console.log(`listening on 127.0.0.1:${sockets.address().port}`);
});
