# SPDX-License-Identifier: MIT
# tests/run: 45 s
"""Set-up in the browser, by requests made by hand: who may set up, what may be changed, and what happens to a
configuration that is not kept. test_setup_page tests the screens."""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import glob
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

from ble_harness import Air
from control_harness import Link, run
from harness import PACKGATE, PATIENCE, Program, free_port, main, simulate, until
from http_standin import HttpStandin
from influx_harness import InfluxDB
from mqtt_harness import Broker, make_certificates
from web_harness import Page

PACKS = """[line shed]
port = sim:cells=16,capacity=150,soc=72,seed=1 ; beside the inverter
protocol = topbms

# The big one.
[pack shed]
line = shed
unit = 1
poll = 200ms
"""


class Browser:
    """A browser with cookies, on a page of the gateway."""

    def __init__(self, page, **headers):
        self.page, self.cookies, self.headers = page, {}, headers

    def ask(self, method, what, body=None, **headers):
        origin = f"http://127.0.0.1:{self.page.web}"
        sent = {"Origin": origin if method == "POST" else None, "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/json" if method == "POST" else None,
                "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()) or None,
                **self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        host = sent.pop("Host", None)
        status, got, text = self.page.ask(f"/api/v1/setup/{what}", method, sent, None if body is None else json.dumps(body), host)
        for cookie in got.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
            self.attributes = cookie
        is_json = got["Content-Type"] == "application/json"
        return status, json.loads(text) if is_json and text else text.decode()

    def get(self, what, **headers):
        return self.ask("GET", what, **headers)

    def post(self, what, body=None, **headers):
        return self.ask("POST", what, {} if body is None else body, **headers)

    def good(self, answer):
        assert answer[0] in (200, 202), answer
        return answer[1]

    def arm(self):
        self.good(self.post("arm", {"code": new_code(self.page)}))
        return self

    def hash(self):
        return self.good(self.get("config"))["hash"]

    def apply(self, *edits, hash=None):
        return self.post("apply", {"hash": hash or self.hash(), "edits": list(edits)})

    def await_state(self, condition):
        return until(lambda: self.get("state"), lambda got: got[0] == 200 and condition(got[1]), bears=OSError)[1]


def edit(section, name, key, value):
    return {"section": section, "name": name, "key": key, "value": value}


def new_code(page):
    Link(page).close()  # the page may be ready before the socket
    return re.search(r"#/setup/start/([a-z2-9]{8})\n", run("setup", "-c", page.path))[1]


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


# ---- who may ----

def test_not_armed():
    with Page(packs=PACKS) as page:
        browser = Browser(page)
        state = browser.good(browser.get("state"))
        assert not state["armed"] and not state["yours"] and state["by"] is None and state["packs"] == 1
        for what in ("config", "keys", "probe", "try"):
            assert browser.get(what)[0] == 403, what
        for what in ("leave", "ports", "probe", "probe/stop", "check", "text", "apply", "keep", "undo", "try"):
            assert browser.post(what)[0] == 403, what
        assert browser.post("arm", {"code": "abcdefgh"})[0] == 403
        assert browser.get("nothing")[0] == 404 and browser.get("arm")[0] == 405


def test_code():
    with Page(packs=PACKS) as page:
        one, other = Browser(page), Browser(page)
        code = new_code(page)
        state = one.good(one.get("state"))
        assert state["armed"] and not state["taken"] and not state["yours"] and 800 < state["expires_s"] <= 900
        assert one.get("config")[0] == 403
        assert one.post("arm", {"code": code[:-1]})[0] == 403 and one.post("arm", {"code": code + "a"})[0] == 403
        assert one.post("arm", {"code": code, "more": 1})[0] == 400
        one.good(one.post("arm", {"code": code}))
        assert "HttpOnly" in one.attributes and "SameSite=Strict" in one.attributes
        state = one.good(one.get("state"))
        assert state["yours"] and not state["taken"] and one.get("config")[0] == 200
        # It works once, and for one browser.
        assert other.post("arm", {"code": code})[0] == 403
        state = other.good(other.get("state"))
        assert state["armed"] and state["taken"] and not state["yours"] and other.get("config")[0] == 403
        other.cookies["packgate-setup"] = "0" * 64
        assert other.get("config")[0] == 403
        other.cookies["packgate-setup"] = "x y" * 20
        assert other.get("config")[0] == 403
        # A new code ends the previous session.
        code = new_code(page)
        assert one.get("config")[0] == 403
        one.good(one.post("arm", {"code": code}))
        one.good(one.post("leave"))
        assert one.get("config")[0] == 403 and not one.good(one.get("state"))["armed"]


def test_tries_are_limited():
    with Page(packs=PACKS) as page:
        browser, code = Browser(page), new_code(page)
        answers = [browser.post("arm", {"code": "abcdefgh"})[0] for _ in range(6)]
        assert answers == [403] * 5 + [429], answers
        assert browser.post("arm", {"code": code})[0] == 429


def test_other_pages_and_names():
    with Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        for headers in ({"Origin": "http://evil.example"}, {"Origin": None}, {"Origin": "null"},
                        {"Origin": f"http://127.0.0.1:{page.web + 1}"}, {"Sec_Fetch_Site": "cross-site"}):
            assert browser.post("ports", **headers)[0] == 403, headers
        for site in ("cross-site", "same-site"):
            assert browser.get("config", Sec_Fetch_Site=site)[0] == 403
        assert browser.get("config", Origin="http://evil.example")[0] == 403
        assert browser.post("ports", Content_Type="text/plain")[0] == 415
        # A foreign host name that resolves to this host.
        assert browser.get("state", Host=f"evil.example:{page.web}")[0] == 421
        assert browser.post("ports", Host=f"evil.example:{page.web}", Origin=f"http://evil.example:{page.web}")[0] == 421
        assert browser.post("ports", X_Forwarded_For="192.0.2.7")[0] == 403
        assert browser.post("ports")[0] == 200


def test_only_the_gateway_may_arm():
    with Page(packs=PACKS) as page:
        assert "no gateway" in run("setup", "--control", page.folder + "/nowhere", status=1)
        assert "usage" in run("setup", "more", status=2)
    with Page(packs=PACKS, web="password_file = none") as page:
        assert new_code(page)
        assert "does not find" not in run("setup", "-c", page.path)
    # Not every network resolves the name of a host.
    with Page(packs=PACKS, web="allow = 127.0.0.0/8", listen=f"0.0.0.0:{free_port()}") as page:
        Link(page).close()
        said = run("setup", "-c", page.path)
        assert ("does not find" in said) == ("." not in socket.gethostname()), said


def test_address_of_a_container():
    """Nobody else knows the name of a container, nor its address: the user has to take those of its host."""
    with Page(packs=PACKS, web="allow = 127.0.0.0/8", listen=f"0.0.0.0:{free_port()}") as page:
        Link(page).close()
        said = run("setup", "-c", page.path, env={**os.environ, "container": "oci"})
        name = f"{socket.gethostname()}.local:{page.web}"
        assert f"http://{name}/#/setup/start/" in said and f"In place of {name}, use the address of the machine" in said, said
        assert "does not find" not in said, said


def test_a_page_that_does_not_run():
    """As without the package that has it: the address of a page that nobody answers is no help."""
    with tempfile.TemporaryDirectory(prefix="packgate-setup-") as folder:
        alone = shutil.copy(PACKGATE, f"{folder}/packgate")
        with open(f"{folder}/packgate.ini", "w") as file:
            file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {folder}/state\ncontrol = {folder}/control\n[web]\nlisten = 127.0.0.1:{free_port()}\n")
        with Program(alone, "run", "-c", file.name) as gateway:
            gateway.wait_for("outlet web: .* is not installed")
            said = until(lambda: subprocess.run([alone, "setup", "-c", file.name], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False,
                                                     timeout=PATIENCE, text=True).stderr, lambda said: "does not run" in said)
            assert "the log of the gateway says why" in said, said
    with Page(packs=PACKS) as page:
        Link(page).close()
        assert subprocess.run([PACKGATE, "setup", "-c", page.path], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=True, timeout=PATIENCE).stderr == b""


def test_password():
    """`setup = yes`: users who are logged in may set up, from the networks that may switch."""
    for allowed in (True, False):
        folder = tempfile.mkdtemp(prefix="packgate-setup-")
        path = os.path.join(folder, "password")
        subprocess.run([PACKGATE, "password", path], input=b"s3cret-word\n" * 2, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with Page(packs=PACKS, web=f"password_file = {path}\nsetup = yes\n" + ("" if allowed else "allow_write = 192.0.2.1")) as page:
            browser = Browser(page)
            state = browser.good(browser.get("state"))
            assert state["login"] and not state["yours"] and browser.get("config")[0] == 403
            status, headers, _ = page.ask("/api/v1/login", "POST", {"Origin": f"http://127.0.0.1:{page.web}", "Content-Type": "application/json"},
                                          json.dumps({"password": "s3cret-word"}))
            assert status == (204 if allowed else 403)
            if allowed:
                browser.cookies["packgate"] = headers["Set-Cookie"].split(";")[0].split("=")[1]
                state = browser.good(browser.get("state"))
                assert state["by"] == "password" and state["yours"] and not state["login"]
            assert browser.get("config")[0] == (200 if allowed else 403)
            # A code still works.
            assert Browser(page).arm().get("config")[0] == 200
        shutil.rmtree(folder)


def test_ingress():
    """Everybody who reaches the page has logged in at the proxy. A foreign page has not."""
    with Page(packs=PACKS, web="allow = 127.0.0.1\nhosts = any\nframe = self\nsetup = ingress") as page:
        browser = Browser(page, **{"X-Forwarded-For": "192.168.7.7", "Host": "ha.local:8123"})
        state = browser.good(browser.get("state"))
        assert state["by"] == "ingress" and state["yours"] and not state["login"]
        assert browser.get("config")[0] == 200
        assert browser.post("ports", Origin="http://ha.local:8123")[0] == 200
        assert browser.post("ports", Origin="http://evil.example")[0] == 403
    for web in ("allow = 127.0.0.0/8\nsetup = ingress", "setup = yes"):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(f"[web]\n{web}\n")
            file.flush()
            assert "'setup = " in run("check", file.name, status=1)


# ---- what is seen ----

def test_config_and_keys():
    with Page(packs=PACKS.replace("# The big one.\n", "# The big one.\n# password = s3cret\n")) as page:
        browser = Browser(page).arm()
        config = browser.good(browser.get("config"))
        sections = {(s["section"], s["name"]): s for s in config["sections"]}
        assert config["path"] == page.path
        assert {"key": "unit", "line": 14, "web": True, "value": "1"} in sections["pack", "shed"]["keys"], config
        assert sections["line", "shed"]["line"] == 6
        assert {k["key"]: k["web"] for k in sections["web", ""]["keys"]} == {"listen": False}
        checked = browser.good(browser.post("check", {"hash": config["hash"], "edits": [edit("pack", "shed", "unit", "2")]}))
        assert any(line["text"] == "# password = ***" for line in checked["diff"]), checked
        keys = browser.good(browser.get("keys"))
        assert {"pack", "bank", "line", "mqtt", "gateway", "notify", "influx"} <= set(keys) and not {"web", "limits", "view"} & set(keys)
        names = {key["key"]: key for key in keys["pack"]}
        assert names["unit"]["required"] and "1 to 247" in names["unit"]["expected"] and "writable" not in names
        assert {"topbms", "daly", "jbd", "topbms pace", "daly bluetooth"} <= set(names["protocol"]["choices"]) and "daly auto" not in names["protocol"]["choices"]
        assert "ntfy" in keys["notify"][0]["choices"] and "command" not in keys["notify"][0]["choices"]   # which would be refused
        assert {key["key"] for key in keys["mqtt"] if key.get("secret")} == {"password_file"}
        assert browser.good(browser.post("ports")).keys() == {"ports", "bluetooth"}


def test_check():
    with Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        before = read(page.path)
        asked = {"hash": browser.hash(), "edits": [edit("pack", "shed", "unit", "7"), edit("pack", "shed", "name", "Küche links"),
                                                   edit("line", "new", "port", "tcp://127.0.0.1:1"),
                                                   edit("pack", "new", "line", "new"), edit("pack", "new", "unit", "8"),
                                                   edit("pack", "new", "protocol", "daly")]}
        answer = browser.good(browser.post("check", asked))
        assert answer["errors"] == 0, answer
        changed = [(line["op"], line["text"]) for line in answer["diff"] if line["op"] != " "]
        assert changed == [("-", "unit = 1"), ("+", "unit = 7"), ("+", "name = Küche links"), ("+", ""), ("+", "[line new]"),
                           ("+", "port = tcp://127.0.0.1:1"), ("+", ""), ("+", "[pack new]"), ("+", "line = new"),
                           ("+", "unit = 8"), ("+", "protocol = daly")], changed
        assert "[pack new] is new" in answer["reload"] and answer["restart"] == []
        asked["edits"] = [edit("pack", "shed", "unit", "0")]
        answer = browser.good(browser.post("check", asked))
        assert answer["errors"] == 1 and answer["remarks"][0]["line"] == 13 and answer["remarks"][0]["level"] == "error", answer
        asked["edits"] = [{"section": "pack", "name": "shed", "remove": True}, {"section": "line", "name": "shed", "remove": True}]
        answer = browser.good(browser.post("check", asked))
        assert [line["text"] for line in answer["diff"] if line["op"] == "+"] == [], answer
        assert read(page.path) == before


def await_probe(browser):
    return until(lambda: browser.good(browser.get("probe")), lambda answer: not answer["running"])


def test_probe():
    server, url = simulate("topbms", "cells=15,soc=64")
    with server, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        assert browser.good(browser.get("probe")) == {"running": False}
        assert browser.post("probe", {"port": "sim:cells=16,capacity=150,soc=72,seed=1"})[0] == 409
        assert browser.post("probe", {})[0] == 400
        assert browser.post("probe", {"port": url, "protocol": "auto"})[0] == 202
        answer = await_probe(browser)
        (found,) = answer["found"]
        assert found["protocol"] == "topbms" and found["cells_count"] == 15 == len(found["cells"]) and 63 < found["soc_pct"] < 65, answer
        assert found["port"] == url and 40 < found["voltage_v"] < 60 and "baud" not in found and answer["tried"], answer
        assert {"protocol", "address", "baud"} == set(answer["tried"][0])
        # Another master, or silence.
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            port = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
            browser.good(browser.post("probe", {"port": port}))
            until(lambda: browser.good(browser.get("probe")), lambda answer: answer["running"] and answer.get("tried"))
            polls = page.json("/api/v1/packs/shed")["polls"]
            until(lambda: page.json("/api/v1/packs/shed")["polls"], lambda now: now > polls + 3)
            browser.good(browser.post("probe/stop"))
            assert browser.good(browser.get("probe")) == {"running": False}
        for port in (f"tcp://127.0.0.1:{free_port()}", "nonsense", "serial:/dev/nowhere", "tcp://127.0.0.1:1\nlisten = yes"):
            browser.good(browser.post("probe", {"port": port}))
            answer = await_probe(browser)
            assert answer["heard"] == "closed" and answer["found"] == [] and answer["advice"], answer


def test_probe_goes_on():
    """The other addresses of the first protocol that was found; with their cells, by which users compare packs."""
    server, url = simulate("daly", "cells=8,soc=64", "--count", 3)
    with server, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        browser.good(browser.post("probe", {"port": url}))
        answer = await_probe(browser)
        assert [(f["protocol"], f["address"], f["cells_count"], None in f["cells"]) for f in answer["found"]] == [("daly", n, 8, False) for n in (1, 2, 3)], answer
        assert answer["heard"] is None and answer["advice"] is None, answer


TCGETS2 = 0x802C542A  # of Linux, for speeds that are no constants


@contextlib.contextmanager
def serial_port(url, speed):
    """A serial port that passes bytes at one speed only."""
    master, slave = pty.openpty()
    where = urllib.parse.urlsplit(url)
    with socket.create_connection((where.hostname, where.port)) as far:
        ended = threading.Event()

        def pass_on():
            while not ended.is_set():
                for ready in select.select([master, far], [], [], 0.2)[0]:
                    data = os.read(master, 4096) if ready is master else far.recv(4096)
                    if struct.unpack("=11I", fcntl.ioctl(slave, TCGETS2, bytes(44)))[10] != speed:
                        continue
                    if ready is master:
                        far.sendall(data)
                    else:
                        os.write(master, data)

        thread = threading.Thread(target=pass_on)
        thread.start()
        try:
            yield "serial:" + os.ttyname(slave)
        finally:
            ended.set()
            thread.join()
            os.close(master)
            os.close(slave)


def test_probe_says_what_goes_into_the_file():
    server, url = simulate("topbms", "", "--address", 2, "--variant", "pylontech")
    with server, serial_port(url, 115200) as port, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        browser.good(browser.post("probe", {"port": port}))
        (found,) = await_probe(browser)["found"]
        assert found["protocol"] == "topbms pylontech" and found["baud"] == "115200 8N1" and found["address"] == 2, found
        wanted = [edit("line", "new", "port", port), edit("line", "new", "protocol", found["protocol"]), edit("line", "new", "baud", found["baud"]),
                  edit("pack", "new", "line", "new"), edit("pack", "new", "address", "2"), edit("pack", "new", "unit", "2")]
        checked = browser.good(browser.post("check", {"hash": browser.hash(), "edits": wanted}))
        assert checked["errors"] == 0 and not any("baud" in remark["text"] for remark in checked["remarks"]), checked


def test_probe_hears_another_master():
    with socket.create_server(("127.0.0.1", 0)) as listener, Page(packs=PACKS) as page:
        def speak():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        while True:
                            connection.sendall(bytes.fromhex("010300000002c40b"))
                            time.sleep(0.3)

        threading.Thread(target=speak, daemon=True).start()
        browser = Browser(page).arm()
        browser.good(browser.post("probe", {"port": f"tcp://127.0.0.1:{listener.getsockname()[1]}"}))
        answer = await_probe(browser)
        assert answer["heard"] == "traffic" and "inverter" in answer["advice"] and not answer["found"], answer


def test_probe_bluetooth():
    shed = "C8:47:80:00:00:01"
    with Air({shed: ("jk", "jk02", "profile=fixed,cells=8", "shed")}) as air, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        browser.good(browser.post("probe", {"port": "ble:"}))
        (device,) = await_probe(browser)["devices"]
        assert device["address"] == f"ble:{shed}" and device["name"] == "shed" and device["rssi_dbm"] == -60 and "jk02" in device["maybe"], device
        browser.good(browser.post("probe", {"port": device["address"]}))
        (found,) = await_probe(browser)["found"]
        assert found["protocol"] == "jk02" and found["cells_count"] == 8 and "baud" not in found, found
        air.switch("Power", False)
        browser.good(browser.post("probe", {"port": "ble:"}))
        answer = await_probe(browser)
        assert answer["devices"] == [] and "adapter is off" in answer["advice"], answer


def tried(browser, kind, name, *edits):
    """The steps of a trial: {name: True, or the error}."""
    status, answer = browser.post("try", {"kind": kind, "name": name, "edits": list(edits)})
    assert status == 202, answer
    answer = until(lambda: browser.good(browser.get("try")), lambda answer: not answer["running"])
    return {step["name"]: step["ok"] or step["text"] for step in answer["steps"]}


def test_try_mqtt():
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    passwords = os.path.join(folder, "passwords")
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "s3cret w0rd"], check=True)
    with open(os.path.join(folder, "acl"), "w") as file:
        file.write("user me\ntopic readwrite packgate/#\n")
    with Broker(f"password_file {passwords}\nacl_file {folder}/acl\n", folder=folder) as broker, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        given = [edit("mqtt", "home", "broker", f"mqtt://127.0.0.1:{broker.port}"), edit("mqtt", "home", "user", "me")]

        def secret(text):
            return {"section": "mqtt", "name": "home", "key": "password_file", "secret": text}

        good = {"connect": True, "login": True, "subscribe": True}
        assert tried(browser, "mqtt", "home", *given, secret("s3cret w0rd")) == good
        wrong = tried(browser, "mqtt", "home", *given, secret("s3cret"))
        assert wrong["connect"] is True and "login refused" in wrong["login"] and len(wrong) == 2, wrong
        rights = tried(browser, "mqtt", "home", *given, secret("s3cret w0rd"), edit("mqtt", "home", "topic", "other"))
        assert rights["login"] is True and "did not come back" in rights["subscribe"], rights
        nobody = tried(browser, "mqtt", "home", edit("mqtt", "home", "broker", f"mqtt://127.0.0.1:{free_port()}"))
        assert list(nobody) == ["connect"] and "refused" in nobody["connect"], nobody
        plain = tried(browser, "mqtt", "home", edit("mqtt", "home", "broker", f"mqtts://127.0.0.1:{broker.port}"))
        assert plain["connect"] is True and plain.get("tls") is not True, plain
        # Nothing of it was saved.
        assert "mqtt" not in read(page.path) and not glob.glob(page.folder + "/*password*")
        assert browser.post("try", {"kind": "mqtt", "name": "home", "edits": [edit("mqtt", "home", "ca_file", "/etc/passwd")]})[0] == 202
        status, answer = until(lambda: browser.get("try"), lambda answer: not answer[1]["running"])
        assert status == 403 and "not set from a browser" in answer["error"], answer
    assert not any("s3cret" in line for line in page.lines)
    shutil.rmtree(folder, ignore_errors=True)


