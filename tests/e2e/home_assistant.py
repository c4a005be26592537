# SPDX-License-Identifier: MIT
"""What Home Assistant takes of an announcement by MQTT, and what it makes of a state. The rules are facts of its source
(github.com/home-assistant/core), looked up in these places:

    homeassistant/components/mqtt/discovery.py      0f5c1b547043  topics, abbreviations, components, what the root passes on
    homeassistant/components/mqtt/schemas.py        0f5c1b547043  keys of root, device, origin, availability
    homeassistant/components/mqtt/config.py         459c79f295fd  state_topic, command_topic
    homeassistant/components/mqtt/sensor.py         of 2025       keys, units by class, "None", empty states
    homeassistant/components/mqtt/binary_sensor.py  00ffd2c46be9  keys, payloads, "None"
    homeassistant/components/mqtt/event.py          of 2025       keys; a message is an object with one of the event types
    homeassistant/components/mqtt/switch.py         00d158637e0e  keys; without a state topic it is optimistic
    homeassistant/components/mqtt/entity.py         00cb367fbfdf  availability
    homeassistant/components/sensor/const.py        00eb6680fbf6  units and state classes by device class (end of 2025)
    homeassistant/components/binary_sensor/__init__.py  027590d94dd8  device classes

0f5c1b547043 is of the autumn of 2024, when device discovery came: the strictest. A key that is not known makes it reject a
whole announcement in the root, in the device and in the origin; in a component it is passed over. Here it is a mistake there,
too: it would say nothing."""

import functools
import json
import re
import urllib.parse

import jinja2
import jinja2.sandbox

# The part of a topic after the prefix that identifies an announcement.
TOPIC = re.compile(r"[^/]+/(?P<platform>\w+)/(?:(?P<node>[a-zA-Z0-9_-]+)/)?(?P<object>[a-zA-Z0-9_-]+)/config")

# The keys that we use; unabbreviated ones are accepted, too.
ABBREVIATIONS = {
    "dev": "device", "o": "origin", "cmps": "components", "p": "platform", "stat_t": "state_topic", "cmd_t": "command_topic",
    "avty": "availability", "avty_mode": "availability_mode", "avty_t": "availability_topic", "t": "topic",
    "pl_avail": "payload_available", "pl_not_avail": "payload_not_available", "uniq_id": "unique_id",
    "def_ent_id": "default_entity_id", "dev_cla": "device_class", "stat_cla": "state_class",
    "unit_of_meas": "unit_of_measurement", "sug_dsp_prc": "suggested_display_precision", "ent_cat": "entity_category",
    "en": "enabled_by_default", "exp_aft": "expire_after", "val_tpl": "value_template", "pl_on": "payload_on",
    "pl_off": "payload_off", "stat_on": "state_on", "stat_off": "state_off", "opt": "optimistic", "ret": "retain",
    "evt_typ": "event_types",
}
DEVICE_ABBREVIATIONS = {
    "ids": "identifiers", "cns": "connections", "mf": "manufacturer", "mdl": "model", "mdl_id": "model_id", "hw": "hw_version",
    "sw": "sw_version", "sa": "suggested_area", "sn": "serial_number", "cu": "configuration_url",
}
ORIGIN_ABBREVIATIONS = {"sw": "sw_version", "url": "support_url"}

AVAILABILITY = {"availability", "availability_mode", "availability_topic", "availability_template", "payload_available",
                "payload_not_available"}
ROOT = AVAILABILITY | {"device", "origin", "components", "state_topic", "command_topic", "qos", "encoding"}
DEVICE = {"identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number", "sw_version",
          "via_device", "suggested_area", "configuration_url"}
ORIGIN = {"name", "sw_version", "support_url"}
ONE_AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
# Keys of the root that apply to all components without their own.
SHARED = AVAILABILITY | {"state_topic", "command_topic"}

COMMON = AVAILABILITY | {"platform", "device", "origin", "enabled_by_default", "entity_category", "icon", "json_attributes_topic",
                         "json_attributes_template", "default_entity_id", "unique_id", "name", "device_class", "qos", "encoding",
                         "state_topic", "value_template"}
COMPONENT = {
    "sensor": COMMON | {"state_class", "unit_of_measurement", "suggested_display_precision", "expire_after", "force_update",
                        "options", "last_reset_value_template"},
    "binary_sensor": COMMON | {"payload_on", "payload_off", "expire_after", "force_update", "off_delay"},
    "event": COMMON | {"event_types"},
    "switch": COMMON | {"payload_on", "payload_off", "state_on", "state_off", "command_topic", "command_template", "optimistic",
                        "retain"},
}
REQUIRED = {"sensor": {"state_topic"}, "binary_sensor": {"state_topic"}, "switch": {"command_topic"},
            "event": {"state_topic", "event_types"}}

