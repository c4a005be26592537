# SPDX-License-Identifier: MIT
# tests/run: 50 s
"""The outlet mqtt against a real mosquitto: topics, retained or not, Home Assistant's discovery with every template
rendered for the real state message, orders, withdrawal, and harm that the broker can do."""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from harness import Gateway, Standin, await_value, crc16, main, outlet_pid, read_value, simulate, until
from home_assistant import check_announcement, is_available, state_of
from mqtt_harness import (Broker, CONNACK, LINE, Liar, Listener, PATIENT, Proxy, SOON_STALE, await_retained, flood, huge, make_certificates,
                          preloaded, retained)
from venus_reader import NEEDED, Battery

SIMULATED = "profile=fixed,voltage_v=26.1,cell_count=8,soc_percent=77"


def section(broker, more="interval = 1s\n", name="home", scheme="mqtt"):
    return f"[mqtt {name}]\nbroker = {scheme}://127.0.0.1:{broker if isinstance(broker, int) else broker.port}\n{more}"


def rewrite(gateway, text):
    gateway.rewrite(text)
    gateway.wait_for("the new configuration is in force")


def identity(found):
    """The gateway's id in the topics of its announcements."""
    names = [topic.split("/")[2] for topic in found if topic.startswith("homeassistant/device/")]
    return min(names, key=len).split("_")[1]


def publishes_what_is_documented():
    server, url = simulate("daly", SIMULATED)
    with Broker() as broker, Listener(broker) as listener, server, \
            Gateway(LINE.format("shed", url, 1, "") + "[bank all]\npacks = shed\nunit = 100\n" + section(broker)):
        # The first values of a pack are not all of them.
        state = listener.wait_json("packgate/shed/state", lambda state: "cell_mv_8" in state)
        assert abs(state["voltage_v"] - 26.1) < 1e-9 and state["soc_percent"] == 77 and state["cell_mv_8"] > 0, state
        assert isinstance(state["time"], int) and abs(state["time"] - time.time()) < 30 and state["age_s"] < 5
        assert "pack" not in state and "model" not in state and not any("." in name for name in state)
        bank = listener.wait_json("packgate/all/state")
        assert abs(bank["voltage_v"] - 26.1) < 1e-9
        listener.wait_json("packgate/shed/state")
        found = await_retained(broker, lambda found: "model" in json.loads(found["packgate/shed/info"]), "model")
        assert found["packgate/status"] == b"online"
        # The broker's retained messages outlive the gateway.
        assert found["packgate/shed/status"] == found["packgate/all/status"] == b"offline"
        for _ in range(2):
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"online")
        info = json.loads(found["packgate/shed/info"])
        assert info["protocol"] == "daly" and info["unit"] == 1 and info["line"] == "shed" and info["model"], info
        assert json.loads(found["packgate/all/info"]) == {"protocol": "bank", "unit": 100, "members": ["shed"]}
        assert "packgate/shed/state" not in found and "packgate/all/state" not in found
        number = identity(found)
        assert set(found) == {"packgate/status", "packgate/info", "packgate/shed/status", "packgate/shed/info",
                              "packgate/all/status", "packgate/all/info", f"homeassistant/device/packgate_{number}/config",
                              f"homeassistant/device/packgate_{number}_shed/config",
                              f"homeassistant/device/packgate_{number}_all/config"}, sorted(found)


def check_shown(components, message, found):
    """Every entity shows what the message contains, and nothing if it is not in the message."""
    state = json.loads(message)
    found = found | {"packgate/shed/status": b"online"}  # which is in each message
    for key, config in components.items():
        assert is_available(config, found) and not is_available(config, {}), config
        if config["platform"] == "event":
            continue
        if "value_template" not in config:
            assert state_of(config, found[config["state_topic"]]) is True and state_of(config, b"offline") is False, config
            continue
        value = state[key.replace("_switch", "_mos")]
        assert state_of(config, message) == value and value in (0, 1) if config["platform"] != "sensor" else \
            state_of(config, message) == value, (key, config, value)
        # A value that is missing in the message must not keep its old state.
        assert state_of(config, b"{}", "before") is None, config


def home_assistant_understands_all():
    for protocol, options in (("daly", SIMULATED), ("jk-pb", "profile=fixed"), ("topbms", "profile=fixed"),
                              ("vedirect", "profile=fixed")):
        server, url = simulate(protocol, options)
        for more in ("discovery = few\n", "discovery = all\nswitching = yes\n"):
            writable = "writable = yes" if protocol != "vedirect" else ""
            text = LINE.format("shed", url, 1, writable).replace("daly", protocol)
            text = text.replace("poll = 100ms\nstale_after = 60s\n", "")
            with Broker() as broker, Listener(broker) as listener, Gateway(text + section(broker, "interval = 1s\n" + more)):
                message = listener.wait_for("packgate/shed/state")
                # Slow values arrive later, and are then added to the announcement.
                while True:
                    message = listener.wait_for("packgate/shed/state")
                    found = retained(broker)
                    topic = f"homeassistant/device/packgate_{identity(found)}_shed/config"
                    components = check_announcement(topic, found[topic])
                    known = {name for name in json.loads(message)}
                    if "few" in more or known <= {key.replace("_switch", "_mos") for key in components}:
                        break
                check_shown(components, listener.wait_for("packgate/shed/state"), found)
                gateway = f"homeassistant/device/packgate_{identity(found)}/config"
                assert json.loads(found[topic])["dev"]["via_device"] in json.loads(found[gateway])["dev"]["ids"]
                own = check_announcement(gateway, found[gateway])
                assert {state_of(config, found[config["state_topic"]]) for config in own.values()} == \
                    {True, "1", json.loads(found["packgate/info"])["version"]}, own
                if "few" in more:
                    assert set(components) <= {"voltage_v", "current_a", "power_w", "soc_percent", "charged_wh",
                                               "discharged_wh", "alarm", "fresh"}, set(components)
                elif writable:
                    assert components["charge_switch"]["command_topic"] == "packgate/shed/set/charge_mos"
        server.stop()