def test_try_encrypted():
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    make_certificates(folder)
    settings = f"allow_anonymous true\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
    trusted = f"[mqtt home]\nbroker = mqtts://127.0.0.1:{{}}\nca_file = {folder}/ca.pem\n"
    with Broker(settings, folder=folder) as broker, Page(packs=PACKS + trusted.format(broker.port)) as page:
        browser = Browser(page).arm()
        assert tried(browser, "mqtt", "home") == {"connect": True, "tls": True, "login": True, "subscribe": True}
        unknown = tried(browser, "mqtt", "other", edit("mqtt", "other", "broker", f"mqtts://127.0.0.1:{broker.port}"),
                        edit("mqtt", "other", "topic", "other"), edit("mqtt", "other", "discovery", "off"))
        assert unknown["connect"] is True and "certificate" in unknown["tls"] and len(unknown) == 2, unknown
    shutil.rmtree(folder, ignore_errors=True)


def test_a_trial_that_hangs():
    """The gateway continues, and another trial replaces the hanging one."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        broker = edit("mqtt", "home", "broker", f"mqtt://127.0.0.1:{deaf.getsockname()[1]}")
        assert browser.post("try", {"kind": "mqtt", "name": "home", "edits": [broker]})[0] == 202
        assert deaf.accept()
        assert browser.good(browser.get("try"))["running"]
        polls = page.json("/api/v1/packs/shed")["polls"]
        until(lambda: page.json("/api/v1/packs/shed")["polls"], lambda now: now > polls + 3)
        assert browser.post("try", {"kind": "modbus", "edits": []})[0] == 202
        assert browser.good(browser.get("try"))["steps"][0]["name"] == "request"
        # Only the page is left.
        until(lambda: subprocess.run(["pgrep", "-P", str(page.process.pid)], stdout=subprocess.PIPE, check=True).stdout.split(),
                   lambda children: len(children) == 1)


def test_try_others():
    with Page(packs=PACKS) as page, InfluxDB() as influx:
        browser = Browser(page).arm()
        given = edit("influx", "base", "url", f"{influx.url}/write?db=packs")
        assert tried(browser, "influx", "base", given) == {"write": True}
        assert "no such address or database" in tried(browser, "influx", "base", edit("influx", "base", "url", f"{influx.url}/write?db=none"))["write"]
        came = []

        with HttpStandin(lambda _, body: came.append(body) or (200, {}, b"")) as server:
            given = [edit("notify", "phone", "type", "ntfy"), edit("notify", "phone", "url", f"{server.url}/topic")]
            assert tried(browser, "notify", "phone", *given) == {"message": True}
        assert came and b"test" in came[0]
        wrong = tried(browser, "notify", "phone", *given)
        assert wrong["message"] is not True and wrong["message"], wrong
        # A client reads.
        assert browser.post("try", {"kind": "modbus", "edits": []})[0] == 202
        assert browser.good(browser.get("try")) == {"running": True, "steps": [{"name": "request", "ok": None, "text": ""}]}
        with page.client() as client:
            client.read_input_registers(0, 1, slave=1)
        assert browser.good(browser.get("try")) == {"running": False, "steps": [{"name": "request", "ok": True, "text": ""}]}
        assert browser.good(browser.get("probe")) == {"running": False}


# ---- what may be changed ----

def test_keys_that_no_browser_sets():
    extra = """[mqtt home]