MEASUREMENT, TOTAL, INCREASING = "measurement", "total", "total_increasing"
ENERGY = {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal"}
# Device classes of a battery: (units, state classes).
SENSOR_CLASSES = {
    "apparent_power": ({"VA"}, {MEASUREMENT}),
    "battery": ({"%"}, {MEASUREMENT}),
    "current": ({"mA", "A"}, {MEASUREMENT}),
    "duration": ({"d", "h", "min", "s", "ms"}, {MEASUREMENT, TOTAL, INCREASING}),
    "energy": (ENERGY, {TOTAL, INCREASING}),
    "energy_storage": (ENERGY, {MEASUREMENT}),
    "frequency": ({"Hz", "kHz", "MHz", "GHz"}, {MEASUREMENT}),
    "humidity": ({"%"}, {MEASUREMENT}),
    "power": ({"W", "kW", "MW", "GW", "TW"}, {MEASUREMENT}),
    "power_factor": ({"%", None}, {MEASUREMENT}),
    "signal_strength": ({"dB", "dBm"}, {MEASUREMENT}),
    "temperature": ({"°C", "°F", "K"}, {MEASUREMENT}),
    "voltage": ({"mV", "V", "kV", "MV"}, {MEASUREMENT}),
    # These have neither unit nor state class; a state of another form is an error.
    "timestamp": ({None}, set()),
    "enum": ({None}, set()),
}
BINARY_CLASSES = set("""battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture
    motion moving occupancy opening plug power presence problem running safety smoke sound tamper update vibration
    window""".split())
SWITCH_CLASSES = {"outlet", "switch"}
STATE_CLASSES = {MEASUREMENT, "measurement_angle", TOTAL, INCREASING}


def spelled_out(config, abbreviations=ABBREVIATIONS):
    return {abbreviations.get(name, name): value for name, value in config.items()}


def check_keys(config, known, where):
    assert not set(config) - known, (where, set(config) - known)


def check_topic(topic):
    """A topic that can be published to: only such topics occur here."""
    assert isinstance(topic, str) and 0 < len(topic.encode()) < 65536 and not set(topic) & set("+#\0"), topic


def check_url(url):
    found = urllib.parse.urlparse(url)
    assert found.scheme in ("http", "https", "homeassistant") and found.netloc, url


def check_availability(config):
    assert config.get("availability_mode", "latest") in ("all", "any", "latest"), config
    assert not {"availability", "availability_topic"} <= set(config), "one of both"
    for one in config.get("availability", []):
        one = spelled_out(one)
        check_keys(one, ONE_AVAILABILITY, "availability")
        check_topic(one["topic"])


def check_device(device):
    device = spelled_out(device, DEVICE_ABBREVIATIONS)
    check_keys(device, DEVICE, "device")
    assert device.get("identifiers") or device.get("connections"), device
    assert all(isinstance(one, str) for one in device.get("identifiers", [])), device
    texts = {name: value for name, value in device.items() if name not in ("identifiers", "connections")}
    assert all(isinstance(value, str) and value for value in texts.values()), texts
    if "configuration_url" in device:
        check_url(device["configuration_url"])
    return device


def check_origin(origin):
    origin = spelled_out(origin, ORIGIN_ABBREVIATIONS)
    check_keys(origin, ORIGIN, "origin")
    assert isinstance(origin["name"], str) and origin["name"], origin
    if "support_url" in origin:
        check_url(origin["support_url"])


def check_sensor(config):
    kind, unit, state_class = (config.get(name) for name in ("device_class", "unit_of_measurement", "state_class"))
    assert unit is None or unit.strip() == unit and unit, config
    assert state_class is None or state_class in STATE_CLASSES, config
    if kind is not None:
        units, state_classes = SENSOR_CLASSES[kind]
        assert unit in units, config
        assert state_class is None or state_class in state_classes, config
    assert "options" not in config and "last_reset_value_template" not in config, "see mqtt/sensor.py"


def check_switch(config):
    assert config.get("device_class") in SWITCH_CLASSES | {None}, config
    # Without a state topic it would show the ordered state as the real one.
    assert config["state_topic"] and not config.get("optimistic", False) and not config.get("retain", False), config


def check_entity(config, platform):
    """A component with everything that the root adds, unabbreviated."""
    check_keys(config, COMPONENT[platform], platform)
    assert REQUIRED[platform] <= set(config), (REQUIRED[platform], config)
    # A device requires an id: without it neither name nor history is kept.
    assert isinstance(config["unique_id"], str) and 0 < len(config["unique_id"]) < 256, config
    assert isinstance(config["name"], str) and config["name"], config
    domain, _, entity = config["default_entity_id"].partition(".")
    assert domain == platform and re.fullmatch("[a-z0-9](?:[a-z0-9_]*[a-z0-9])?", entity) and "__" not in entity, config
    for name in {"state_topic", "command_topic"} & set(config):
        check_topic(config[name])
    assert config.get("qos", 0) in (0, 1, 2) and config.get("entity_category") in (None, "diagnostic"), config
    for name in "expire_after", "suggested_display_precision":
        number = config.get(name, 1)
        assert isinstance(number, int) and not isinstance(number, bool) and number >= 0, config
    for name in "enabled_by_default", "optimistic", "retain":
        assert isinstance(config.get(name, False), bool), config
    for name in "payload_on", "payload_off", "state_on", "state_off", "value_template":
        assert isinstance(config.get(name, ""), str), config
    check_availability(config)
    if platform == "sensor":
        check_sensor(config)
    elif platform == "event":
        types = config["event_types"]
        assert types and all(isinstance(kind, str) and kind for kind in types) and len(set(types)) == len(types), config
        assert config.get("device_class") in {"button", "doorbell", "motion", None}, config
    elif platform == "binary_sensor":
        assert config.get("device_class") in BINARY_CLASSES | {None}, config
    else:
        check_switch(config)


def check_announcement(topic, payload):
    """The components of an announcement as {key: unabbreviated config}, those of the single form under the key None;
    raises an exception if Home Assistant would reject it. Removed components have {}."""
    found = TOPIC.fullmatch(topic)
    assert found, topic
    root = spelled_out(json.loads(payload))
    check_device(root["device"])
    if "origin" in root:
        check_origin(root["origin"])
    if found["platform"] != "device":
        check_entity(root, found["platform"])
        return {None: root | {"platform": found["platform"]}}
    check_keys(root, ROOT, "root")
    assert "origin" in root, "an announcement of a device has to say where it comes from"
    assert root.get("qos", 0) in (0, 1, 2), root
    check_availability(root)
    components = {}
    for key, component in root["components"].items():
        config = spelled_out(component)
        platform = config.pop("platform")
        assert platform in COMPONENT, (key, platform)
        components[key] = {}
        if config:
            components[key] = {"platform": platform} | {name: root[name] for name in SHARED & set(root)} | config
            if platform != "switch":
                components[key].pop("command_topic", None)
            check_entity(components[key], platform)
    ids = [config["unique_id"] for config in components.values() if config]
    assert components and len(ids) == len(set(ids)), ids
    return components


@functools.cache
def compiled(template):
    return jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.Undefined).from_string(template)


