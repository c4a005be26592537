# SPDX-License-Identifier: MIT
# tests/run: 55 s
"""Third-party MQTT clients read a pack and switch it: mqtt.js and the MQTT nodes of Node-RED from npm, in the
versions of npm-mqtt/package.json, and mosquitto_sub."""

import json
import os
import re
import subprocess
import tempfile

from harness import Gateway, PACKGATE, PATIENCE, Program, free_port, main, simulate, until
from mqtt_harness import Broker, LINE, Listener, Proxy, retained

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, "npm-mqtt")
INSTALLED = os.path.join(os.path.dirname(PACKGATE), "npm-mqtt")

SIMULATED = "profile=fixed,voltage_v=26.1,cells=8,soc_percent=77"
SECTION = "[mqtt home]\nbroker = mqtt://127.0.0.1:{}\ninterval = 1s\nswitching = yes\n"


def house(url, broker):
    return Gateway(LINE.format("shed", url, 1, "writable = yes") + SECTION.format(broker.port))


def came(listener, topic, wanted=lambda value: True):
    """The first message on a topic for which `wanted` is true, whatever the order of topics."""
    def found():
        return [value for _, of, payload in list(listener.came) if of == topic and payload and wanted(value := json.loads(payload))]
    return until(found)[0]


def installs_the_clients_of_npm():
    subprocess.run([os.path.join(HERE, "npm", "install"), INSTALLED, CLIENTS], check=True, timeout=10 * PATIENCE)
    with open(os.path.join(CLIENTS, "package.json")) as file:
        wanted = json.load(file)["dependencies"]
    for name, version in wanted.items():
        with open(f"{INSTALLED}/node_modules/{name}/package.json") as file:
            assert json.load(file)["version"] == version, name


def mqtt_js_reads_and_switches():
    server, url = simulate("daly", SIMULATED)
    with server, Broker() as broker, house(url, broker), Listener(broker) as listener:
        listener.wait_json("packgate/shed/state", lambda state: "charge_mos" in state and "cell_mv_8" in state)
        with open(os.path.join(CLIENTS, "mqtt.js"), "rb") as script:
            told = subprocess.run(["node", "-", f"mqtt://127.0.0.1:{broker.port}", "shed"], stdin=script, check=True,
                                  cwd=INSTALLED, stdout=subprocess.PIPE, timeout=PATIENCE).stdout
        lines = [json.loads(line) for line in told.splitlines()]
        assert {"what": "status", "status": "online"} in lines, lines
        before, result, after = (line for line in lines if line["what"] != "status")
        assert abs(before["voltage_v"] - 26.1) < 1e-9 and before["soc_percent"] == 77 and before["cell_mv_8"] > 0, before
        assert result == {"what": "result", "order": "charge_mos", "value": 0, "result": "confirmed"}, result
        assert after["charge_mos"] == 0 and after["time"] >= before["time"], after


def flows(port):
    """Three flows with a common broker: one reads values from the state, one switches as soon as Node-RED has
    started, and one is the example of the documentation with shorter times."""
    nodes = json.loads(documented("json", "trigger").replace("192.0.2.5", "127.0.0.1").replace('"1883"', f'"{port}"'))
    for node in nodes:
        node.update({"z": "tab"} if "z" in node else {}, **({"duration": "5"} if "duration" in node else {}))
    return [
        {"id": "tab", "type": "tab", "label": "packs"}, *nodes,
        {"id": "in", "z": "tab", "type": "mqtt in", "topic": "packgate/shed/state", "qos": "0", "datatype": "auto-detect",
         "broker": "broker", "wires": [["take"]]},
        {"id": "take", "z": "tab", "type": "function", "outputs": 1, "wires": [["out"]], "func":
         "return {topic: 'node-red/shed', payload: {v: msg.payload.voltage_v, soc: msg.payload.soc_percent, "
         "on: msg.payload.charge_mos, cell: msg.payload.cell_mv_8}};"},
        {"id": "out", "z": "tab", "type": "mqtt out", "topic": "", "qos": "1", "retain": "false", "broker": "broker",
         "wires": []},
        {"id": "start", "z": "tab", "type": "inject", "once": True, "onceDelay": 1, "repeat": "",
         "props": [{"p": "payload"}, {"p": "topic", "vt": "str"}], "topic": "packgate/shed/set/charge_mos", "payload": "0",
         "payloadType": "str", "wires": [["out"]]},
    ]


def run_node_red(folder, nodes):
    with open(f"{folder}/flows.json", "w") as file:
        json.dump(nodes, file)
    with open(f"{folder}/settings.js", "w") as file:
        file.write(f"module.exports = {{uiHost: '127.0.0.1', uiPort: {free_port()}, httpAdminRoot: false, "
                   f"flowFile: 'flows.json', credentialSecret: false, editorTheme: {{tours: false}}, "
                   "telemetry: {enabled: false}};\n")
    return Program("node", f"{INSTALLED}/node_modules/node-red/red.js", "--userDir", folder, "--settings", f"{folder}/settings.js")


def mosquitto_sub_reads():
    server, url = simulate("daly", SIMULATED)
    with server, Broker() as broker, house(url, broker):
        told = subprocess.run(["mosquitto_sub", "-p", str(broker.port), "-t", "packgate/shed/state", "-C", "1"], check=True,
                              stdout=subprocess.PIPE, timeout=PATIENCE).stdout
        assert abs(json.loads(told)["voltage_v"] - 26.1) < 1e-9


def documented(language, what):
    """The example of docs/mqtt.md that contains this text."""
    with open(os.path.join(HERE, "../../docs/mqtt.md")) as file:
        return next(text for text in re.findall(rf"```{language}\n(.*?)```", file.read(), re.S) if what in text)


def node_red_reads_and_switches_and_notices_a_power_cut():
    """The gateway falls silent, and no message reports it: mosquitto_sub and Node-RED, which both do as documented,
    notice it."""
    server, url = simulate("daly", SIMULATED)
    with server, Broker() as broker, Proxy(broker) as way, house(url, way), Listener(broker) as listener, \
            tempfile.TemporaryDirectory(prefix="packgate-node-red-") as folder:
        listener.wait_json("packgate/shed/state", lambda state: "charge_mos" in state and "cell_mv_8" in state)
        command = documented("sh", "mosquitto_sub").replace("-h 192.0.2.5", f"-p {broker.port}").replace("-W 30", "-W 5")
        with run_node_red(folder, flows(broker.port)) as node_red:
            node_red.wait_for("Connected to broker")
            told = came(listener, "node-red/shed", lambda told: "v" in told)
            assert abs(told["v"] - 26.1) < 1e-9 and told["soc"] == 77 and told["cell"] > 0, told
            assert came(listener, "packgate/shed/set/result") == {"order": "charge_mos", "value": 0, "result": "confirmed"}
            came(listener, "node-red/shed", lambda told: told.get("on") == 0)
            assert listener.wait_for("house/shed/available") == b"online"
            told = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout
            assert abs(json.loads(told)["voltage_v"] - 26.1) < 1e-9
            way.flows.clear()
            assert listener.wait_for("house/shed/available") == b"offline"
            told = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout
            assert told == b"unavailable\n", told
            # The broker's retained messages show the same to a new client.
            listener.wait_for("packgate/status", lambda payload: payload == b"offline")
            assert b"online" not in [payload for topic, payload in retained(broker).items() if topic.endswith("/status")]


main([installs_the_clients_of_npm, mqtt_js_reads_and_switches, node_red_reads_and_switches_and_notices_a_power_cut, mosquitto_sub_reads])