broker = mqtt://127.0.0.1:1
[notify phone]
type = command
url = /bin/true
[tunnel shed]
listen = 127.0.0.1:0
"""
    with Page(packs=PACKS + extra) as page:
        browser = Browser(page).arm()
        before, hash = read(page.path), browser.hash()
        bad = [edit("notify", "phone", "url", "/bin/sh"), edit("notify", "phone", "type", "command"),
               edit("mqtt", "home", "password_file", "/etc/passwd"), edit("mqtt", "home", "ca_file", "/etc/passwd"),
               edit("pack", "shed", "writable", "yes"), edit("web", "", "allow", "any"), edit("web", "", "listen", "0.0.0.0:80"),
               edit("web", "", "setup", "yes"), edit("gateway", "", "allow_write", "any"), edit("gateway", "", "listen", "0.0.0.0:1"),
               edit("gateway", "", "control", "/tmp/x"), edit("gateway", "", "state_file", "/tmp/x"),
               edit("pack", "shed", "password_file", "/etc/passwd"), edit("notify", "new", "url", "/etc/passwd"),
               edit("web", "", "password_file", "/tmp/x"), edit("mqtt", "home", "switching", "yes"), edit("tunnel", "t", "listen", "0.0.0.0:1"),
               edit("limits", "house", "charge_current", "500"), edit("pack", "shed", "nothing", "1"), edit("nothing", "", "port", "1"),
               edit("pack", "a]\n[web", "unit", "2"), edit("pack", "a b", "unit", "2"), edit("gateway", "x", "poll", "1s"),
               edit("pack", "shed", "name", "x\nwritable = yes"), edit("pack", "shed", "name", "x\rwritable = yes"),
               edit("pack", "shed", "name\nwritable", "yes"), edit("pack", "shed", "writable = yes\nname", "x"),
               {"section": "tunnel", "name": "shed", "remove": True}, {"section": "gateway", "remove": True}, {"section": "web", "remove": True},
               {"section": "pack", "name": "shed", "key": "password_file", "secret": "x"},
               {"section": "web", "name": "", "key": "password_file", "secret": "x"}]
        for one in bad:
            for what in ("check", "text", "apply"):
                status, answer = browser.post(what, {"hash": hash, "edits": [edit("pack", "shed", "unit", "3"), one]})
                assert status == 403 and "error" in answer, (what, one, status, answer)
        for body in ({}, {"hash": hash}, {"edits": []}, {"hash": hash, "edits": [], "path": "/etc/passwd"}, {"hash": hash, "edits": [3]},
                     {"hash": hash, "edits": [{**edit("pack", "shed", "unit", "3"), "path": "/etc/passwd"}]},
                     {"hash": hash, "edits": [{"section": "pack", "name": "shed"}]}, {"hash": 1, "edits": []},
                     {"hash": hash, "edits": [edit("pack", "shed", "unit", 3)]}):
            assert browser.post("apply", body)[0] == 400, body
        assert read(page.path) == before and not [name for name in os.listdir(page.folder) if not name.startswith(("control", "state"))
                                                  and name != "packgate.ini"], os.listdir(page.folder)


# ---- a new configuration ----

def steady_page(**options):
    """Its port stays the same after a restart, as for other packs."""
    return Page(listen=f"127.0.0.1:{free_port()}", **options)


def is_undone(page, before):
    return read(page.path) == before and not os.path.exists(page.path + ".before")


def test_apply_and_keep():
    with steady_page(packs=PACKS) as page:
        browser = Browser(page).arm()
        os.chmod(page.path, 0o640)
        before = read(page.path)
        assert browser.good(browser.get("state"))["save"] == "folder"
        hash = browser.hash()
        answer = browser.good(browser.apply(edit("pack", "shed", "unit", "7")))
        assert answer["keep_within_s"] == 120 and answer["hash"] != hash
        page.wait_for(r"\[pack shed\] unit: 7, was 1")
        page.wait_for("the new configuration is in force")
        state = browser.await_state(lambda state: state["pending"])
        assert 0 < state["pending"]["keep_within_s"] <= 120 and state["pending"]["hash"] == answer["hash"]
        assert read(page.path) == before.replace("unit = 1", "unit = 7") and stat.S_IMODE(os.stat(page.path).st_mode) == 0o640
        assert read(page.path + ".before") == before
        # Another browser has to wait.
        assert browser.apply(edit("pack", "shed", "unit", "8"))[0] == 409
        browser.good(browser.post("keep"))
        assert browser.good(browser.get("state"))["pending"] is None and not os.path.exists(page.path + ".before")
        assert read(page.path + ".old/1") == before
        assert browser.post("keep")[0] == 409 and browser.post("undo")[0] == 409
        assert page.json("/api/v1/packs/shed")["unit"] == 7


def await_reload(page, browser):
    """The unit of a pack has changed: the page's process is restarted."""
    page.wait_for("the new configuration is in force")
    page.wait_for("web: page at")
    return browser.good(browser.get("state"))


