# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""Attacks on set-up in the browser: requests made by hand, a helper that fails or lies, configurations that break the
gateway. test_setup_api tests the normal cases."""

import contextlib
import glob
import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading

from control_harness import run
from harness import PACKGATE, PATIENCE, Program, children_of, free_port, main, until
from http_standin import HttpStandin
from test_page import CHROMIUM
from test_setup_api import PACKS, Browser, ask_helper, await_reload, edit, helped, is_undone, read, steady_page
from web_harness import Page, read_all

UNIT_7 = edit("pack", "shed", "unit", "7")
BROKER = "[mqtt home]\nbroker = mqtt://127.0.0.1:1\nuser = me\n"


def secret_of(section, name, key, text):
    return {"section": section, "name": name, "key": key, "secret": text}


PASSWORD = secret_of("mqtt", "home", "password_file", "s3cret w0rd")


def savers(page):
    """The processes that hold the configuration of this page until it is kept."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            words = file.read().split(b"\0")
            if b"setup-save" in words[:2] and page.path.encode() in words:
                found.append(int(path.split("/")[2]))
    return found


def apply_and_wait(page, *edits):
    browser = Browser(page).arm()
    browser.good(browser.apply(*(edits or (UNIT_7,))))
    assert await_reload(page, browser)["pending"]
    return browser


# ---- who saves it fails ----

def test_who_saves_is_killed():
    """Another helper restores the previous file, and the gateway reloads it."""
    for way in (helped, lambda: steady_page(packs=PACKS)):
        with way() as given:
            page = given[0] if isinstance(given, tuple) else given
            before = read(page.path)
            browser = apply_and_wait(page)
            (saver,) = savers(page)
            os.kill(saver, signal.SIGKILL)
            page.wait_for(r"\[pack shed\] unit: 1, was 7")
            state = await_reload(page, browser)
            assert is_undone(page, before) and "has ended" in state["undone"] and not state["pending"], state
            # The next attempt works.
            browser.good(browser.apply(UNIT_7))
            assert await_reload(page, browser)["pending"]
            browser.good(browser.post("keep"))
            assert "unit = 7" in read(page.path)


