# SPDX-License-Identifier: MIT
"""Set-up in the browser, by requests made by hand: who may, what may be changed, and what happens to a configuration that is not
kept. The screens are test_setup_page's subject."""

import contextlib
import glob
import json
import os
import re
import stat
import subprocess
import time

from control_harness import run
from harness import PACKGATE, PATIENCE, main
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
    """One that keeps its cookies and comes from a page of the gateway."""

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
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                status, state = self.get("state")
                if status == 200 and condition(state):
                    return state
            time.sleep(0.1)
        raise AssertionError(self.get("state"))


def edit(section, name, key, value):
    return {"section": section, "name": name, "key": key, "value": value}


def new_code(page):
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
        assert state["armed"] and not state["yours"] and 800 < state["expires_s"] <= 900
        assert one.get("config")[0] == 403
        assert one.post("arm", {"code": code[:-1]})[0] == 403 and one.post("arm", {"code": code + "a"})[0] == 403
        assert one.post("arm", {"code": code, "more": 1})[0] == 400
        one.good(one.post("arm", {"code": code}))
        assert "HttpOnly" in one.attributes and "SameSite=Strict" in one.attributes
        assert one.good(one.get("state"))["yours"] and one.get("config")[0] == 200
        # It works once, and for one browser.
        assert other.post("arm", {"code": code})[0] == 403
        state = other.good(other.get("state"))
        assert state["armed"] and not state["yours"] and other.get("config")[0] == 403
        other.cookies["packgate-setup"] = "0" * 64
        assert other.get("config")[0] == 403
        other.cookies["packgate-setup"] = "x y" * 20
        assert other.get("config")[0] == 403
        # A new code ends the session before.
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
        # The name of a stranger that leads here.
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
        text = browser.good(browser.post("text", asked))
        assert text.startswith(before[:before.index("unit = 1")] + "unit = 7\n") and "port = sim:cells=16,capacity=150,soc=72,seed=1 ; beside" in text
        asked["edits"] = [edit("pack", "shed", "unit", "0")]
        answer = browser.good(browser.post("check", asked))
        assert answer["errors"] == 1 and answer["remarks"][0]["line"] == 13 and answer["remarks"][0]["level"] == "error", answer
        asked["edits"] = [{"section": "pack", "name": "shed", "remove": True}, {"section": "line", "name": "shed", "remove": True}]
        answer = browser.good(browser.post("check", asked))
        assert [line["text"] for line in answer["diff"] if line["op"] == "+"] == [], answer
        assert read(page.path) == before


if __name__ == "__main__":
    main([value for name, value in list(globals().items()) if name.startswith("test_")], at_once=4)