def test_undo():
    with steady_page(packs=PACKS) as page:
        browser = Browser(page).arm()
        before = read(page.path)
        browser.good(browser.apply(edit("pack", "shed", "unit", "7")))
        assert await_reload(page, browser)["pending"]
        browser.good(browser.post("undo"))
        page.wait_for(r"\[pack shed\] unit: 1, was 7")
        state = await_reload(page, browser)
        assert is_undone(page, before) and "undone in the browser" in state["undone"]
        # The undone configuration is not lost.
        assert "unit = 7" in read(page.path + ".old/1")


def test_old_hash():
    with Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        hash = browser.hash()
        with open(page.path, "a") as file:
            file.write("# somebody was here\n")
        before = read(page.path)
        status, answer = browser.apply(edit("pack", "shed", "unit", "7"), hash=hash)
        assert status == 409 and answer["hash"] == browser.hash(), answer
        assert browser.post("check", {"hash": hash, "edits": []})[0] == 409
        assert is_undone(page, before)


def test_errors_are_not_saved():
    with Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        before = read(page.path)
        status, answer = browser.apply(edit("pack", "shed", "unit", "0"))
        assert status == 422 and answer["remarks"][0]["line"] == 13, answer
        assert is_undone(page, before)


def test_ten_old_ones():
    with steady_page(packs=PACKS) as page:
        browser = Browser(page).arm()
        for unit in range(2, 14):
            browser.good(browser.apply(edit("pack", "shed", "unit", str(unit))))
            assert await_reload(page, browser)["pending"]
            browser.good(browser.post("keep"))
        assert sorted(int(name) for name in os.listdir(page.path + ".old")) == list(range(3, 13))
        assert "unit = 3" in read(page.path + ".old/3") and "unit = 12" in read(page.path + ".old/12")


