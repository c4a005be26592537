# SPDX-License-Identifier: MIT
"""The page's outlet, stopped while it sends values to 200 viewers: no value from before is sent as a fresh one afterwards.
test_late_turn stops the gateway between the requests of a client, and test_late_orders has what was ordered meanwhile."""

import contextlib
import os
import signal
import time

from harness import PATIENCE, Program, main, outlet_pid, simulate
from web_harness import Page


def pack(url, more):
    return f"[line bus]\nport = {url}\nprotocol = topbms\n[pack house]\nvariant = pace\nline = bus\nunit = 1\n{more}\n"


VIEWERS = 200


def drain(viewers, until_closed=False):
    """The bytes that each of them has received by now, or until the end of its connection."""
    received = []
    for viewer in viewers:
        viewer.settimeout(PATIENCE if until_closed else 0)
        data = b""
        try:
            while more := viewer.recv(1 << 16):
                data += more
        except BlockingIOError:
            pass
        except ConnectionResetError:
            pass
        received.append(data)
    return received


def stop_within_a_tick(outlet, viewers):
    """Stopped when it has sent new values to some of the viewers, and not to the others."""
    inject = f"inject=sendto:signal=STOP:when={VIEWERS // 2}"
    for _ in range(20):
        drain(viewers)
        with Program("strace", "-e", "trace=sendto", "-e", inject, "-p", str(outlet)) as tracer:
            tracer.wait_for("stopped by SIGSTOP")
        served = sum(b"event: pack" in data for data in drain(viewers))
        if 0 < served < VIEWERS:
            return
        os.kill(outlet, signal.SIGCONT)
    raise AssertionError("it cannot be caught")


def a_page_that_is_stopped_within_a_tick():
    """Viewers whose turn comes after the stop do not get values from before it as fresh ones."""
    pack_of, url = simulate("topbms", "", "--variant", "pace")
    limits = f"max_clients = {VIEWERS + 20}, {VIEWERS + 20}, {VIEWERS + 20}\n"
    with pack_of, Page(limits, pack(url, "poll = 200ms\nstale_after = 2s"), listen="127.0.0.1:0") as page, contextlib.ExitStack() as opened:
        page.await_fresh()
        request = f"GET /api/v1/events?detail=house HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode()
        viewers = [opened.enter_context(page.raw(request)) for _ in range(VIEWERS)]
        for viewer in viewers:
            while b"event: pack" not in viewer.recv(1 << 16):
                pass
        outlet = outlet_pid(page, "web")
        stop_within_a_tick(outlet, viewers)
        try:
            pack_of.process.send_signal(signal.SIGSTOP)
            time.sleep(4)  # the stop is what is tested
        finally:
            os.kill(outlet, signal.SIGCONT)
        old = [data for data in drain(viewers, until_closed=True) if b'"fresh":1' in data]
        pack_of.process.send_signal(signal.SIGCONT)
        assert not old, (len(old), old[0])
        page.await_fresh(bears=ConnectionError)  # whoever comes while it cuts the viewers is cut as well


main([a_page_that_is_stopped_within_a_tick])