class Liar(contextlib.AbstractContextManager):
    """A helper whose behaviour the test sets."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="packgate-setup-")
        self.path = os.path.join(self.folder, "socket")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(5)
        self.socket.settimeout(PATIENCE)

    def accept(self):
        """The next connection, and its first line."""
        connection, _ = self.socket.accept()
        connection.settimeout(PATIENCE)
        file = connection.makefile("rw")
        return file, file.readline().strip()

    def __exit__(self, *arguments):
        self.socket.close()
        os.unlink(self.path)
        os.rmdir(self.folder)


def say(file, **said):
    file.write(json.dumps(said) + "\n")
    file.flush()


def begin_apply(browser):
    """Runs in a thread: (thread, answers)"""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(browser.apply(UNIT_7)))
    thread.start()
    return thread, answers


def test_rejected_reload():
    """The gateway rejects the saved configuration, although it was checked: it reports that, requests the previous
    file, and reloads that."""
    with Liar() as helper, steady_page(packs=PACKS, arguments=("--helper", helper.path)) as page:
        browser, before = Browser(page).arm(), read(page.path)
        thread, answers = begin_apply(browser)
        file, _ = helper.accept()
        with open(page.path, "w") as config:
            config.write(before.replace("unit = 1", "unit = 0"))
        say(file, hash="0" * 16, keep_within_s=120)
        thread.join()
        assert answers[0][0] == 200
        page.wait_for("the new configuration is rejected")
        assert file.readline() == "undo\n"
        with open(page.path, "w") as config:
            config.write(before)
        say(file, undone="it was undone in the browser")
        page.wait_for("the previous configuration is back: the gateway could not switch to it")
        page.wait_for("the new configuration is in force, without changes")
        state = browser.await_state(lambda state: not state["pending"])
        assert "could not switch" in state["undone"], state
        assert page.json("/api/v1/packs/shed")["unit"] == 1


def test_what_cannot_be_put_back_is_said():
    with Liar() as helper, steady_page(packs=PACKS, arguments=("--helper", helper.path)) as page:
        browser = Browser(page).arm()
        for end, said, status in (("undo", {"error": "No space left on device", "http": 503}, 503), ("keep", {"undone": "it was not kept in time"}, 409),
                                  ("keep", {"nonsense": 1}, 409)):
            thread, answers = begin_apply(browser)
            file, _ = helper.accept()
            say(file, hash="0" * 16, keep_within_s=120)
            thread.join()
            assert answers[0][0] == 200
            page.wait_for("the new configuration is in force")
            ended = []
            thread = threading.Thread(target=lambda: ended.append(browser.post(end)))  # pylint: disable=cell-var-from-loop
            thread.start()
            assert file.readline() == end + "\n"
            say(file, **said)
            thread.join()
            assert ended[0][0] == status, (end, said, ended)
            state = browser.good(browser.get("state"))
            assert state["undone"] and not state["pending"], state
            page.wait_for("the new configuration is in force" if "undone" in said else "was not kept is in force")
    assert not any("the new configuration is kept" in line for line in page.lines), page.lines


def test_all_that_is_said_at_once():
    """Replies that the helper has sent while the gateway could not read are handled in order; and if it is lost while
    it saves, nothing counts as kept."""
    with Liar() as helper, steady_page(packs=PACKS, arguments=("--helper", helper.path)) as page:
        browser = Browser(page).arm()
        thread, answers = begin_apply(browser)
        file, _ = helper.accept()
        file.write(json.dumps({"hash": "0" * 16, "keep_within_s": 120}) + "\n" + json.dumps({"undone": "it was not kept in time"}) + "\n")
        file.close()
        thread.join()
        assert answers[0][0] == 200
        page.wait_for("the previous configuration is back: it was not kept in time")
        page.wait_for("the new configuration is in force")
        assert "in time" in browser.await_state(lambda state: not state["pending"])["undone"]
        # The next helper reports whether there is anything to restore.
        for said, was in (({"undone": "the program that saved it has ended"}, "has ended"), ({"hash": "1" * 16}, "has ended"), ({"hash": "0" * 16}, None)):
            thread, answers = begin_apply(browser)
            file, _ = helper.accept()
            say(file, hash="0" * 16, keep_within_s=120)
            thread.join()
            page.wait_for("the new configuration is in force")
            file.close()
            file, line = helper.accept()
            assert line == "undo"
            say(file, **said)
            page.wait_for("the previous configuration is back" if was else "the new configuration is kept")
            if was:
                page.wait_for("the new configuration is in force")
            state = browser.await_state(lambda state: not state["pending"])
            assert was is state["undone"] or was in state["undone"], (said, state)
        thread, answers = begin_apply(browser)
        helper.accept()[0].close()
        file, line = helper.accept()
        thread.join()
        assert answers[0][0] == 503 and line == "undo"
        say(file, undone="the program that saved it has ended")
        page.wait_for("the previous configuration is back")


def test_kept_only_when_tried():
    """A configuration to which the gateway has not switched cannot be kept, however fast a browser requests it."""
    with Liar() as helper, steady_page(packs=PACKS, arguments=("--helper", helper.path)) as page:
        browser = Browser(page).arm()
        thread, answers = begin_apply(browser)
        file, _ = helper.accept()
        say(file, hash="0" * 16, keep_within_s=120)
        thread.join()
        assert answers[0][0] == 200
        kept = []
        thread = threading.Thread(target=lambda: kept.append(until(lambda: browser.post("keep"), lambda answer: answer[0] != 409)))
        thread.start()
        assert file.readline() == "keep\n"
        while not page.queue.empty():
            page.lines.append(page.queue.get())
        assert any("the new configuration is in force" in line for line in page.lines), page.lines
        say(file, hash="0" * 16)
        thread.join()
        assert kept[0][0] == 200


def test_a_second_connection_waits():
    """Other requests to the helper cannot undo a configuration that is not kept yet."""
    with helped() as (page, path):
        browser = apply_and_wait(page)
        with contextlib.ExitStack() as stack:
            for line in (b"undo\n", b"{}\n", json.dumps({"hash": browser.hash(), "edits": [edit("pack", "shed", "unit", "9")]}).encode() + b"\n"):
                other = stack.enter_context(socket.socket(socket.AF_UNIX))
                other.connect(path)
                other.sendall(line)
            until(lambda: len(savers(page)), lambda count: count == 4)
            browser.good(browser.post("keep"))
            assert "unit = 7" in read(page.path)


# ---- time ----

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
int poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
    int (*real)(struct pollfd *, nfds_t, int) = (int (*)(struct pollfd *, nfds_t, int)) dlsym(RTLD_NEXT, "poll");
    if (timeout_ms < 60000)
        return real(list, count, timeout_ms);
    for (;;) {
        const int ready = real(list, count, 50);
        if (ready != 0 || access(getenv("TIME_OVER"), F_OK) == 0)
            return ready;
    }
}
"""


@contextlib.contextmanager
def turned_clock():
    """A gateway, and a function that lets the two minutes of its helper be over."""
    with tempfile.TemporaryDirectory(prefix="packgate-setup-") as folder:
        with open(f"{folder}/clock.c", "w") as file:
            file.write(CLOCK)
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", f"{folder}/clock.so", f"{folder}/clock.c", "-ldl"], check=True)
        asan = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        with helped(environment=(f"LD_PRELOAD={folder}/clock.so", f"TIME_OVER={folder}/over", f"ASAN_OPTIONS={asan}")) as (page, _):
            yield page, lambda: open(f"{folder}/over", "w").close()