def test_the_gateway_dies():
    """A configuration that makes the gateway exit is undone by that exit."""
    for how in (signal.SIGKILL, signal.SIGTERM):
        with Page(packs=PACKS) as page:
            browser = Browser(page).arm()
            before = read(page.path)
            browser.good(browser.apply(edit("pack", "shed", "unit", "7")))
            page.wait_for("the new configuration is in force")
            assert os.path.exists(page.path + ".before")
            page.stop(how)
            until(lambda: is_undone(page, before), bool)


def test_power_cut():
    """Between the rename and the reload, or before it was kept: the next start finds the configuration that was not
    kept."""
    with Page(packs=PACKS) as page:
        page.stop()
        before = read(page.path)
        for cut in ("renamed", "not yet"):
            with open(page.path + ".before", "w") as file:
                file.write(before)
            if cut == "renamed":
                with open(page.path, "w") as file:
                    file.write(before.replace("unit = 1", "unit = 7"))
            with Program(PACKGATE, "run", "-c", page.path) as again:
                assert "is unit 1" in again.wait_for(r"pack shed .*")[0]
            assert is_undone(page, before)
        # There was none before.
        with open(page.path + ".before", "w"):
            pass
        run("setup-save", "--undo", "-c", page.path)
        assert not os.path.exists(page.path) and not os.path.exists(page.path + ".before")