def home_assistant_would_not_take_less():
    """The rules that check the announcements of these tests are strict: each of these is rejected."""
    topic = "homeassistant/device/packgate_1_shed/config"
    good = {"dev": {"ids": ["a"], "name": "shed"}, "o": {"name": "packgate"}, "stat_t": "packgate/shed/state", "cmps": {
        "voltage_v": {"p": "sensor", "uniq_id": "a_voltage_v", "def_ent_id": "sensor.shed_voltage_v", "name": "Voltage",
                      "dev_cla": "voltage", "stat_cla": "measurement", "unit_of_meas": "V"},
        "charge_switch": {"p": "switch", "uniq_id": "a_charge", "def_ent_id": "switch.shed_charge", "name": "Charge MOS",
                          "cmd_t": "packgate/shed/set/charge_mos", "opt": False}}}
    check_announcement(topic, json.dumps(good))

    def refuses(path, value):
        bad = json.loads(json.dumps(good))
        *way, last = path.split("/")
        place = bad
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
        try:
            check_announcement(topic, json.dumps(bad))
        except (AssertionError, KeyError):
            return
        raise AssertionError(f"{path} = {value} was taken")

    for path, value in (("~", "packgate"), ("o", None), ("o/version", "1"), ("dev/ids", []), ("dev/room", "shed"), ("dev/cu", "shed"),
                        ("stat_t", None), ("stat_t", "packgate/+"), ("cmps/voltage_v/unit_of_meas", "Ah"), ("cmps/voltage_v/p", "number"),
                        ("cmps/voltage_v/stat_cla", "total_increasing"), ("cmps/voltage_v/dev_cla", "volts"),
                        ("cmps/voltage_v/uniq_id", None), ("cmps/voltage_v/def_ent_id", "shed_voltage_v"),
                        ("cmps/voltage_v/sug_dsp_prc", -1), ("cmps/voltage_v/exp_aft", 3.5), ("cmps/charge_switch/cmd_t", None),
                        ("cmps/charge_switch/opt", True), ("cmps/charge_switch/ret", True), ("cmps/charge_switch/uniq_id", "a_voltage_v")):
        refuses(path, value)


def two_sections_are_one_gateway():
    """At one broker the gateway is one device, announced by the first section while that exists; the device links to
    the page."""
    packs = LINE.format("a", "sim:", 1, "") + LINE.format("b", "sim:", 2, "") + "[web]\nlisten = 192.0.2.7:8080\n"
    with Broker() as broker, Gateway(packs + section(broker, "interval = 1s\npacks = a\n", name="one") + section(
            broker, "interval = 1s\npacks = b\ntopic = second\n", name="two")) as gateway:
        found = await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 3, "all announced")
        number = identity(found)
        device = {name: json.loads(found[f"homeassistant/device/packgate_{number}{name}/config"]) for name in ("", "_a", "_b")}
        for name in "_a", "_b":
            assert device[name]["dev"]["via_device"] == device[""]["dev"]["ids"][0] == f"packgate_{number}"
            assert device[name]["dev"]["cu"] == "http://192.0.2.7:8080/#" + name[1:], device[name]["dev"]
        assert device[""]["cmps"]["connection"]["stat_t"] == "packgate/status", device[""]
        assert device[""]["dev"]["cu"] == device[""]["o"]["url"] == "http://192.0.2.7:8080/"
        for name, announced in device.items():
            check_announcement(f"homeassistant/device/packgate_{number}{name}/config", json.dumps(announced))
        rewrite(gateway, packs.split("[web]")[0] + section(broker, "interval = 1s\npacks = b\ntopic = second\n", name="two"))
        found = await_retained(broker, lambda found: b"second/status" in found.get(
            f"homeassistant/device/packgate_{number}/config", b"") and f"homeassistant/device/packgate_{number}_a/config"
            not in found, "the second one speaks")
        assert b'"cu"' not in found[f"homeassistant/device/packgate_{number}/config"]


def single_messages_for_others():
    server, url = simulate("daly", SIMULATED)
    with Broker() as broker, Listener(broker) as listener, server, \
            Gateway(LINE.format("shed", url, 1, "") + section(broker, "interval = 1s\ndiscovery = single\n")):
        def announced(found):
            return {topic: payload for topic, payload in found.items() if topic.startswith("homeassistant/")}

        # Each value is announced when it is known.
        found = announced(await_retained(broker, lambda found: len(announced(found)) > 15, "many values announced"))
        assert not any("/device/" in topic for topic in found), sorted(found)
        configs = [check_announcement(topic, payload)[None] for topic, payload in found.items()]
        names = {config["unique_id"].split("_shed_")[1]: config for config in configs if config["state_topic"] == "packgate/shed/state"}
        message = listener.wait_for("packgate/shed/state", lambda payload: names.keys() <= json.loads(payload).keys())
        state = json.loads(message)
        for config in configs:
            # Domoticz cuts a template there.
            assert "|" not in config.get("value_template", ""), config
        for name, config in names.items():
            assert state_of(config, message) == state[name], config