def test_not_kept_in_time():
    """Without a browser, after the page's process was killed, and with a gateway that hangs."""
    for trouble in ("nobody", "page dies", "gateway hangs"):
        with turned_clock() as (page, let_time_pass):
            before, browser = read(page.path), Browser(page).arm()
            browser.good(browser.apply(UNIT_7))
            page.wait_for(r"\[pack shed\] unit: 7, was 1")
            page.wait_for("web: page at")
            if trouble == "page dies":
                (outlet,) = children_of(page.process.pid)
                os.kill(outlet, signal.SIGKILL)
            elif trouble == "gateway hangs":
                os.kill(page.process.pid, signal.SIGSTOP)
            let_time_pass()
            try:
                until(lambda: is_undone(page, before), bool)
            finally:
                os.kill(page.process.pid, signal.SIGCONT)
            page.wait_for("the previous configuration is back: it was not kept in time")
            page.wait_for(r"\[pack shed\] unit: 1, was 7")
            state = browser.await_state(lambda state: not state["pending"])
            assert "not kept in time" in state["undone"], (trouble, state)
            # The browser is still authorized, and the unit is the previous one.
            assert browser.good(browser.get("config")) and page.json("/api/v1/packs/shed")["unit"] == 1


def test_power_cut_behind_a_link():
    """The configuration is a symbolic link: the file to restore is beside its target."""
    with Page(packs=PACKS) as page:
        page.stop()
        before = read(page.path)
        there = os.path.join(page.folder, "there")
        os.mkdir(there)
        os.rename(page.path, there + "/real.ini")
        os.symlink(there + "/real.ini", page.path)
        with open(there + "/real.ini.before", "w") as file:
            file.write(before)
        with open(there + "/real.ini", "w") as file:
            file.write(before.replace("unit = 1", "unit = 7"))
        with Program(PACKGATE, "run", "-c", page.path) as again:
            assert "is unit 1" in again.wait_for(r"pack shed .*")[0]
        assert read(page.path) == before and os.path.islink(page.path) and os.listdir(there).count("real.ini.before") == 0


def test_power_cut_under_systemd():
    """What the unit runs before the gateway, which may not write there, finds what was not kept where the package has its file."""
    with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../conf/packgate.service")) as unit:
        words = re.search(r"^ExecStartPre=-\+/usr/bin/packgate (.*)$", unit.read(), re.M)[1]
    with tempfile.TemporaryDirectory(prefix="packgate-setup-") as folder:
        for name, text in (("packgate.ini", PACKS.replace("unit = 1", "unit = 7")), ("packgate.ini.before", PACKS)):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        script = f"mount -t tmpfs none /etc && mkdir /etc/packgate && mount --bind {folder} /etc/packgate && exec {os.path.realpath(PACKGATE)} {words}"
        for _ in range(2):  # the second time there is nothing to be done
            subprocess.run(["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c", script], check=True)
            assert read(os.path.join(folder, "packgate.ini")) == PACKS
            assert sorted(os.listdir(folder)) == ["packgate.ini", "packgate.ini.old"]


# ---- secrets ----

def deaf_broker():
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(PATIENCE)
    return server, f"mqtt://127.0.0.1:{server.getsockname()[1]}"