def test_download_only():
    """Nothing can write the file: the browser gets the whole text."""
    drop_bounding, dac_override = 24, 1
    # Processes that are started from here on cannot write everywhere, even as root.
    assert os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).prctl(drop_bounding, dac_override, 0, 0, 0) == 0, ctypes.get_errno()
    with Page(packs=PACKS) as page, tempfile.TemporaryDirectory(prefix="packgate-setup-") as other:
        browser, before = Browser(page).arm(), read(page.path)
        for shut in (page.folder, other):
            if shut == other:  # the file is a link to one that nobody may write
                os.rename(page.path, os.path.join(other, "real.ini"))
                os.symlink(os.path.join(other, "real.ini"), page.path)
            os.chmod(shut, 0o500)
            try:
                assert browser.good(browser.get("state"))["save"] == "download"
                assert browser.apply(edit("pack", "shed", "unit", "7"))[0] == 501
                asked = {"hash": browser.hash(), "edits": [edit("pack", "shed", "unit", "7")]}
                assert browser.good(browser.post("text", asked)) == before.replace("unit = 1", "unit = 7")
                assert browser.post("text", {**asked, "hash": "0" * 16})[0] == 409
            finally:
                os.chmod(shut, 0o700)


# ---- the helper ----

@contextlib.contextmanager
def helped(packs=PACKS, environment=(), **options):
    """A gateway beside a helper that is started like by systemd: one for each connection."""
    with tempfile.TemporaryDirectory(prefix="packgate-setup-") as folder:
        path = os.path.join(folder, "socket")
        settings = [word for setting in environment for word in ("-E", setting)]
        with steady_page(packs=packs, arguments=("--helper", path), **options) as page, \
                Program("systemd-socket-activate", "--accept", "--inetd", "-l", path, *settings, PACKGATE, "setup-save", "-c", page.path) as helper:
            helper.wait_for("Listening on")
            yield page, path