def switches_and_answers():
    server, url = simulate("daly", SIMULATED)
    text = LINE.format("shed", url, 1, "writable = yes") + LINE.format("fixed", "sim:", 2, "")
    text = text.replace("stale_after = 60s", "stale_after = 5s")  # a stale pack takes no orders
    with Broker() as broker, Listener(broker) as listener, server:
        listener.publish("packgate/shed/set/discharge_mos", "0", retain=True)
        with Gateway(text + "[bank all]\npacks = shed, fixed\nunit = 100\n" +
                     section(broker, "interval = 1s\nswitching = yes\n")) as gateway:
            result = "packgate/{}/set/result".format

            def answer(pack, order, payload):
                listener.publish(f"packgate/{pack}/set/{order}", payload)
                return listener.wait_json(result(pack), lambda found: found["order"] == order)

            # The retained, old order is not executed.
            assert listener.wait_json(result("shed")) == {"order": "discharge_mos", "value": 0, "result": "retained"}
            gateway.wait_for("refused: the broker had retained it")
            assert listener.wait_json("packgate/shed/state", lambda state: "discharge_mos" in state)["discharge_mos"] == 1
            for payload, value in (("off", 0), (" ON ", 1), ("0", 0), ("true", 1)):
                assert answer("shed", "charge_mos", payload) == {"order": "charge_mos", "value": value, "result": "confirmed"}
                listener.wait_json("packgate/shed/state", lambda state: state.get("charge_mos") == value)
            gateway.wait_for("mqtt home orders charge off: confirmed")
            assert answer("shed", "charge_mos", "maybe")["result"] == "invalid"
            assert answer("shed", "charge_mos", bytes(1 << 20))["result"] == "invalid"
            assert answer("shed", "light", "1")["result"] == "unknown"
            # As much of a long name as fits, without a truncated character.
            listener.publish("packgate/shed/set/" + "é" * 200, "1")
            assert listener.wait_json(result("shed")) == {"order": "é" * 31, "value": 1, "result": "unknown"}
            assert answer("nobody", "charge_mos", "1")["result"] == "unknown"
            assert answer("fixed", "charge_mos", "1")["result"] == "not allowed"
            assert answer("all", "charge_mos", "1")["result"] == "not allowed"
            gateway.wait_for("order on .*/charge_mos refused: its pack is not writable")
            # Each order that was not executed is counted.
            assert until(lambda: gateway.status()["outlets"][0]["refused"], lambda refused: refused >= 8) == 8
            # A retained order that is sent now arrives like any other.
            listener.publish("packgate/shed/set/charge_mos", "0", retain=True)
            assert listener.wait_json(result("shed"))["result"] == "confirmed"
            listener.publish("packgate/shed/set/charge_mos", "", retain=True)
            server.process.send_signal(signal.SIGSTOP)
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"offline")
            assert answer("shed", "charge_mos", "1")["result"] == "no answer"
            gateway.wait_for("order on .*/shed/set/charge_mos refused: its pack does not answer")
            server.process.send_signal(signal.SIGCONT)
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"online")


def subscribes_to_no_orders_without_switching():
    server, url = simulate("daly", SIMULATED)
    with Broker() as broker, Listener(broker) as listener, server, \
            Gateway(LINE.format("shed", url, 1, "writable = yes") + section(broker)) as gateway:
        listener.wait_for("packgate/shed/state")
        listener.publish("packgate/shed/set/charge_mos", "0")
        for _ in range(3):
            assert listener.wait_json("packgate/shed/state", lambda state: "charge_mos" in state)["charge_mos"] == 1
        assert not any(topic.endswith("/result") for topic, _, _ in listener.seen)
        assert not any("orders" in line for line in gateway.lines)


def tells_alarms():
    with Broker() as broker, Listener(broker) as listener, \
            Gateway(LINE.format("shed", "sim:profile=fixed,alarm.soc_low=1", 1, "") + section(broker)) as gateway:
        event = listener.wait_json("packgate/shed/event")
        assert event["alarm"] == "soc_low" and event["active"] is True and event["level"] in ("warning", "protection")
        number = identity(await_retained(broker, lambda found: any(b"alarm_event" in payload for payload in found.values()), "event"))
        topic = f"homeassistant/device/packgate_{number}_shed/config"
        entity = check_announcement(topic, await_retained(broker, lambda found: topic in found, topic)[topic])["alarm_event"]
        assert entity["state_topic"] == "packgate/shed/event" and state_of(entity, json.dumps(event).encode()) == event["level"]
        assert listener.wait_json("packgate/shed/state")["alarm"] == 1
        rewrite(gateway, LINE.format("shed", "sim:profile=fixed", 1, "") + section(broker))
        event = listener.wait_json("packgate/shed/event", lambda found: not found["active"])
        assert event["alarm"] == "soc_low" and state_of(entity, json.dumps(event).encode()) == "ended"


def tells_an_alarm_once_and_for_sure():
    """Not again by a restarted outlet, but again if the broker did not confirm it."""
    alarm, calm = "sim:profile=fixed,alarm.soc_low=1", "sim:profile=fixed"
    with Broker() as broker, Proxy(broker) as proxy, Listener(broker) as listener, \
            Gateway(LINE.format("shed", alarm, 1, "") + section(proxy)) as gateway:
        assert listener.wait_json("packgate/shed/event")["active"] is True
        listener.wait_for("packgate/shed/state")  # behind which the outlet has noted that the event is sent
        before = len(listener.came)
        os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL)
        gateway.wait_for("mqtt home: connected to")
        for _ in range(3):
            listener.wait_json("packgate/shed/state", lambda state: state.get("alarm_soc_low") == 1)
        assert not [came for came in listener.came[before:] if came[1].endswith("/event")], listener.came[before:]
        # The message about its end is lost.
        proxy.flows.clear()
        gateway.wait_for("messages are dropped")
        rewrite(gateway, LINE.format("shed", calm, 1, "") + section(proxy))
        gateway.wait_for("mqtt home: broker .*; trying again")
        assert not [came for came in listener.came[before:] if came[1].endswith("/event")], listener.came[before:]
        proxy.flows.set()
        listener.wait_json("packgate/shed/event", lambda event: event["alarm"] == "soc_low" and event["active"] is False)


