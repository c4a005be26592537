# SPDX-License-Identifier: MIT
# tests/run: 95 s
"""The app for Home Assistant: its folder by the rules of the Supervisor, its start with a Supervisor of our own, a
broker with a password, and the page behind nginx as the ingress would request it."""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import traceback
import urllib.parse
import urllib.request

import yaml

from harness import PACKGATE, PATIENCE, Program, free_port, main, simulate, until
from http_standin import HttpStandin
from mqtt_harness import Broker, Listener, await_retained

APP = "packaging/home-assistant"
TOKEN, USER, PASSWORD = "token-of-the-app", "addons", "correct horse"
INGRESS = "/api/hassio_ingress/Zm9vYmFy"


def read_yaml(*path):
    with open(os.path.join(APP, *path), encoding="utf-8") as file:
        return yaml.load(file, yaml.CSafeLoader)


# ---- the folder ----

# The keys of the Supervisor (2026.08) that the app uses, and their types. The Supervisor silently drops unknown keys,
# so a typing error would go unnoticed.
def is_text(value):
    return isinstance(value, str) and value != ""


ELEMENT = re.compile(r"(bool|email|url|port|device(\(subsystem=[a-z]+\))?|(str|password|int|float)(\(.*,.*\))?|match\(.*\)|list\(.+\))\??")

def is_schema(element):
    """An element, a list of one element or of one dictionary, or a dictionary of them."""
    if isinstance(element, dict):
        return all(is_schema(one) for one in element.values())
    if isinstance(element, list):
        return len(element) == 1 and not isinstance(element[0], list) and is_schema(element[0])
    return ELEMENT.fullmatch(element)


def check_options(schema, options):
    """Validates as the Supervisor does before it starts an app; device elements are of a host with every device."""
    assert not set(options) - set(schema), set(options) - set(schema)
    for name, element in schema.items():
        if name not in options:  # a list of dictionaries cannot be omitted
            assert isinstance(element, str) and element.endswith("?"), f"Missing option '{name}'"
            continue
        value = options[name]
        if isinstance(element, list):
            assert isinstance(value, list), name
            for one in value:
                check_options(element[0], one)
        elif element.startswith("match("):
            assert re.match(re.fullmatch(r"match\((.*)\)\??", element)[1], value), (name, value)
        elif element.startswith("list("):
            assert value in re.fullmatch(r"list\((.*)\)\??", element)[1].split("|"), (name, value)
        elif element.startswith("int("):
            low, high = map(int, re.fullmatch(r"int\((.*),(.*)\)\??", element).groups())
            assert isinstance(value, int) and low <= value <= high, (name, value)
        elif element.startswith("bool"):
            assert isinstance(value, bool), (name, value)
        else:
            assert element.startswith("device") and isinstance(value, str), (name, element)


RULES = {
    "name": is_text, "description": is_text,
    "version": lambda value: re.fullmatch(r"\d+\.\d+\.\d+", value),
    "slug": lambda value: re.fullmatch(r"[-_.A-Za-z0-9]+", value),
    "arch": lambda value: set(value) <= {"aarch64", "amd64"} and value,
    "startup": lambda value: value in ("initialize", "system", "services", "application", "once"),
    "boot": lambda value: value in ("auto", "manual", "manual_only"),
    "ingress": lambda value: value is True, "uart": lambda value: value is True,
    "ingress_port": lambda value: 1 <= value <= 65535,
    "panel_icon": lambda value: re.fullmatch(r"mdi:[a-z0-9-]+", value), "panel_title": is_text,
    "ports": lambda value: all(re.fullmatch(r"\d+(/tcp|/udp)?", name) and 1 <= port <= 65535 for name, port in value.items()),
    "services": lambda value: all(re.fullmatch("(mqtt|mysql):(provide|want|need)", name) for name in value),
    "map": lambda value: all(set(entry) == {"type", "read_only", "path"} and entry["type"] in ("data", "app_config", "ssl", "share")
                             and isinstance(entry["read_only"], bool) for entry in value),
    "options": lambda value: isinstance(value, dict),
    "schema": lambda value: is_schema(value),
    "url": lambda value: re.fullmatch(r"https://[^ ]+", value),
    "image": lambda value: re.fullmatch(r"[a-z0-9.-]+(/[a-z0-9._-]+)+", value),
}
REQUIRED = {"name", "version", "slug", "description", "arch"}
# The defaults of keys; the linter of apps reports keys that repeat their default.
PRESETS = {"startup": "application", "boot": "auto", "ingress_port": 8099, "ingress": False, "uart": False}