def test_helper():
    with helped() as (page, _):
        browser = Browser(page).arm()
        before = read(page.path)
        assert browser.good(browser.get("state"))["save"] == "helper"
        for end, text in (("undo", before), ("keep", before.replace("unit = 1", "unit = 7"))):
            browser.good(browser.apply(edit("pack", "shed", "unit", "7")))
            assert await_reload(page, browser)["pending"]
            browser.good(browser.post(end))
            if end == "undo":
                await_reload(page, browser)
            assert is_undone(page, text)
        browser.good(browser.apply(edit("pack", "shed", "unit", "9")))
        page.wait_for("the new configuration is in force")
        page.stop(signal.SIGKILL)
        until(lambda: is_undone(page, text), bool)


def ask_helper(path, line, wait=True):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(line + b"\n")
        return json.loads(connection.makefile("rb").readline() or b"null") if wait else None


def test_helper_asked_for_other_things():
    with helped() as (page, path):
        other = os.path.join(page.folder, "other.ini")
        with open(other, "w") as file:
            file.write("[gateway]\n")
        before, hash = read(page.path), Browser(page).arm().hash()
        one = [edit("pack", "shed", "unit", "7")]
        for request in ({"hash": hash, "edits": one, "path": other}, {"hash": hash, "edits": one, "text": "[gateway]\n"},
                        {"path": other, "text": "[gateway]\n"}, {"hash": hash, "edits": [{**one[0], "file": other}]}, [], "text", 3):
            answer = ask_helper(path, json.dumps(request).encode())
            assert answer["http"] == 400, (request, answer)
        assert ask_helper(path, b"no json")["http"] == 400
        assert ask_helper(path, json.dumps({"hash": hash, "edits": [edit("pack", "shed", "writable", "yes")]}).encode())["http"] == 403
        for name in ("../../tmp/x", "a/b", ".."):
            answer = ask_helper(path, json.dumps({"hash": hash, "edits": [{"section": "mqtt", "name": name, "key": "password_file",
                                                                           "secret": "x"}]}).encode())
            assert answer["http"] in (403, 422), answer
        assert ask_helper(path, json.dumps({"hash": "0" * 16, "edits": one}).encode())["http"] == 409
        assert ask_helper(path, json.dumps({"hash": hash, "edits": [edit("pack", "shed", "unit", "0")]}).encode())["http"] == 422
        assert is_undone(page, before) and read(other) == "[gateway]\n" and not os.path.exists(page.path + ".old")
        # A helper whose connection ends undoes the configuration.
        ask_helper(path, json.dumps({"hash": hash, "edits": one}).encode())
        until(lambda: is_undone(page, before), bool)