def says_who_is_there():
    server, url = simulate("daly", SIMULATED)
    with Broker() as broker, Listener(broker) as listener, server:
        with Gateway(SOON_STALE.format("shed", url, 1, "") + section(broker)) as gateway:
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"online")
            server.process.send_signal(signal.SIGSTOP)
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"offline")
            before = len(listener.seen)
            server.process.send_signal(signal.SIGCONT)
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"online")
            # While silent, it published nothing.
            assert not any(topic == "packgate/shed/state" for topic, _, _ in listener.seen[before:])
            # The last will.
            os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL)
            listener.wait_for("packgate/status", lambda payload: payload == b"offline")
            listener.wait_for("packgate/status", lambda payload: payload == b"online")
            # The gateway hangs: its values are no longer current.
            gateway.process.send_signal(signal.SIGSTOP)
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"offline")
            listener.wait_for("packgate/status", lambda payload: payload == b"offline")
            gateway.process.send_signal(signal.SIGCONT)
            listener.wait_for("packgate/status", lambda payload: payload == b"online")
            listener.wait_for("packgate/shed/status", lambda payload: payload == b"online")
        listener.wait_for("packgate/status", lambda payload: payload == b"offline")
        await_retained(broker, lambda found: found["packgate/status"] == found["packgate/shed/status"] == b"offline", "offline")


def no_word_of_it_outlives_the_gateway():
    """Gateway and outlet are killed at once: no retained message says that a pack is available."""
    with Broker() as broker, Listener(broker) as listener:
        with Gateway(LINE.format("shed", "sim:", 1, "") + section(broker)) as gateway:
            listener.wait_for("packgate/shed/state")
            os.kill(gateway.process.pid, signal.SIGSTOP)
            os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL)
            gateway.stop(signal.SIGKILL)
        assert retained(broker)["packgate/shed/status"] == b"offline"
        listener.wait_for("packgate/status", lambda payload: payload == b"offline")


def two_gateways_with_one_topic():
    """The end of one gateway does not mark the other as offline, which restores its messages and warns; they do not
    answer each other for ever."""
    with Broker() as broker, Listener(broker) as listener:
        with Gateway(LINE.format("a", "sim:", 1, "") + section(broker)) as one:
            listener.wait_for("packgate/a/state")
            with Gateway(LINE.format("b", "sim:", 1, "") + section(broker)):
                one.wait_for("warning: mqtt home: another gateway publishes below 'packgate' at this broker")
                listener.wait_for("packgate/b/state")
            listener.wait_for("packgate/status", lambda payload: payload == b"offline")
            listener.wait_for("packgate/status", lambda payload: payload == b"online")
            await_retained(broker, lambda found: found["packgate/status"] == b"online", "online")
            before = len(listener.came)
            for _ in range(2):
                listener.wait_for("packgate/a/state")
            assert not [came for came in listener.came[before:] if came[1] == "packgate/status"], listener.came[before:]


def answers_birth():
    server, url = simulate("daly", SIMULATED)
    with Broker() as broker, Listener(broker) as listener, server, \
            Gateway(LINE.format("shed", url, 1, "") + section(broker)):
        listener.wait_for("packgate/shed/state")
        number = identity(retained(broker))
        before = len(listener.seen)
        listener.publish("homeassistant/status", "online")
        listener.wait_for("homeassistant/status")
        listener.wait_for(f"homeassistant/device/packgate_{number}/config")
        listener.wait_for(f"homeassistant/device/packgate_{number}_shed/config")
        listener.wait_for("packgate/shed/status")
        listener.wait_for("packgate/shed/info")
        listener.wait_for("packgate/shed/state")
        assert any(topic == "packgate/status" for topic, _, _ in listener.seen[before:])


def withdraws_what_is_gone():
    server, url = simulate("daly", SIMULATED)
    packs = LINE.format("a", url, 1, "") + LINE.format("b", "sim:", 2, "")
    with Broker() as broker, Listener(broker) as listener, server, Gateway(packs + section(broker)) as gateway:
        found = await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 3, "all announced")
        number = identity(found)
        device = f"homeassistant/device/packgate_{number}_{{}}/config".format
        # The first values of a pack are not all of them: the announcement grows.
        await_retained(broker, lambda found: "cell_mv_1" in json.loads(found[device("a")])["cmps"], "cells")
        rewrite(gateway, packs + section(broker, "interval = 1s\npacks = a\n"))
        found = await_retained(broker, lambda found: "packgate/b/status" not in found and "packgate/b/info" not in found, "b")
        assert device("b") not in found and device("a") in found, sorted(found)
        # Fewer entities: the others are withdrawn by name.
        rewrite(gateway, packs + section(broker, "interval = 1s\npacks = a\ndiscovery = few\n"))
        listener.wait_json(device("a"), lambda root: root["cmps"].get("cell_mv_1") == {"p": "sensor"})
        found = await_retained(broker, lambda found: "cell_mv_1" not in json.loads(found[device("a")])["cmps"], "few")
        check_announcement(device("a"), found[device("a")])
        # Another topic, another layout, another prefix.
        mark = len(listener.seen)
        rewrite(gateway, packs + section(broker, "interval = 1s\npacks = a\ntopic = other/place\n"))
        listener.wait_json(device("a"), lambda root: root["stat_t"] == "other/place/a/state" and "cell_mv_1" in root["cmps"])
        # If it was withdrawn for a moment, Home Assistant would lose its area and names.
        gone = [topic for topic, payload, _ in listener.seen[mark:] if "/device/" in topic and not payload]
        assert not gone, gone
        found = await_retained(broker, lambda found: "other/place/a/status" in found and
                               not any(topic.startswith("packgate/") for topic in found), "topic")
        rewrite(gateway, packs + section(broker, "interval = 1s\npacks = a\ntopic = other/place\ndiscovery = single\n"))
        await_retained(broker, lambda found: device("a") not in found and
                       f"homeassistant/sensor/packgate_{number}_a_voltage_v/config" in found, "single")
        rewrite(gateway, packs + section(broker, "interval = 1s\npacks = a\ntopic = other/place\ndiscovery_prefix = ha\n"))
        found = await_retained(broker, lambda found: f"ha/device/packgate_{number}_a/config" in found and
                               not any(topic.startswith("homeassistant/") for topic in found), "prefix")
        # The section is removed, and leaves nothing behind.
        rewrite(gateway, packs)
        await_retained(broker, lambda found: not found, "section")