def test_secrets_do_not_follow_an_address():
    """A stored secret is sent only to the address for which it was entered, in a trial as well as by the gateway."""
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    path = os.path.join(folder, "password")
    with open(path, "w") as file:
        file.write("s3cret-word\n")
    os.chmod(path, 0o600)
    packs = PACKS + (f"[mqtt home]\nbroker = mqtts://127.0.0.1:1\nuser = me\npassword_file = {path}\n"
                     f"[mqtt open]\nbroker = mqtt://127.0.0.1:1\ntopic = other\ndiscovery = off\nswitching = yes\n"
                     f"[mqtt none]\nbroker = mqtt://127.0.0.1:1\ntopic = none\ndiscovery = off\npassword_file = none\n"
                     f"[influx base]\nurl = https://127.0.0.1:1/write?db=x\nuser = me\npassword_file = {path}\n"
                     f"[influx old]\nurl = https://127.0.0.1:1/write?db=x\ntoken_file = {path}\n"
                     f"[notify phone]\ntype = ntfy\nurl = https://127.0.0.1:1/topic\nkey_file = {path}\n"
                     f"[notify watch]\ntype = pushover\nkey_file = {path}\n")
    with Page(packs=packs) as page:
        browser, before = Browser(page).arm(), read(page.path)
        hash = browser.hash()
        # The unencrypted scheme of the same address counts as another address.
        bad = [edit("mqtt", "home", "broker", "mqtts://evil.example"), edit("mqtt", "home", "broker", "mqtt://127.0.0.1:1"),
               edit("mqtt", "open", "broker", "mqtt://evil.example"), edit("influx", "base", "url", "https://evil.example/write?db=x"),
               edit("influx", "old", "url", "https://evil.example/write?db=x"), edit("notify", "phone", "url", "https://evil.example/topic"),
               edit("notify", "phone", "type", "webhook"), edit("notify", "watch", "url", "https://evil.example/")]
        for one in bad:
            for what in ("check", "apply"):
                status, answer = browser.post(what, {"hash": hash, "edits": [UNIT_7, one]})
                assert status == 403 and ("password again" in answer["error"] or "switching" in answer["error"]), (one, status, answer)
        server, address = deaf_broker()
        with server:
            browser.good(browser.post("try", {"kind": "mqtt", "name": "home", "edits": [edit("mqtt", "home", "broker", address)]}))
            status, answer = until(lambda: browser.get("try"), lambda answer: not answer[1]["running"])
            assert status == 403 and "password again" in answer["error"], answer
            server.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                raise AssertionError(server.accept())
        # With a new password, without one, or if none is stored, the address can be changed.
        for good in ([bad[0], PASSWORD], [bad[0], {**PASSWORD, "secret": None}], [edit("mqtt", "home", "broker", "mqtts://127.0.0.1:1")],
                     [edit("mqtt", "none", "broker", "mqtt://127.0.0.1:2")], [edit("mqtt", "home", "topic", "x")],
                     [{"section": "mqtt", "name": "home", "remove": True}, bad[0]]):
            status, answer = browser.post("check", {"hash": hash, "edits": good})
            assert status == 200, (good, answer)
        assert read(page.path) == before
    subprocess.run(["rm", "-r", folder], check=True)


def secret_files(page):
    return sorted(name for name in os.listdir(page.folder) if name.endswith("-mqtt-home-password"))


def test_secret_files_end_with_what_names_them():
    with steady_page(packs=PACKS + BROKER) as page:
        browser = Browser(page).arm()

        def apply(end, *edits):
            browser.good(browser.apply(*edits))
            page.wait_for("the new configuration is in force")
            browser.await_state(lambda state: state["pending"])
            browser.good(browser.post(end))
            if end == "undo":
                page.wait_for("the new configuration is in force")
            browser.await_state(lambda state: not state["pending"])

        apply("undo", PASSWORD)
        assert secret_files(page) == []
        apply("keep", PASSWORD)
        apply("keep", PASSWORD)
        # An old configuration still names the first one.
        assert len(secret_files(page)) == 2
        for n in range(10):
            assert len(secret_files(page)) == 2, n
            apply("keep", edit("mqtt", "home", "interval", f"{n + 20}s"))
        (name,) = secret_files(page)
        assert name in read(page.path)
        # Files left behind by a power cut; foreign files, and those that another configuration names, stay.
        for other in ("99-mqtt-home-password", "98-mqtt-home-password", "97-backup-key", "password", "96-mqtt-home-password.txt", "+95-mqtt-home-password"):
            with open(f"{page.folder}/{other}", "w") as file:
                file.write("x")
        with open(f"{page.folder}/second.ini", "w") as file:
            file.write(f"password_file = {page.folder}/98-mqtt-home-password\n")
        # No configuration is that large.
        with open(f"{page.folder}/large", "wb") as file:
            file.write(b"x" * 2 * 1024 * 1024 + f"{page.folder}/99-mqtt-home-password".encode())
        apply("keep", edit("mqtt", "home", "interval", "11s"))
        assert secret_files(page) == sorted([name, "98-mqtt-home-password", "+95-mqtt-home-password"]), secret_files(page)
        assert os.path.exists(f"{page.folder}/97-backup-key")
        assert os.path.exists(f"{page.folder}/96-mqtt-home-password.txt") and os.path.exists(f"{page.folder}/password")
        # The numbers start over: the file in use is neither overwritten nor removed.
        subprocess.run(["rm", "-r", page.path + ".old"], check=True)
        os.rename(f"{page.folder}/{name}", f"{page.folder}/1-mqtt-home-password")
        text = read(page.path).replace(name, "1-mqtt-home-password")
        with open(page.path, "w") as file:
            file.write(text)
        apply("undo", {**PASSWORD, "secret": "other"})
        assert read(f"{page.folder}/1-mqtt-home-password") == "s3cret w0rd" and read(page.path) == text