def test_a_helper_that_hangs():
    """The gateway continues, and the browser gets an error."""
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    path = os.path.join(folder, "socket")
    with socket.socket(socket.AF_UNIX) as deaf, Page(packs=PACKS, arguments=("--helper", path)) as page:
        deaf.bind(path)
        deaf.listen(5)
        browser = Browser(page).arm()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            applied = pool.submit(browser.apply, edit("pack", "shed", "unit", "7"))
            polls = page.json("/api/v1/packs/shed")["polls"]
            until(lambda: page.json("/api/v1/packs/shed")["polls"], lambda now: now > polls + 10)
            assert browser.good(browser.get("state"))["pending"] is None
            assert applied.result()[0] == 503
    shutil.rmtree(folder)


# ---- secrets ----

def test_secrets():
    broker = "[mqtt home]\nbroker = mqtt://127.0.0.1:1\nuser = me\n"
    with Page(packs=PACKS + broker) as page:
        browser = Browser(page).arm()
        before = read(page.path)
        secret = {"section": "mqtt", "name": "home", "key": "password_file", "secret": "s3cret w0rd"}
        checked = browser.good(browser.post("check", {"hash": browser.hash(), "edits": [secret]}))
        assert checked["errors"] == 0 and checked["remarks"] == [], checked
        browser.good(browser.apply(secret))
        page.wait_for("the new configuration is in force")
        browser.await_state(lambda state: state["pending"])
        (path,) = glob.glob(page.folder + "/*-mqtt-home-password")
        assert read(path) == "s3cret w0rd" and stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert read(page.path) == before.replace("user = me\n", f"user = me\npassword_file = {path}\n")
        browser.good(browser.post("undo"))
        browser.await_state(lambda state: not state["pending"])
        assert is_undone(page, before) and not os.path.exists(path)
        page.wait_for("the new configuration is in force")
        browser.good(browser.apply(secret))
        page.wait_for("the new configuration is in force")
        browser.await_state(lambda state: state["pending"])
        browser.good(browser.post("keep"))
        # It is never sent back.
        for answer in (browser.get("config"), browser.get("state"), browser.get("keys"), browser.post("ports"), browser.get("probe"),
                       browser.post("check", {"hash": browser.hash(), "edits": [edit("mqtt", "home", "topic", "x")]}),
                       page.ask("/api/v1/gateway")):
            assert answer[0] == 200 and "s3cret" not in str(answer), answer
        config = browser.good(browser.get("config"))
        (section,) = [s for s in config["sections"] if s["section"] == "mqtt"]
        assert [key for key in section["keys"] if key["key"] == "password_file"] == \
            [{"key": "password_file", "line": section["line"] + 3, "web": False, "set": True, "secret": True}]
        # It can be removed.
        browser.good(browser.apply({**secret, "secret": None}))
        page.wait_for("the new configuration is in force")
        assert "password_file" not in read(page.path).split("[web]")[0]
    assert not any("s3cret" in line for line in page.lines)


def test_secrets_in_the_clear():
    """From another host, without encryption: rejected. 127.0.0.1 behind a proxy counts as another host."""
    with Page(packs=PACKS + "[mqtt home]\nbroker = mqtt://127.0.0.1:1\nuser = me\n", web="proxy = 127.0.0.1") as page:
        far = Browser(page, **{"X-Forwarded-For": "192.168.7.7", "X-Forwarded-Proto": "http"})
        far.arm()
        secret = {"section": "mqtt", "name": "home", "key": "password_file", "secret": "s3cret"}
        for what in ("check", "text", "apply", "try"):
            status, answer = far.post(what, {"hash": far.hash(), "edits": [secret]})
            assert status == 403 and "unencrypted" in answer["error"], (what, status, answer)
        assert far.post("check", {"hash": far.hash(), "edits": [secret]}, X_Forwarded_Proto="https")[0] == 200
        assert not glob.glob(page.folder + "/*-password")


if __name__ == "__main__":
    main([value for name, value in list(globals().items()) if name.startswith("test_")], at_once=4)