def withdraws_in_any_case():
    """The section is removed while its outlet hangs, while another one is about to take its place, or while the
    broker is away; or its name changes suddenly."""
    packs = LINE.format("a", "sim:", 1, "")

    def is_there(found):
        return any(topic.endswith("_a/config") for topic in found) and "packgate/a/info" in found

    kept = "persistence true\nautosave_on_changes true\nautosave_interval 1\npersistence_location {}/\nallow_anonymous true\n"
    with tempfile.TemporaryDirectory(prefix="packgate-broker-") as folder, \
            Broker(kept.format(folder), folder=folder) as broker, Gateway(packs + section(broker)) as gateway:
        await_retained(broker, is_there, "announced")
        os.kill(outlet_pid(gateway, "mqtt"), signal.SIGSTOP)
        rewrite(gateway, packs + section(broker, "interval = 2s\n"))
        rewrite(gateway, packs)
        await_retained(broker, lambda found: not found, "nothing")

        rewrite(gateway, packs + section(broker, name="one"))
        await_retained(broker, is_there, "one")
        os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL)
        gateway.wait_for("outlet mqtt one: ended by signal 9")
        rewrite(gateway, packs)
        await_retained(broker, lambda found: not found, "nothing once more")

        # The new one and the old one have the same topics.
        rewrite(gateway, packs + section(broker, name="one"))
        await_retained(broker, is_there, "one again")
        rewrite(gateway, packs + section(broker, name="other"))
        gateway.wait_for("mqtt one: withdrew a")
        gateway.wait_for("mqtt other: connected")
        await_retained(broker, is_there, "the other one")

        broker.stop()
        gateway.wait_for("mqtt other: broker .*; trying again")
        rewrite(gateway, packs)
        with Broker(kept.format(folder), port=broker.port, folder=folder) as again:
            gateway.wait_for("mqtt other: withdrew a")
            await_retained(again, lambda found: not found, "nothing at all")