def test_a_power_cut_leaves_no_secret():
    with helped(packs=PACKS + BROKER) as (page, _):
        browser, before = Browser(page).arm(), read(page.path)
        browser.good(browser.apply(PASSWORD))
        page.wait_for("the new configuration is in force")
        assert len(secret_files(page)) == 1 and stat.S_IMODE(os.stat(f"{page.folder}/{secret_files(page)[0]}").st_mode) == 0o600
        (saver,) = savers(page)
        os.kill(page.process.pid, signal.SIGSTOP)
        os.kill(saver, signal.SIGKILL)
        page.stop(signal.SIGKILL)
        assert not is_undone(page, before) and len(secret_files(page)) == 1
        run("setup-save", "--undo", "-c", page.path)
        assert is_undone(page, before) and secret_files(page) == []


def test_secrets_are_not_handed_out():
    """Neither the whole file nor a hash with which masked values could be guessed."""
    with steady_page(packs=PACKS.replace("# The big one.\n", "# password = s3cret\n")) as page:
        browser = Browser(page).arm()
        hash = browser.hash()
        status, answer = browser.post("text", {"hash": hash, "edits": []})
        assert status == 403 and "s3cret" not in str(answer), answer
        browser.good(browser.apply(UNIT_7))
        assert await_reload(page, browser)["pending"]["hash"] == browser.hash()
        stranger = Browser(page)
        state = stranger.good(stranger.get("state"))
        assert state["pending"]["keep_within_s"] > 0 and "hash" not in state["pending"], state
        for path in ("/api/v1/gateway", "/api/v1/setup/config", "/api/v1/packs", "/metrics", "/api/v1/setup/state", "/api/v1/setup/keys"):
            _, _, text = page.ask(path, headers={"Cookie": f"packgate-setup={browser.cookies['packgate-setup']}"})
            assert b"s3cret" not in text, path
        connection = page.raw(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode())
        with connection:
            connection.shutdown(socket.SHUT_WR)
            assert b"s3cret" not in read_all(connection)
        browser.good(browser.post("keep"))
    assert not any("s3cret" in line for line in page.lines)


# ---- values ----

def test_injection():
    """A value stays a value: it never becomes a line, a section or a comment, and an impossible one is rejected."""
    with Page(packs=PACKS + BROKER) as page:
        browser, before = Browser(page).arm(), read(page.path)
        hash = browser.hash()
        values = ["x\nwritable = yes", "x\rwritable = yes", "x\r\n[web]\r\nallow = any", "x ; comment", "x\t; comment", " x", "x ", "x" * 5000,
                  "\x0bx", "x\x7f", "x\x1b[2J"]
        for value in values:
            status, answer = browser.post("check", {"hash": hash, "edits": [edit("pack", "shed", "name", value)]})
            assert status == 403 and answer["error"], (value, status, answer)
        # These are valid lines, but the check rejects them; nothing else of the file changes.
        for value in ("", "x" * 150, "\ufeffx", "a\u202eb", "x\u2028y"):
            answer = browser.good(browser.post("check", {"hash": hash, "edits": [edit("pack", "shed", "name", value)]}))
            assert answer["errors"] == 1 and [line["op"] for line in answer["diff"] if line["op"] != " "] == ["+"], (value, answer)
        for one in (edit("pack\n[web]", "shed", "unit", "2"), edit("pack", "shed]\n[web", "unit", "2"), edit("pack", "s;x", "unit", "2"),
                    edit("pack", "shed\x00", "unit", "2"), edit("Pack", "shed", "unit", "2"), edit("pack", "shed", "Unit", "2"),
                    edit("pack", "shed", "unit ", "2"), edit("pack", "shed", " unit", "2"), edit("pack", "x" * 300, "unit", "2"),
                    *(edit("line", "shed", "port", path) for path in ("/etc/passwd", "serial:/etc/passwd", "serial:/dev/../etc/passwd", "serial:/tmp/tty")),
                    *(edit("notify", "phone", "type", word) for word in ("Command", "COMMAND")), edit("notify", "phone", "program", "/bin/sh"), edit("line", "shed", "port", "serial:/etc/shadow"),
                    edit("line", "shed", "device", "/dev/ttyS0"), edit("line", "shed", "port", "SERIAL:/etc/shadow")):
            status, answer = browser.post("check", {"hash": hash, "edits": [one]})
            assert status in (400, 403) or (status == 200 and answer["errors"]), (one, status, answer)
            assert browser.apply(one, hash=hash)[0] in (400, 403, 422), one
        for text in ('{"hash":"%s","edits":[{"section":"pack","name":"shed","key":"name","value":"x\\u0000y"}]}', '{"hash":"%s","edits":[],"edits":[]}',
                     '{"hash":"%s","edits":[{"section":"pack","name":"shed","key":"unit","key":"writable","value":"yes"}]}', "[" * 5000, "\xff", "", "{"):
            body = (text % hash if "%" in text else text).encode("latin-1")
            status, _, answer = page.ask("/api/v1/setup/apply", "POST", {"Origin": f"http://127.0.0.1:{page.web}", "Content-Type": "application/json",
                                                                          "Cookie": f"packgate-setup={browser.cookies['packgate-setup']}"}, body)
            assert status == 400, (text, status, answer)
        for port in ("serial:/etc/passwd", "serial:/dev/../etc/passwd", "serial:", "sim:cells=4"):
            status, answer = browser.post("probe", {"port": port})
            assert status == 403, (port, status, answer)
        assert read(page.path) == before and not os.path.exists(page.path + ".old")