def folder_is_as_the_supervisor_wants_it():
    config = read_yaml("config.yaml")
    assert REQUIRED <= set(config) <= set(RULES), set(config) ^ set(RULES)
    wrong = [key for key, value in config.items() if not RULES[key](value)]
    assert not wrong, wrong
    needless = [key for key, value in PRESETS.items() if config.get(key) == value]
    assert not needless, needless
    with open(f"{APP}/start", encoding="utf-8") as file:
        assert f"0.0.0.0:{config.get('ingress_port', PRESETS['ingress_port'])}}}" in file.read()
    version = subprocess.run([PACKGATE, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    assert config["version"] == version
    # It starts without any option, and accepts the examples of its documentation.
    check_options(config["schema"], config["options"])
    check_options(config["schema"], {"packs": [PACK | {"server": "tcp://192.0.2.49:6126", "address": 3, "switching": True},
                                               {"name": "b", "protocol": "jk-pb", "adapter": "/dev/serial/by-id/usb-x"}], "search": True})
    protocols = re.fullmatch(r"list\((.*)\)", config["schema"]["packs"][0]["protocol"])[1].split("|")
    known = json.loads(subprocess.run([PACKGATE, "protocols", "--format", "json"], stdout=subprocess.PIPE, check=True).stdout)
    assert protocols == ["auto", *(one["name"] for one in known if not one["wants_map"] and not one["advertises"])]
    # Its paths are those of the program.
    assert {(entry["type"], entry["path"]) for entry in config["map"]} == {("app_config", "/etc/packgate"), ("data", "/var/lib/packgate")}
    assert not [name for name in ("build.yaml", "build.json") if os.path.exists(f"{APP}/{name}")], "deprecated"


def everything_has_a_word_in_each_language():
    config = read_yaml("config.yaml")
    for language in ("en", "de", "es", "fr", "it", "nl", "pl"):
        text = read_yaml("translations", f"{language}.yaml")
        assert set(text) == {"configuration", "network"}
        packs = text["configuration"]["packs"].pop("fields")
        for words, schema in ((text["configuration"], config["schema"]), (packs, config["schema"]["packs"][0])):
            assert set(words) == set(schema), language
            assert all(set(entry) == {"name", "description"} and all(map(is_text, entry.values())) for entry in words.values())
        assert set(text["network"]) == set(config["ports"]), language
    for name, size in {"icon.png": (128, 128), "logo.png": (250, 100)}.items():
        with open(f"{APP}/{name}", "rb") as file:
            head = file.read(24)
        assert head[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", head[16:]) == size, name
    with open(f"{APP}/DOCS.md", encoding="utf-8") as file:
        docs = file.read()
    words = read_yaml("translations", "en.yaml")["configuration"]
    missing = [text["name"] for text in [*words.values(), *words["packs"]["fields"].values()] if text["name"] not in docs]
    assert not missing, missing


def store_has_the_app_and_its_image():
    """The store that users add to Home Assistant by its address: the folder without the files for building an image,
    and with the address of the image."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["make", "--no-print-directory", "home-assistant-store", f"PACKED={folder}",
                               "STORE=https://forge.example.net/somebody/packgate", "STORE_IMAGE=registry.example.net/somebody/packgate-home-assistant"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=PATIENCE)
        store = f"{folder}/home-assistant-store"
        assert made.returncode == 0 and made.stdout.decode().splitlines()[-1] == store, made.stdout
        with open(f"{store}/repository.yaml", encoding="utf-8") as file:
            repository = yaml.load(file, yaml.CSafeLoader)
        assert set(repository) == {"name", "url", "maintainer"} and all(map(is_text, repository.values()))
        assert repository["url"] == "https://forge.example.net/somebody/packgate"
        with open(f"{store}/packgate/config.yaml", encoding="utf-8") as file:
            config = yaml.load(file, yaml.CSafeLoader)
        assert config == read_yaml("config.yaml") | {"image": "registry.example.net/somebody/packgate-home-assistant", "url": repository["url"]}
        assert all(RULES[key](value) for key, value in config.items())
        assert set(os.listdir(f"{store}/packgate")) == {"config.yaml", "CHANGELOG.md", "DOCS.md", "README.md", "icon.png", "logo.png", "translations"}


def archive_has_packages_of_both():
    """In the words of make: the packages of another architecture are not built for a test."""
    said = subprocess.run(["make", "--no-print-directory", "--dry-run", "home-assistant"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=True, timeout=PATIENCE).stdout.decode()
    assert "packaging/make-app" in said and 'ARCHES="amd64 arm64"' in said, said
    assert os.access(f"{APP}/start", os.X_OK)


# ---- the start ----

class Supervisor(HttpStandin):
    """Answers requests about the broker like the Supervisor, to clients with the token."""

    def __init__(self, broker=None):
        self.broker = broker  # its answer; None: there is no broker
        super().__init__(self.answer)

    def answer(self, request, _):
        if request.headers["Authorization"] != f"Bearer {TOKEN}" or request.path not in ("/services/mqtt", "/addons/self/info"):
            status, answer = 403, {"result": "error", "message": "not allowed"}
        elif request.path == "/addons/self/info":
            status, answer = 200, {"result": "ok", "data": {"slug": "local_packgate", "hostname": "local-packgate"}}
        elif self.broker is None:
            status, answer = 400, {"result": "error", "message": "Service not enabled"}
        else:
            status, answer = 200, {"result": "ok", "data": self.broker}
        return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()


def service(port, **more):
    return {"host": "127.0.0.1", "port": port, "ssl": False, "protocol": "3.1.1", "username": USER, "password": PASSWORD,
            "addon": "core_mosquitto", **more}


# For cases in which the page of the app cannot have its own port and addresses.
LOOPBACK = {"INGRESS_CLIENT": "127.0.0.1", "INGRESS_LISTEN": "127.0.0.1:0"}

# The program as the app starts it, except for what belongs to the whole machine: its port and its folders.
STANDIN = """#!/bin/sh
[ "$1" != probe ] || [ ! -p {folder}/found ] || exec cat {folder}/found
[ "$1" = run ] || exec {program} "$@"
config=$3
shift 3
[ "${{1:-}}" != --first ] || {{ config=$2; shift 2; }}
sed -e 's|^\\[gateway\\]|&\\nlisten = 127.0.0.1:0\\ncontrol = {folder}/control\\nstate_file = {folder}/kept|' \\
    -e 's|^\\[history\\]|&\\nfile = {folder}/history.db|' "$config" >{folder}/run.ini
exec {program} run -c {folder}/run.ini "$@"
"""


PACK = {"name": "house", "protocol": "daly"}


def packs(*servers, **more):
    return {"packs": [PACK | {"name": f"house{n or ''}", "server": server} | more for n, server in enumerate(servers)]}


def set_options(folder, options):
    with open(f"{folder}/data/options.json", "w", encoding="utf-8") as file:
        json.dump({"packs": [], **options}, file)


@contextlib.contextmanager
def app(options, broker=None, page=LOOPBACK):
    """The folders of an app, and its start: (folder, supervisor, function that starts it)."""
    with tempfile.TemporaryDirectory(prefix="packgate-app-") as folder:
        for name in ("bin", "config", "data"):
            os.mkdir(f"{folder}/{name}")
        with open(f"{folder}/bin/packgate", "w", encoding="utf-8") as file:
            file.write(STANDIN.format(program=PACKGATE, folder=folder))
        os.chmod(f"{folder}/bin/packgate", 0o755)
        set_options(folder, options)
        with Supervisor(broker) as supervisor:
            environment = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}", SUPERVISOR=supervisor.url, SUPERVISOR_TOKEN=TOKEN,
                               PACKGATE_CONFIG=f"{folder}/config", PACKGATE_STATE=f"{folder}/data", PACKGATE_USER=str(os.geteuid()),
                               **page)
            yield folder, supervisor, lambda more=(): Program(f"{APP}/start", env=environment | dict(more))


def config_of(folder):
    with open(f"{folder}/config/packgate.ini", encoding="utf-8") as file:
        return file.read()


def sections(folder):
    """{"pack house": {"unit": "1", …}, …}"""
    found, current = {}, {}
    for line in config_of(folder).splitlines():
        if heading := re.fullmatch(r"\[(.*)\]", line):
            current = found.setdefault(heading[1], {})
        elif " = " in line and not line.startswith("#"):
            key, _, value = line.partition(" = ")
            current[key] = value
    return found


HEARD = r"pack house: (idle|charging|discharging)"


def first_start_writes_the_configuration():
    """From options and the Supervisor's answers; Home Assistant's broker gets values, and devices link to the page."""
    server, url = simulate("daly")
    with server, tempfile.TemporaryDirectory() as secrets:
        file = os.path.join(secrets, "passwords")
        subprocess.run(["mosquitto_passwd", "-c", "-b", file, USER, PASSWORD], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Broker(f"allow_anonymous true\npassword_file {file}\n") as broker, Listener(broker) as listener, \
                app(packs(url), service(broker.port)) as (folder, supervisor, start):
            with start() as running:
                running.wait_for(HEARD)
                listener.wait_for("packgate/house/status", lambda payload: payload == b"online")
                topic = lambda found: next((t for t in found if t.endswith("_house/config")), None)
                found = await_retained(broker, topic, "the device")
                assert json.loads(found[topic(found)])["dev"]["cu"] == "homeassistant://hassio/ingress/local_packgate"
            written = sections(folder)
            assert written["line house"]["port"] == url and written["pack house"] == {"line": "house", "protocol": "daly", "unit": "1"}
            assert written["mqtt home-assistant"]["broker"] == f"mqtt://127.0.0.1:{broker.port}"
            assert written["mqtt home-assistant"]["user"] == USER and "switching" not in written["mqtt home-assistant"]
            assert stat.S_IMODE(os.stat(f"{folder}/data/mqtt-password").st_mode) == 0o600
            # A new password, or another broker, is used at the next start.
            supervisor.broker = service(broker.port, password="new", host="localhost")
            with start() as running:
                running.wait_for(HEARD)
            assert sections(folder)["mqtt home-assistant"]["broker"] == f"mqtt://localhost:{broker.port}"
            with open(f"{folder}/data/mqtt-password", encoding="utf-8") as password:
                assert password.read() == "new\n"


def options_that_change_are_applied():
    """While packgate.ini is as it was written; afterwards the log names them."""
    server, url = simulate("daly", "", "--count", "2")
    with server, app(packs(url)) as (folder, _, start):
        with start() as running:
            running.wait_for(HEARD)
        set_options(folder, {"packs": [PACK | {"server": url, "address": 1, "switching": True},
                                       PACK | {"name": "shed", "server": url, "address": 2}, PACK | {"name": "lost"}]})
        with start() as running:
            running.wait_for("pack lost has neither an adapter nor a server")
            running.wait_for("was written from the options")
            running.wait_for("pack (house|shed): (idle|charging|discharging)")
            running.wait_for("pack (house|shed): (idle|charging|discharging)")
        written = sections(folder)
        assert [name for name in written if name.startswith("line ")] == ["line house"], "two packs share a port"
        assert written["pack house"] == {"line": "house", "protocol": "daly", "address": "1", "unit": "1", "writable": "yes"}
        assert written["pack shed"] == {"line": "house", "protocol": "daly", "address": "2", "unit": "2"}
        with open(f"{folder}/config/packgate.ini", "a", encoding="utf-8") as file:
            file.write("# by hand\n")
        text = config_of(folder)
        with start() as running:
            running.wait_for(HEARD)
        assert not any("options have changed" in line for line in running.lines)
        set_options(folder, packs(url))
        with start() as running:
            running.wait_for("the packs in the options have changed, but .*packgate.ini was changed by hand or on the page")
            running.wait_for(HEARD)
        assert config_of(folder) == text


def a_broker_that_comes_later_is_added():
    server, url = simulate("daly")
    with server, app(packs(url, switching=True)) as (folder, supervisor, start):
        with start() as running:
            running.wait_for("Home Assistant has no MQTT broker")
            running.wait_for(HEARD)
        assert not [name for name in sections(folder) if name.startswith("mqtt")]
        with open(f"{folder}/config/packgate.ini", "a", encoding="utf-8") as file:
            file.write("# by hand\n")
        text = config_of(folder)
        with Broker() as broker, Listener(broker) as listener:
            supervisor.broker = service(broker.port)
            with start() as running:
                running.wait_for(r"\[mqtt home-assistant\] was added")
                listener.wait_for("packgate/house/status", lambda payload: payload == b"online")
        assert config_of(folder).startswith(text) and sections(folder)["mqtt home-assistant"]["switching"] == "yes"
        # A user who has removed the file does not want it.
        with open(f"{folder}/config/packgate.ini", "w", encoding="utf-8") as file:
            file.write(text)
        with start() as running:
            running.wait_for(HEARD)
        assert config_of(folder) == text


def starts_without_a_pack():
    """The page exists to say what to do; the options write packs as soon as there are any."""
    server, url = simulate("daly")
    with server, app({}) as (folder, _, start):
        with start() as running:
            page = running.wait_for(r"web: page at (http://\S+)")[1]
            with urllib.request.urlopen(f"{page}api/v1/packs", timeout=PATIENCE) as answer:
                assert json.load(answer) == []
        assert "web" in sections(folder) and not [name for name in sections(folder) if name.startswith("pack ")]
        set_options(folder, packs(url))
        with start() as running:
            running.wait_for(HEARD)
        assert sections(folder)["line house"]["port"] == url


def wrong_options_leave_the_page():
    with app({"packs": [PACK | {"server": "tcp://192.0.2.1:1"}, PACK | {"server": "tcp://192.0.2.2:1"}]}) as (folder, _, start):
        with start() as running:
            running.wait_for(r"packgate\.ini\.new:\d+: .*house")
            running.wait_for("the options are wrong, see above")
            running.wait_for(r"web: page at (http://\S+)")
        assert not os.listdir(f"{folder}/config")


def finds_packs_by_a_search():
    server, url = simulate("daly", "", "--count", "2")
    with server, app({"search": True}, page=LOOPBACK | {"SEARCH_PORTS": url}) as (folder, _, start):
        with start() as running:
            running.wait_for(f"searching {url}")
            running.wait_for(r"web: page at (http://\S+)")
            running.wait_for("packgate.ini has what was found")
            running.wait_for("the new configuration is in force")
            # This program was started with a copy of the configuration: the next start shows the packs.
        with start() as running:
            running.wait_for("packgate.ini has packs: nothing is searched")
            running.wait_for(r"pack pack-1: (idle|charging|discharging)")
        assert {"pack pack-1", "pack pack-2", "web"} <= set(sections(folder))
        assert set(os.listdir(f"{folder}/config")) == {"packgate.ini"} and "found" not in os.listdir(f"{folder}/data")


def a_search_does_not_undo_what_was_set_up_meanwhile():
    """The page is there during the search, and whoever is at it is faster. What is found comes from the test."""
    with app({"search": True}, page=LOOPBACK | {"SEARCH_PORTS": "tcp://127.0.0.1:1"}) as (folder, _, start):
        os.mkfifo(f"{folder}/found")
        with start() as running:
            running.wait_for("searching tcp://127.0.0.1:1")
            with open(f"{folder}/config/packgate.ini", "a", encoding="utf-8") as file:
                file.write("# set up on the page\n")
            with open(f"{folder}/found", "w", encoding="utf-8") as found:
                found.write("[line line-1]\nport = tcp://127.0.0.1:1\nprotocol = daly\n[pack pack-1]\nline = line-1\nunit = 1\n")
            running.wait_for("has changed during the search")
        assert config_of(folder).endswith("# set up on the page\n") and "pack pack-1" not in sections(folder)


def shows_a_demo():
    with app({"demo": True}, page=LOOPBACK | {"MODBUS_LISTEN": "127.0.0.1:0"}) as (folder, _, start):
        environment = {"PACKGATE_CONTROL": f"{folder}/control"}
        with start(environment) as running:
            page = running.wait_for(r"web: page at (http://\S+)")[1]
            running.wait_for(r"pack boat: (idle|charging|discharging)")
            with urllib.request.urlopen(f"{page}api/v1/packs", timeout=PATIENCE) as answer:
                assert len(json.load(answer)) == 5


# ---- the ingress ----

NGINX = """daemon off; pid {folder}/pid; error_log stderr warn;
events {{}}
http {{
    access_log off; {temporary}
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://{page}/;
            proxy_bind {asks_from};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Ingress-Path {prefix};
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-For "192.168.1.7, 172.30.32.1";
        }}
    }}
}}
"""


@contextlib.contextmanager
def ingress(folder, page, asks_from):
    """Takes the Supervisor's place: the page is below a prefix, which it removes, at any host name."""
    port = free_port()
    text = NGINX.format(folder=folder, port=port, page=page, asks_from=asks_from, prefix=INGRESS, temporary=" ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")))
    with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(text)
    process = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"])
    try:
        until(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close() is None, bears=OSError)
        yield f"http://127.0.0.1:{port}{INGRESS}/"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def curl(url, *arguments):
    """(status, headers, body) as a browser at an address that packgate does not know."""
    done = subprocess.run(["curl", "-sS", "-i", "--compressed", "-H", "Host: ha.example.net:8123", *arguments, url], check=True, stdout=subprocess.PIPE,
                          timeout=PATIENCE)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}, body


