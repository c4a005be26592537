// SPDX-License-Identifier: MIT
// Reads one pack with mqtt.js and switches its charge MOS off: prints the state before, the answer, and the state after, one
// JSON object a line. Arguments: the broker's URL, the pack.
'use strict';

const mqtt = require('mqtt');

const [url, pack] = process.argv.slice(2);
const client = mqtt.connect(url);
const print = (what, object) => console.log(JSON.stringify({ what, ...object }));
let ordered = false;

client.on('connect', () => client.subscribe([`packgate/${pack}/state`, `packgate/${pack}/status`, `packgate/${pack}/set/result`]));
client.on('message', (topic, payload) => {
  const text = payload.toString();
  if (topic.endsWith('/status')) {
    print('status', { status: text });
    return;
  }
  const object = JSON.parse(text);
  if (topic.endsWith('/result')) {
    print('result', object);
  } else if (!ordered && object.charge_mos === 1) {
    print('state', object);
    ordered = true;
    client.publish(`packgate/${pack}/set/charge_mos`, '0', { qos: 1 });
  } else if (ordered && object.charge_mos === 0) {
    print('state', object);
    client.end();
  }
});