def test_texts_that_are_cut():
    """A message that was cut within a character is still an answer, and the session continues; a file in another
    encoding is shown."""
    with helped() as (page, path):
        browser, before = Browser(page).arm(), read(page.path)
        hash = browser.hash()
        for n in range(34, 42):
            for one in (edit("pack", "a" * n + "ü" * 30, "unit", "2"), edit("x" * n + "€" * 30, "", "unit", "2"), edit("pack", "shed", "k" * n + "ü" * 30, "2"),
                        secret_of("mqtt", "home", "k" * n + "ü" * 30, "x")):
                request = {"hash": hash, "edits": [one]}
                status, answer = browser.post("check", request)
                assert status == 403 and answer["error"], (one, status, answer)
                assert ask_helper(path, json.dumps(request).encode())["http"] == 403, one
        assert is_undone(page, before)
        with open(page.path, "ab") as file:
            file.write("\n# Küche\n[pack k\xfcche]\nname = K\xfcche\nunit = 3\n[bank gr\xfcn]\npacks = shed\n".encode("latin-1"))
        config = browser.good(browser.get("config"))
        assert any(remark["level"] == "error" for remark in config["remarks"]), config
        assert {(s["section"], s["name"]) for s in config["sections"]} >= {("pack", "shed")}, config
        answer = browser.good(browser.post("check", {"hash": config["hash"], "edits": [UNIT_7]}))
        assert answer["errors"] and any(line["text"] == "unit = 7" for line in answer["diff"]), answer
        assert browser.apply(UNIT_7)[0] == 422


# ---- browsers ----

def test_cookie_fixation():
    """A token that an attacker has planted is not the token of the session that begins."""
    with Page(packs=PACKS) as page:
        planted = "ab" * 32
        browser = Browser(page)
        browser.cookies["packgate-setup"] = planted
        browser.arm()
        assert browser.cookies["packgate-setup"] != planted and browser.get("config")[0] == 200
        thief = Browser(page)
        thief.cookies["packgate-setup"] = planted
        assert thief.get("config")[0] == 403
        # A planted cookie beside the right one opens nothing for others, and tokens elsewhere do not count.
        good = browser.cookies["packgate-setup"]
        assert thief.get(f"config?packgate-setup={good}")[0] in (403, 404) and thief.get("config", Authorization=f"Bearer {good}")[0] == 403
        assert thief.get("config", Cookie=f"packgate-setu={good}")[0] == 403 and thief.get("config", Cookie=f"xpackgate-setup={good}")[0] == 403


def test_two_at_once():
    """Of two simultaneous requests to apply, one is saved."""
    with steady_page(packs=PACKS) as page:
        browser = Browser(page).arm()
        hash, answers = browser.hash(), []
        threads = [threading.Thread(target=lambda unit=unit: answers.append(browser.apply(edit("pack", "shed", "unit", unit), hash=hash)[0]))
                   for unit in ("7", "8", "9")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200, 409, 409], answers
        page.wait_for("the new configuration is in force")
        browser.await_state(lambda state: state["pending"])
        browser.good(browser.post("keep"))
        assert len(re.findall("^unit = [789]$", read(page.path), re.M)) == 1


def test_a_stranger_before_the_owner():
    """A gateway that starts without a configuration, as in a container: its page can be opened, set-up cannot."""
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    first, path, control = f"{folder}/first.ini", f"{folder}/packgate.ini", f"{folder}/control"
    port = free_port()
    with open(first, "w") as file:
        file.write(f"[gateway]\nlisten = 127.0.0.1:0\nstate_file = {folder}/state\ncontrol = {control}\n[web]\nlisten = 127.0.0.1:{port}\n")

    class Bare(Program):
        folder, path, web = None, None, port
        ask = Page.ask

    with Bare(PACKGATE, "run", "-c", path, "--first", first, env={**os.environ, "container": "oci"}) as gateway:
        gateway.wait_for("web: page at")
        gateway.folder, gateway.path = folder, path
        stranger = Browser(gateway)
        state = stranger.good(stranger.get("state"))
        assert not state["armed"] and state["packs"] == 0 and "hash" not in str(state)
        assert state["command"] == "docker exec -it packgate packgate setup"
        for what in ("check", "apply", "ports", "probe", "try", "text", "keep", "undo"):
            assert stranger.post(what, {"hash": "0" * 16, "edits": []})[0] == 403, what
        assert stranger.post("arm", {"code": ""})[0] == 403 and stranger.post("arm", {"code": "null"})[0] == 403
        assert not os.path.exists(path)
        # The owner gets a hint how to name a gateway whose file does not exist yet.
        assert "--control PATH" in run("setup", "-c", path, status=1)
        code = re.search(r"#/setup/start/([a-z2-9]{8})\n", run("setup", "-c", path, "--control", control))[1]
        owner = Browser(gateway)
        owner.good(owner.post("arm", {"code": code}))
        assert stranger.get("config")[0] == 403 and owner.get("config")[0] == 200
    subprocess.run(["rm", "-r", folder], check=True)