# Addresses of the network that the Supervisor creates for apps: its own, that of the host, of this app, and of
# another app.
SUPERVISOR, HOST, THIS_APP, OTHER_APP = "172.30.32.2", "172.30.32.1", "172.30.33.4", "172.30.33.5"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1


def enter_network_of_apps():
    """Moves this process to a network namespace with these addresses; it can reach nothing else. OSError: not
    permitted."""
    user, group, root = os.geteuid(), os.getegid(), os.geteuid() == 0
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | (0 if root else CLONE_NEWUSER)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if not root:
        for name, text in {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}.items():
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        for number, address in enumerate((SUPERVISOR, HOST, THIS_APP, OTHER_APP)):
            fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sHH4s8x", b"lo:%d" % number, socket.AF_INET, 0, socket.inet_aton(address)))


def page_is_shown_by_the_ingress():
    """Only the Supervisor's address is allowed, as in the shipped app; if network namespaces are forbidden, with
    addresses of this host instead."""
    child = os.fork()
    if child == 0:
        try:
            try:
                enter_network_of_apps()
            except OSError:
                print("# no network of its own: addresses of this host", flush=True)
                show_by_ingress("127.0.0.1", "127.0.0.1", ["127.0.0.2"], LOOPBACK)
            else:
                show_by_ingress(SUPERVISOR, THIS_APP, [HOST, OTHER_APP, "127.0.0.1"], {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "see above"


def show_by_ingress(supervisor, own, others, settings):
    """The Supervisor connects from one address to a page at another one; all other addresses are rejected."""
    server, url = simulate("daly")
    with server, app(packs(url), page=settings) as (folder, _, start), start() as running:
        page = f"{own}:" + running.wait_for(r"web: page at http://[^:]+:(\d+)/")[1]
        running.wait_for(r"pack house: (idle|charging|discharging)")
        with ingress(folder, page, supervisor) as address:
            status, headers, body = curl(address)
            assert status == 200 and "frame-ancestors 'self'" in headers["content-security-policy"], headers
            # Everything that the page loads is below the prefix: no address in it begins at the root.
            wanted = re.findall(rb'(?:src|href)="([^"]+)"', body)
            assert wanted and not [name for name in wanted if name.startswith(b"/")], wanted
            for name in wanted:
                status, _, _ = curl(urllib.parse.urljoin(address, name.decode()))
                assert status == 200, name
            assert json.loads(curl(address + "api/v1/packs")[2])[0]["pack"] == "house"
            # Users who come through it may set the gateway up, which saves the file itself.
            state = json.loads(curl(address + "api/v1/setup/state")[2])
            assert (state["by"], state["yours"], state["save"]) == ("ingress", True, "folder"), state
            def post(what, body):
                status, _, answer = curl(address + "api/v1/setup/" + what, "-H", "Origin: https://ha.example.net:8123", "-H",
                                         "Sec-Fetch-Site: same-origin", "-H", "Content-Type: application/json", "-d", json.dumps(body))
                assert status in (200, 202), (what, status, answer)
            post("apply", {"hash": json.loads(curl(address + "api/v1/setup/config")[2])["hash"], "edits": [
                {"section": "pack", "name": "house", "key": "name", "value": "Keller"}]})
            running.wait_for("the new configuration is in force")
            until(lambda: b'"name":"Keller"' in curl(address + "api/v1/packs")[2])
            post("keep", {})
            # Values arrive when they change, not when a buffer is full.
            with subprocess.Popen(["curl", "-sSN", address + "api/v1/events"], stdout=subprocess.PIPE) as stream:
                try:
                    seen = 0
                    while seen < 3:
                        seen += stream.stdout.readline().startswith(b"event: pack")
                finally:
                    stream.terminate()
        for other in others:
            refused = subprocess.run(["curl", "-sS", "--interface", other, f"http://{page}/"], stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, check=False, timeout=PATIENCE)
            assert refused.returncode != 0, (other, refused.stdout)


for tool in ("nginx", "curl", "jq", "mosquitto_passwd"):
    assert shutil.which(tool), f"{tool} is missing"
main([finds_packs_by_a_search, shows_a_demo, options_that_change_are_applied, a_broker_that_comes_later_is_added, page_is_shown_by_the_ingress,
      folder_is_as_the_supervisor_wants_it, everything_has_a_word_in_each_language, store_has_the_app_and_its_image, archive_has_packages_of_both,
      first_start_writes_the_configuration, starts_without_a_pack, wrong_options_leave_the_page,
      a_search_does_not_undo_what_was_set_up_meanwhile], at_once=3)