NO_PROCESS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
pid_t fork(void)
{
    pid_t (*real)(void) = dlsym(RTLD_NEXT, "fork");
    return access("FOLDER/none", F_OK) == 0 ? -1 : real();
}
"""


def withdraws_although_it_cannot_start_at_first():
    """The outlet has died and its section is removed while the host has no room for a process."""
    packs = LINE.format("a", "sim:", 1, "")
    with tempfile.TemporaryDirectory(prefix="packgate-mqtt-") as folder, Broker() as broker:
        with preloaded(folder, NO_PROCESS.replace("FOLDER", folder)):
            gateway = Gateway(packs + section(broker))
        with gateway:
            await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 2, "announced")
            pid = outlet_pid(gateway, "mqtt")
            with open(f"{folder}/none", "w"):
                os.kill(pid, signal.SIGKILL)
            gateway.wait_for("mqtt home: ended by signal 9")
            rewrite(gateway, packs)
            os.remove(f"{folder}/none")
            await_retained(broker, lambda found: not found, "nothing")


def withdraws_a_section_that_went_meanwhile():
    """It, or one of its packs, is removed while the gateway is not running; the id of the gateway stays the same."""
    packs = LINE.format("a", "sim:", 1, "")
    with tempfile.TemporaryDirectory(prefix="packgate-mqtt-state-") as folder, Broker() as broker:
        state = os.path.join(folder, "state")
        with Gateway(packs + LINE.format("b", "sim:", 2, "") + section(broker), state=state):
            number = identity(await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 3, "announced"))
        with Gateway(packs + section(broker), state=state):
            found = await_retained(broker, lambda found: not any("/b/" in topic or "_b/" in topic for topic in found) and
                                   found.get("packgate/status") == b"online", "b is gone")
            assert identity(found) == number
        with Gateway(packs, state=state) as gateway:
            gateway.wait_for("mqtt home: withdrew a")
            await_retained(broker, lambda found: not found, "nothing")
        # Another name for the same pack: the former one is withdrawn first.
        with Gateway(packs + section(broker), state=state):
            await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 2, "announced")
        with Gateway(packs + section(broker, name="other"), state=state) as gateway:
            gateway.wait_for("mqtt home: withdrew a")
            gateway.wait_for("mqtt other: connected")
            await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 2, "announced again")
        with open(state) as file:
            assert "mqtt home" not in file.read()
        # An address and a topic with characters that have a special meaning in such a file.
        odd = f"[mqtt v6]\nbroker = mqtt://[::ffff:127.0.0.1]:{broker.port}\ntopic = odd/a[1]=b\n"
        with Gateway(packs + odd, state=state):
            await_retained(broker, lambda found: "odd/a[1]=b/a/info" in found, "announced there")
        with Gateway(packs, state=state) as gateway:
            gateway.wait_for("mqtt v6: withdrew a")
            await_retained(broker, lambda found: not found, "nothing again")


def knows_the_pack_after_a_restart():
    """A killed outlet, and one with another configuration, still know the values of a pack."""
    packs = LINE.format("shed", "sim:profile=fixed", 1, "")
    with Broker() as broker, Listener(broker) as listener, Gateway(packs + section(broker)) as gateway:
        info = listener.wait_json("packgate/shed/info", lambda info: "model" in info)
        assert info["protocol"] == "daly" and info["firmware"], info
        gateway.wait_for("mqtt home: connected to")
        for restart in (lambda: os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL),
                        lambda: rewrite(gateway, packs + section(broker, "interval = 2s\n"))):
            before = len(listener.seen)
            restart()
            gateway.wait_for("mqtt home: connected to")
            listener.wait_for("packgate/status", lambda payload: payload == b"offline")
            listener.wait_for("packgate/shed/state")
            told = [json.loads(payload) for topic, payload, _ in listener.seen[before:] if topic == "packgate/shed/info"]
            assert told and told[-1] == info, (told, info)


def remembers_many_packs():
    """More notes than the pipe of an outlet can hold: the outlet starts, and withdraws them all."""
    folder = tempfile.mkdtemp(prefix="packgate-mqtt-state-")
    state = os.path.join(folder, "state")
    pack = LINE.format("a", "sim:", 1, "")
    with Broker() as broker:
        with Gateway(pack + section(broker), state=state):
            await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 2, "announced")
        with open(state) as file:
            text = file.read().split("\n[end]")[0]
        note = next(line for line in text.splitlines() if line.startswith("pack.a = "))
        text += "".join(note.replace("pack.a", f"pack.gone-{n}") + "\n" for n in range(300))
        with open(state, "w") as file:
            file.write(f"{text}\n[end]\nchecksum = {crc16(text.encode()):04x}\n")
        with Gateway(pack + section(broker), state=state) as gateway:
            gateway.wait_for("withdrew gone-299")
    shutil.rmtree(folder)


def has_an_id_without_a_state_file():
    ids = []
    for topic in ("one", "two", "one"):
        with Broker() as broker, Gateway(LINE.format("a", "sim:", 1, "") + section(broker, f"interval = 1s\ntopic = {topic}\n"),
                                         state="none") as gateway:
            gateway.wait_for("cannot be withdrawn later")
            ids.append(identity(await_retained(broker, lambda found: len([t for t in found if "/device/" in t]) == 2, "both")))
    assert ids[0] != ids[1], ids
    if os.path.exists("/etc/machine-id"):
        assert ids[0] == ids[2], ids


def survives_the_broker():
    server, url = simulate("daly", SIMULATED)
    with server, Gateway(PATIENT.format("shed", url, 1, "") + section(1, "interval = 1s on_change\n")) as gateway, \
            gateway.client() as client:
        gateway.wait_for("mqtt home: broker .*Connection refused|mqtt home: broker .*refused")
        gateway.wait_published("shed")
        broker = Broker()
        text = PATIENT.format("shed", url, 1, "") + section(broker)
        rewrite(gateway, text)
        gateway.wait_for("mqtt home: connected to")
        with broker, Listener(broker) as listener:
            listener.wait_for("packgate/shed/state")
            # It is stopped: everything else continues.
            polls = read_value(client, "polls", 1)
            broker.process.send_signal(signal.SIGSTOP)
            await_value(client, "polls", 1, lambda now: now >= polls + 20)
            broker.process.send_signal(signal.SIGCONT)
            listener.wait_for("packgate/shed/state")


def old_ones(listener, since, limit_s):
    """The states that were older than this when they arrived. `time` has whole seconds."""
    return [(came - json.loads(payload)["time"], topic) for came, topic, payload in listener.came[since:]
            if topic.endswith("/state") and came - json.loads(payload)["time"] > limit_s + 1]


def sends_nothing_old_after_a_stall():
    """A broker or a network that stalls gets no values that it would later pass on as new ones: at most the one of
    each pack that was being sent when it stalled."""
    text = "".join(LINE.format(name, f"sim:{SIMULATED}", unit, "") for name, unit in (("a", 1), ("b", 2), ("c", 3)))
    with Broker() as broker, Proxy(broker) as proxy, Gateway(
            text + section(broker, "interval = 1s on_change\ntopic = straight\ndiscovery = off\n", name="straight") +
            section(proxy, "interval = 1s on_change\ntopic = round\ndiscovery = off\n", name="round")) as gateway, \
            Listener(broker) as listener:
        for place in "straight", "round":
            for name in "a", "b", "c":
                listener.wait_for(f"{place}/{name}/state")
        # Shorter and longer than the outlet waits for an answer.
        for seconds in 5, 14:
            for stop, go_on in ((lambda: broker.process.send_signal(signal.SIGSTOP),
                                 lambda: broker.process.send_signal(signal.SIGCONT)), (proxy.flows.clear, proxy.flows.set)):
                before, stalled = len(listener.came), time.time()
                stop()
                time.sleep(seconds)
                if stop == proxy.flows.clear:
                    # The stall of one broker is not one of the other: this would last as long as an outlet waits for an answer.
                    flow = until(lambda: [came for came, topic, _ in listener.came[before:] if topic == "straight/a/state"],
                                 lambda flow: len(flow) >= seconds - 2)
                    assert all(later - earlier < 8 for earlier, later in itertools.pairwise([stalled, *flow])), (stalled, flow)
                go_on()
                for place in "straight", "round":
                    for name in "a", "b", "c":
                        listener.wait_json(f"{place}/{name}/state", lambda state: abs(state["time"] - time.time()) < 2)
                old = old_ones(listener, before, seconds / 2)
                assert len(old) <= 6 and len(set(topic for _, topic in old)) == len(old), old
        # One line for each change of state, however often it shows.
        gateway.stop()
        for place in "straight", "round":
            said = [re.sub(r"\d+", "N", line) for line in gateway.lines if f"mqtt {place}: " in line]
            assert len(said) > 5 and not any(line == after for line, after in itertools.pairwise(said)), said


def liars_end_in_a_line_of_the_log():
    talks = {"garbage": lambda connection: connection.sendall(os.urandom(4096)),
             "hangs up": lambda connection: connection.close(),
             "refuses": lambda connection: connection.sendall(bytes.fromhex("20020005")),
             "says what only clients say": lambda connection: connection.sendall(CONNACK + bytes.fromhex("e000")),
             "huge": huge, "flood": flood}
    for name, talk in talks.items():
        server, url = simulate("daly", SIMULATED)
        with Liar(talk) as liar, server, Gateway(PATIENT.format("shed", url, 1, "") + section(liar)) as gateway, \
                gateway.client() as client:
            if name == "refuses":
                gateway.wait_for("mqtt home: broker .* login refused .*; trying again")
            elif "clients" in name:
                gateway.wait_for("mqtt home: broker .*: its data is not MQTT; trying again")
            elif name not in ("huge", "flood"):
                gateway.wait_for(r"mqtt home: broker .*; trying again")
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda now: now >= polls + 20)
            said = [line for line in gateway.lines if "trying again" in line]
            assert len(said) <= 2, said


def a_black_hole_has_a_deadline():
    server, url = simulate("daly", SIMULATED)
    with Liar(lambda connection: connection.recv(1)) as liar, server, \
            Gateway(LINE.format("shed", url, 1, "") + section(liar)) as gateway:
        gateway.wait_for("mqtt home: broker .* did not answer within 15 s; trying again")


def nobody_there_for_an_encrypted_connection():
    """Reported at once, not after the deadline, until which the outlet would keep a processor busy."""
    def reset(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Standin(reset) as standin, \
            Gateway(LINE.format("shed", "sim:", 1, "") + section(standin, scheme="mqtts")) as gateway:
        gateway.wait_for("mqtt home: broker .*its port may be one for mqtt://.*; trying again")
        port = standin.port
        standin.close()
        rewrite(gateway, LINE.format("shed", "sim:", 1, "") + section(port, "topic = other\n", scheme="mqtts"))
        gateway.wait_for("mqtt home: broker .* refused.*; trying again")


def encrypts_and_checks():
    folder = tempfile.mkdtemp(prefix="packgate-tls-")
    make_certificates(folder)
    os.chmod(folder, 0o755)
    files = f"cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
    with Broker("allow_anonymous true\n" + files) as broker, Listener(broker, ca_certs=f"{folder}/ca.pem") as listener:
        with Gateway(LINE.format("shed", "sim:", 1, "") +
                     section(broker, f"interval = 1s\nca_file = {folder}/ca.pem\n", scheme="mqtts")):
            listener.wait_for("packgate/shed/state")
        # Another CA, that of the system, and another host name.
        for line, host, said in ((f"ca_file = {folder}/other.pem\n", "127.0.0.1", "is not from the authority in ca_file"),
                                 ("", "127.0.0.1", "is from an authority that this host does not know: set ca_file"),
                                 (f"ca_file = {folder}/ca.pem\n", "localhost", "is for another name: use a name that is in")):
            with Gateway(LINE.format("shed", "sim:", 1, "") +
                         section(broker, line, scheme="mqtts").replace("127.0.0.1", host)) as gateway:
                gateway.wait_for(f"mqtt home: broker .*: its certificate {said}.*; trying again")
        # A port of the other kind.
        with Gateway(LINE.format("shed", "sim:", 1, "") + section(broker)) as gateway:
            gateway.wait_for("mqtt home: broker .*: if its port is for encrypted connections, write mqtts://; trying again")
        with Broker() as plain, Gateway(LINE.format("shed", "sim:", 1, "") + section(plain, scheme="mqtts")) as gateway:
            gateway.wait_for("mqtt home: broker .*: its port may be one for mqtt://.*; trying again")
        with Gateway(LINE.format("shed", "sim:", 1, "") +
                     section(broker, f"interval = 1s\nca_file = any\n", scheme="mqtts")) as gateway:
            gateway.wait_for("ca_file = any: the broker's certificate is not verified")
            listener.wait_for("packgate/shed/state")
    with Broker("allow_anonymous true\nrequire_certificate true\n" + files) as broker:
        with Gateway(LINE.format("shed", "sim:", 1, "") + section(
                broker, f"ca_file = {folder}/ca.pem\nclient_cert = {folder}/client.pem, {folder}/client.key\n",
                scheme="mqtts")) as gateway:
            gateway.wait_for("mqtt home: connected to mqtts://")
        with Gateway(LINE.format("shed", "sim:", 1, "") +
                     section(broker, f"ca_file = {folder}/ca.pem\n", scheme="mqtts")) as gateway:
            gateway.wait_for("mqtt home: broker .*: .*it may require client_cert; trying again")
    shutil.rmtree(folder)


def logs_in():
    with tempfile.TemporaryDirectory(prefix="packgate-login-") as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["mosquitto_passwd", "-b", "-c", f"{folder}/users", "packgate", "secret word"], check=True)
        os.chmod(f"{folder}/users", 0o644)
        for name, word in (("right", "secret word\nsecond line\n"), ("wrong", "something\n"), ("empty", "")):
            with open(f"{folder}/{name}", "w") as file:
                file.write(word)
            os.chmod(f"{folder}/{name}", 0o600)
        with Broker(f"allow_anonymous false\npassword_file {folder}/users\n") as broker:
            def run(name):
                return Gateway(LINE.format("shed", "sim:", 1, "") +
                               section(broker, f"user = packgate\npassword_file = {folder}/{name}\n"))

            with run("right") as gateway:
                gateway.wait_for("mqtt home: connected to")
                assert not any("can be read by everybody" in line for line in gateway.lines)
            with run("wrong") as gateway:
                gateway.wait_for("login refused .*; trying again")
            with run("missing") as gateway:
                gateway.wait_for("password_file cannot be read: No such file")
            with run("empty") as gateway:
                gateway.wait_for("password_file is empty")
            os.chmod(f"{folder}/right", 0o644)
            with run("right") as gateway:
                gateway.wait_for("right can be read by everybody on this host")
                gateway.wait_for("mqtt home: connected to")
                assert not any("secret" in line for line in gateway.lines)


def speaks_like_the_extractor():
    server, url = simulate("daly", SIMULATED)
    # An order to a pack that is stale for a moment, as on a busy machine, is not executed.
    text = LINE.format("shed", url, 1, "writable = yes").replace("stale_after = 60s", "stale_after = 8s")
    for layout in ("smartbms-bat", "smartbms-b", "smartbms-flat"):
        more = f"topic = SmartBMS-1\ninterval = 1s\nlayout = {layout}\nswitching = yes\n"
        with Broker() as broker, Listener(broker) as listener, Gateway(text + section(broker, more)) as gateway:
            status = listener.wait_json("SmartBMS-1", lambda found: found.get("Status") == 1)
            assert list(status) == ["Status", "ts", "cnt", "mem"], status
            if layout == "smartbms-flat":
                assert listener.wait_for("SmartBMS-1/BATT").startswith(b"8;")
                assert listener.wait_for("SmartBMS-1/SOC") == b"77"
                assert listener.wait_for("SmartBMS-1/PMVOLT") == b"26.10"
            else:
                extremes = listener.wait_json("SmartBMS-1", lambda found: "MIC" in found and "RCP" in found)
                assert list(extremes) == ["SCM", "MIC", "MAC", "RCP"], extremes
                values = listener.wait_json("SmartBMS-1", lambda found: "SOC" in found)
                cells = ["bat"] if layout == "smartbms-bat" else [f"b{n}" for n in range(8)]
                assert list(values) == cells + ["SOC", "PWT", "PMV", "PMA", "PDV", "AMV", "TMP", "ALM", "ALMF", "DMS", "CMS"]
                assert values["PMV"] == "26.10" and values["CMS"] == 1
            listener.publish("SmartBMS-1/CMS", "0")
            gateway.wait_for("mqtt home orders charge off: confirmed")
            listener.publish("SmartBMS-1/CMS", "1")
            gateway.wait_for("mqtt home orders charge on: confirmed")
            assert retained(broker) == {}
            server.process.send_signal(signal.SIGSTOP)
            # On a busy machine it may have been stale before, and fresh again for a moment.
            for _ in range(3):
                listener.wait_json("SmartBMS-1", lambda found: found.get("Status") == 0)
            ours = [payload for topic, payload, _ in listener.seen if topic not in ("SmartBMS-1/CMS", "packgate-test/end")]
            silent = [n for n, payload in enumerate(ours) if b'"Status":0' in payload]
            assert all(b"Status" in ours[n + 1] for n in silent if n + 1 < len(ours)), ours
            server.process.send_signal(signal.SIGCONT)
            listener.wait_json("SmartBMS-1", lambda found: found.get("Status") == 1)
            os.kill(outlet_pid(gateway, "mqtt"), signal.SIGKILL)
            listener.wait_json("SmartBMS-1", lambda found: found.get("Status") == 0)
    server.stop()


VENUS_LIMITS = """
[limits shed]
charge_current = 6
discharge_current = 4
cells = 8
sensors = 1
cell_full = 3.45
cell_float = 3.375, 90
cell_high = 3.375:1, 3.50:0
cell_low = 2.80:0, 3.19:1
temperature = -20:0, 0:1, 40:1, 55:0
"""


def is_the_battery_of_a_gx():
    """With a reader of its own: none of its values may look fresh when the pack is silent or packgate has ended."""
    server, url = simulate("daly", SIMULATED)
    packs = LINE.format("shed", url, 1, "").replace("stale_after = 60s", "stale_after = 4s") + VENUS_LIMITS
    battery = Battery()

    def feed(listener, wanted):
        """The battery after the next message for which `wanted` is true."""
        while True:
            battery.take(listener.wait_for("gx/house"))
            if wanted(battery.values):
                return battery.values

    def check_over(values):
        assert (values["Info/MaxChargeCurrent"], values["Info/MaxDischargeCurrent"], values["Alarms/BmsCable"]) == (0, 0, 2), values
        assert (values["Io/AllowToCharge"], values["Io/AllowToDischarge"]) == (0, 0), values
        known = {path for path, value in values.items() if value is not None}
        assert known == {*NEEDED, "Info/MaxChargeCurrent", "Info/MaxDischargeCurrent", "Alarms/BmsCable", "Io/AllowToCharge",
                         "Io/AllowToDischarge", "System/NrOfModulesOnline", "System/NrOfModulesOffline"}, known

    with server, Broker() as broker, Listener(broker) as listener, \
            Gateway(packs + section(broker, "topic = gx/house\ninterval = 1s\nlayout = venus\n")) as gateway:
        values = feed(listener, lambda values: values["Info/ChargeLimitation"] == "ramp")
        assert (values["Info/MaxChargeCurrent"], values["Io/AllowToCharge"]) == (0, 0), values
        values = feed(listener, lambda values: values["Info/MaxChargeCurrent"] == 6)
        assert (values["Dc/0/Voltage"], values["Soc"], values["Io/AllowToCharge"], bool(values["Alarms/BmsCable"])) == (26.1, 77, 1, False), values
        assert 27 <= values["Info/MaxChargeVoltage"] <= 27.6 and values["System/NrOfCellsPerBattery"] == 8, values
        assert 3.2 < values["Voltages/Cell8"] < 3.4 and values["Voltages/Cell9"] is None, values
        assert (values["System/NrOfModulesBlockingCharge"], values["System/NrOfModulesBlockingDischarge"]) == (0, 0), values
        assert values["System/MaxVoltageCellId"].startswith("C") and values["Alarms/LowSoc"] == 0, values
        assert retained(broker) == {}
        server.process.send_signal(signal.SIGSTOP)
        check_over(feed(listener, lambda values: values["Alarms/BmsCable"] == 2))
        server.process.send_signal(signal.SIGCONT)
        # Only once: the reader drops its battery when nothing arrives.
        assert not feed(listener, lambda values: True)["Alarms/BmsCable"]
        gateway.stop()
        check_over(feed(listener, lambda values: values["Alarms/BmsCable"] == 2))
        assert retained(broker) == {}


main([sends_nothing_old_after_a_stall, liars_end_in_a_line_of_the_log, home_assistant_understands_all, home_assistant_would_not_take_less,
      tells_an_alarm_once_and_for_sure, a_black_hole_has_a_deadline, says_who_is_there, is_the_battery_of_a_gx, speaks_like_the_extractor,
      publishes_what_is_documented, two_sections_are_one_gateway, single_messages_for_others, switches_and_answers,
      subscribes_to_no_orders_without_switching, tells_alarms, answers_birth, no_word_of_it_outlives_the_gateway, two_gateways_with_one_topic, withdraws_what_is_gone,
      withdraws_in_any_case, withdraws_although_it_cannot_start_at_first, withdraws_a_section_that_went_meanwhile, knows_the_pack_after_a_restart, remembers_many_packs, has_an_id_without_a_state_file,
      survives_the_broker, encrypts_and_checks, nobody_there_for_an_encrypted_connection, logs_in], at_once=6)