def test_who_tries_is_in_the_log():
    with Page(packs=PACKS) as page:
        browser = Browser(page)
        assert browser.post("arm", {"code": "abcdefgh"})[0] == 403
        page.wait_for(r"warning: web: 127\.0\.0\.1 has entered a wrong code for set-up")
        browser.arm()
        page.wait_for(r"web: 127\.0\.0\.1 has opened set-up with the code")


def test_other_users_get_no_code():
    """Neither other users nor the group of the service, which may read the status."""
    if os.geteuid() != 0:
        return
    folder = tempfile.mkdtemp(prefix="packgate-setup-")
    os.chmod(folder, 0o755)
    path = folder + "/control"
    script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
              "try:\n    s.sendall(b'{\"ask\":\"setup\"}\\n')\nexcept OSError:\n    pass\nprint(s.makefile().readline())")
    with Page(packs=PACKS, control=path) as page:
        until(lambda: os.path.exists(path), bool)
        os.chmod(path, 0o666)
        for group in (os.getegid(), 65534):
            said = subprocess.run(["/usr/bin/python3", "-c", script, path], user=65534, group=group, extra_groups=[], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False, timeout=PATIENCE).stdout
            assert b"error" in said and b"code" not in said, said
        assert not Browser(page).good(Browser(page).get("state"))["armed"]
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_search_ends_with_its_session():
    """It occupies a port, which a new configuration may need."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, steady_page(packs=PACKS) as page:
        for end in ("leave", "new code", "apply"):
            browser = Browser(page).arm()
            browser.good(browser.post("probe", {"port": f"tcp://127.0.0.1:{deaf.getsockname()[1]}"}))
            assert browser.good(browser.get("probe"))["running"]
            if end == "apply":
                browser.good(browser.apply(UNIT_7))
                assert await_reload(page, browser)["pending"]
            elif end == "leave":
                browser.good(browser.post("leave"))
            browser = browser if end == "apply" else Browser(page).arm()
            assert browser.good(browser.get("probe")) == {"running": False}, end
        browser.good(browser.post("keep"))


# Keys that a browser can set. A key that is added here needs a review: is it a path, a command, an access right, an
# address to listen on?
WEB_KEYS = {
    "gateway": "name temperature poll location",
    "line": "port protocol baud reply_timeout gap settle listen key_file",
    "pack": "name line protocol address current capacity unit poll",
    "bank": "name packs unit min_packs",
    "mqtt": "broker user password_file topic interval layout discovery",
    "history": "commit keep",
    "influx": "url user password_file interval layout backfill",
    "notify": "type url key_file user from to priority events",
}


def test_all_other_keys():
    """Of all existing keys, including those of older versions and those that only the manual lists."""
    keys, section = {}, None
    for line in run("check", "--keys").splitlines():
        heading, key = re.match(r"\[(\w+)", line), re.match(r"  (\w+)$", line)
        section = heading[1] if heading else section
        if key:
            keys.setdefault(section, []).append(key[1])
    assert len(keys) >= 12 and sum(len(names) for names in keys.values()) > 100, keys
    old = {"gateway": ["spikes"], "line": ["framing", "rts", "tries"], "pack": ["variant", "adr"], "mqtt": ["client_key", "discovery_prefix", "verify"], "influx": ["token_file", "client_key", "verify"], "notify": ["url_file", "verify", "topic"], "web": ["tls_key"]}
    with Page(packs=PACKS) as page:
        browser = Browser(page).arm()
        listed = browser.good(browser.get("keys"))
        for word, rows in listed.items():
            assert {row["key"] for row in rows} <= set(WEB_KEYS[word].split()), (word, rows)
        hash, count = browser.hash(), 0
        for word, names in keys.items():
            for name in names + old.get(word, []):
                if any(row["key"] == name for row in listed.get(word, [])):
                    continue
                for title in ("", "x"):
                    answer = browser.post("check", {"hash": hash, "edits": [edit(word, title, name, "no")]})
                    assert answer[0] == 403, (word, name, answer)
                    count += 1
        assert count > 100, count


# ---- a real browser ----

EVIL = """<!doctype html><title>?</title><iframe name="sink"></iframe><script type="module">
const to = 'http://127.0.0.1:%d/api/v1/setup/', body = JSON.stringify(%s), said = [];
const ask = async (what, how) => said.push(await fetch(to + what, { credentials: 'include', ...how }).then(async r => r.type + ' ' + await r.text()).catch(() => 'blocked'));
for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
  for (const mode of ['cors', 'no-cors'])
    await ask('apply', { method: 'POST', mode, headers: { 'Content-Type': type }, body });
