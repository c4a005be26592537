# SPDX-License-Identifier: MIT
"""The page's server: values as JSON and as a stream, and what is refused."""

import json
import signal
import subprocess
import time

from harness import PATIENCE, main, simulate
from web_harness import Page, Stream, read_all

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 1s\n"


def test_values():
    with Page() as page:
        packs = page.await_fresh()
        assert list(packs) == ["shed", "boat", "all"]
        shed = packs["shed"]
        assert shed["kind"] == "pack" and shed["state"] == "fresh" and shed["unit"] == 1 and shed["protocol"] == "topbms"
        assert shed["cell_count"] == 16 and 3000 < shed["cell_mv.16"] < 3600 and "cell_mv.17" not in shed
        assert shed["writable"] == 1 and packs["boat"]["writable"] == 0
        assert shed["alarms"] == [] and shed["alarm_level"] == 0 and "last" not in shed
        assert packs["all"]["kind"] == "bank" and packs["all"]["members"] == ["shed", "boat"]
        one = page.json("/api/v1/packs/shed")
        assert one["pack"] == "shed" and set(one) >= {"voltage_v", "soc_percent", "temp_max_c", "charged_wh", "polls"}
        assert page.ask("/healthz")[2] == b"ok\n"


def test_curl_agrees():
    with Page() as page:
        page.await_fresh()
        text = subprocess.run(["curl", "-sSf", f"http://localhost:{page.web}/api/v1/packs/boat"], check=True,
                              stdout=subprocess.PIPE).stdout
        assert json.loads(text)["cell_count"] == 8


def test_page():
    with Page() as page:
        status, headers, body = page.ask("/")
        assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8" and body
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy == {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'",
                          "img-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Access-Control-Allow-Origin"] is None
        status, _, body = page.ask("/", headers={"If-None-Match": headers["ETag"]})
        assert status == 304 and body == b""


def test_silent_pack():
    """Old values stand in an object of their own, and the stream tells of it."""
    program, port = simulate("daly", "cells=8,soc=50")
    with program, Page(packs=PACK.format("shed", port, 1)) as page:
        page.await_fresh()
        with Stream(page.web) as stream:
            program.process.send_signal(signal.SIGSTOP)
            try:
                _, event = stream.next("alarm")
                assert event == {"pack": "shed", "kind": "stale"}, event
                while (pack := stream.next("pack")[1])["fresh"]:
                    pass
                assert pack["state"] == "stale" and "soc_percent" not in pack and pack["last"]["soc_percent"] == 50
                whole = page.json("/api/v1/packs/shed")
                assert "cell_mv.1" not in whole and "cell_mv.1" in whole["last"] and whole["age_s"] > 0.5, whole
                assert whole["alarms"] == [] and whole["polls"] > 0
            finally:
                program.process.send_signal(signal.SIGCONT)
            while stream.next("alarm")[1]["kind"] != "back":
                pass
        page.await_fresh()


def test_stream():
    with Page() as page:
        page.await_fresh()
        with Stream(page.web, "/api/v1/events?detail=boat%2Cnobody") as stream:
            assert stream.answer.headers["Content-Type"] == "text/event-stream"
            event, data = stream.next()
            assert event == "beat" and abs(data["time"] - time.time()) < PATIENCE
            first = {data["pack"]: data for data in (stream.next("pack")[1] for _ in range(3))}
            assert list(first) == ["shed", "boat", "all"]
            brief = {"pack", "kind", "state", "fresh", "age_s", "alarms", "soc_percent", "power_w", "voltage_v", "current_a",
                     "cell_delta_mv", "temp_max_c", "alarm_level"}
            assert set(first["shed"]) == brief, set(first["shed"]) ^ brief
            assert "cell_mv.8" in first["boat"]
            stream.next("beat")


def test_a_hung_gateway_is_not_well():
    with Page() as page:
        page.await_fresh()
        with Stream(page.web) as stream:
            page.process.send_signal(signal.SIGSTOP)
            try:
                deadline = time.monotonic() + PATIENCE
                while page.ask("/healthz")[0] != 503:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                assert all(pack["state"] == "stale" for pack in page.json("/api/v1/packs"))
                while stream.next("pack")[1]["fresh"]:
                    pass
            finally:
                page.process.send_signal(signal.SIGCONT)
        page.await_fresh()
        assert page.ask("/healthz")[0] == 200


def test_hosts():
    with Page("hosts = battery.example.net") as page:
        for host, status in [("battery.example.net", 421), (f"battery.example.net:{page.web}", 200),
                             (f"localhost:{page.web}", 200), (f"LocalHost.:{page.web}", 200), (f"[::1]:{page.web}", 200),
                             (f"evil.example:{page.web}", 421), ("127.0.0.1", 421), ("a b", 400)]:
            for path in ("/", "/api/v1/packs", "/healthz"):
                assert page.ask(path, host=host)[0] == status, (host, path)
        # An absolute request line counts more than the header.
        assert page.ask(f"http://evil.example:{page.web}/healthz")[0] == 421
        assert page.ask(f"http://localhost:{page.web}/healthz", host="evil.example")[0] == 200
        with page.raw(b"GET /healthz HTTP/1.0\r\n\r\n") as raw:
            assert b" 400 " in read_all(raw).split(b"\r\n")[0]


def test_addresses_and_methods():
    with Page() as page:
        for path in ("/x", "/api", "/api/v1/", "/api/v1/packs/", "/api/v1/packs/nobody", "/api/v1/packs/shed/x", "//",
                     "/../etc/passwd", "/a/../../etc/passwd", "/%2e%2e/etc/passwd", "/a/..%2f..%2fetc%2fpasswd", "/healthz%00",
                     "/healthz/", "/etc/passwd", "/a/", "/.git/config", "/api/v1/packs/sh%65d"):
            status, _, body = page.ask(path)
            assert status == 404 and "error" in json.loads(body), (path, status, body)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, _ = page.ask("/api/v1/packs", method=method)
            assert status == 405 and headers["Allow"] == "GET, HEAD", (method, status, headers.items())
        status, headers, body = page.ask("/api/v1/packs", method="HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 0 and body == b""


if __name__ == "__main__":
    main([test_values, test_curl_agrees, test_page, test_silent_pack, test_stream, test_a_hung_gateway_is_not_well, test_hosts,
          test_addresses_and_methods])