def render(template, payload):
    """Renders a value template; text that looks like JSON is available as value_json."""
    text = payload.decode()
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return compiled(template).render(value=text, value_json=value).strip()


def state_of(config, payload, before=None):
    """The state of an entity after a message: a number or a text, True or False; None: unknown. For an event its
    type."""
    text = render(config["value_template"], payload) if "value_template" in config else payload.decode()
    if config["platform"] == "event":
        kind = json.loads(text)["event_type"]
        return kind if kind in config["event_types"] else before
    if text == "None":
        return None
    if config["platform"] == "sensor":
        numeric = any(config.get(name) for name in ("state_class", "unit_of_measurement", "device_class")) or \
            "suggested_display_precision" in config
        return before if numeric and not text else float(text) if numeric else text
    on = config.get("state_on") if config["platform"] == "switch" else None
    off = config.get("state_off") if config["platform"] == "switch" else None
    states = {on or config.get("payload_on", "ON"): True, off or config.get("payload_off", "OFF"): False}
    return states.get(text, before)


def is_available(config, retained):
    """The retained messages of the broker: {topic: payload}."""
    wanted = config.get("availability") or [{"topic": config[name]} for name in ["availability_topic"] if name in config]
    words = [retained.get(spelled_out(one)["topic"]) == one.get("payload_available", "online").encode() for one in wanted]
    return {"all": all, "any": any, "latest": any}[config.get("availability_mode", "latest")](words) if words else True