await ask('config', {});
await ask('config', { mode: 'no-cors' });
navigator.sendBeacon(to + 'apply', new Blob([body], { type: 'text/plain' }));
const form = document.createElement('form'), input = document.createElement('input');
Object.assign(form, { method: 'post', enctype: 'text/plain', target: 'sink', action: to + 'apply' });
[input.name, input.value] = [body.slice(0, -1) + ',"x":"', '"}'];
form.append(input);
document.body.append(form);
form.submit();
document.title = said.join('|');
</script>"""


def dump(url, *more):
    """The document that a browser creates for an address."""
    assert CHROMIUM, "chromium is missing"
    return subprocess.run([CHROMIUM, "--headless", "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else []), "--virtual-time-budget=10000",
                           *more, "--dump-dom", url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=60).stdout.decode()


def test_pages_of_others_in_a_browser():
    """Set-up is open to everybody at this address, as behind a proxy with a login, and the browser has a page of
    another origin: this can neither change nor read anything. Nor can a page whose own host name resolves here."""
    with Page(packs=PACKS, web="allow = 127.0.0.1\nsetup = ingress") as page:
        before, browser = read(page.path), Browser(page)
        body = json.dumps({"hash": browser.hash(), "edits": [UNIT_7]})

        with HttpStandin(lambda *_: (200, {"Content-Type": "text/html"}, (EVIL % (page.web, body)).encode())) as server:
            for host in ("127.0.0.1", "localhost", "evil.example"):
                text = dump(f"http://{host}:{server.server_port}/", "--host-resolver-rules=MAP evil.example 127.0.0.1")
                said = re.search("<title>(.*?)</title>", text)[1].split("|")
                assert len(said) == 8 and all(word.strip() in ("blocked", "opaque") for word in said), said
        text = dump(f"http://evil.example:{page.web}/api/v1/setup/config", "--host-resolver-rules=MAP evil.example 127.0.0.1")
        assert "unknown host name" in text and "shed" not in text, text
        state = browser.good(browser.get("state"))
        assert read(page.path) == before and not state["pending"] and not state["undone"] and state["yours"]
        # The same body from a page of the gateway is accepted.
        browser.good(browser.post("check", json.loads(body)))


# ---- exhaustion ----

def test_huge_edits():
    """The gateway continues to poll while the page gets the largest possible requests, from more browsers than it has
    processes for."""
    more = "".join(f"[line l{n}]\nport = tcp://127.0.0.1:{n + 1}\nprotocol = daly\n[pack p{n}]\nline = l{n}\nunit = {n + 10}\n" for n in range(60))
    with Page(packs=PACKS + more) as page:
        browser = Browser(page).arm()
        hash = browser.hash()
        many = [edit("pack", f"p{n % 60}", "unit", str(n % 247)) for n in range(800)]
        deep = {"hash": hash, "edits": many}
        while len(json.dumps(deep)) > 63000:
            many.pop()
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(browser.post("check", deep)[0])) for _ in range(8)]
        polls = page.json("/api/v1/packs/shed")["polls"]
        for thread in threads:
            thread.start()
        until(lambda: page.json("/api/v1/packs/shed")["polls"], lambda now: now > polls + 10)
        for thread in threads:
            thread.join()
        assert set(answers) <= {200, 503} and 200 in answers, answers
        status, _, _ = page.ask("/api/v1/setup/check", "POST", {"Content-Type": "application/json"}, b"[" * (65 * 1024))
        assert status == 413, status
        answer = until(lambda: browser.get("config"), lambda answer: answer[0] != 503)  # its processes may not all have ended
        assert browser.good(answer)["hash"] == hash


def test_slow_connections_to_the_helper():
    """Clients that connect to the helper and send nothing, half a line, or far too much do not prevent others from
    saving."""
    with helped() as (page, path), contextlib.ExitStack() as stack:
        for text in (b"", b'{"hash": "', b"x" * 100000):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(path)
            connection.sendall(text)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"x" * 1000000)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        before = read(page.path)
        browser = apply_and_wait(page)
        browser.good(browser.post("undo"))
        await_reload(page, browser)
        assert is_undone(page, before)
        assert ask_helper(path, b"x" * 70000)["http"] == 400


if __name__ == "__main__":
    main([value for name, value in list(globals().items()) if name.startswith("test_")], at_once=4)
