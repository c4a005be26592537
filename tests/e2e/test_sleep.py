# SPDX-License-Identifier: MIT
"""The page's outlet, stopped while it sends values to 200 viewers: no value from before is sent as a fresh one afterwards.
test_late_turn stops the gateway between the requests of a client, and test_late_orders has what was ordered meanwhile."""

import contextlib
import os
import signal
import ssl
import tempfile
import time

from harness import PATIENCE, Program, main, outlet_pid, simulate, until
from web_harness import Page, certificate


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
        except (BlockingIOError, ssl.SSLWantReadError, ConnectionResetError):
            pass
        received.append(data)
    return received


def stop_within_a_tick(outlet, viewers):
    """Stopped when it has sent new values to some of the viewers, and not to the others."""
    inject = f"inject=sendto,sendmsg:signal=STOP:when={VIEWERS // 2}"
    for _ in range(20):
        drain(viewers)
        with Program("strace", "-e", "trace=sendto,sendmsg", "-e", inject, "-p", str(outlet)) as tracer:
            tracer.wait_for("stopped by SIGSTOP")
        served = sum(b"event: pack" in data for data in drain(viewers))
        if 0 < served < VIEWERS:
            return
        os.kill(outlet, signal.SIGCONT)
    raise AssertionError("it cannot be caught")


def open_viewer(page, wrap):
    """A viewer that has received fresh values; an error while there are none yet."""
    viewer = wrap(page.raw())
    viewer.sendall(f"GET /api/v1/events?detail=house HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode())
    received = b""
    while b'"fresh":1' not in received:
        more = viewer.recv(1 << 16)
        if not more:
            raise ConnectionError
        received += more
    return viewer


def stop_a_page(settings="", wrap=lambda connection: connection):
    pack_of, url = simulate("topbms", "", "--variant", "pace")
    settings += f"\nmax_clients = {VIEWERS + 20}, {VIEWERS + 20}, {VIEWERS + 20}"
    with pack_of, Page(settings, pack(url, "poll = 200ms\nstale_after = 2s")) as page, contextlib.ExitStack() as opened:
        viewers = [opened.enter_context(open_viewer(page, wrap)) for _ in range(VIEWERS)]
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
        # Who connects while it cuts the viewers is cut as well.
        until(lambda: open_viewer(page, wrap), bears=OSError).close()


def a_page_that_is_stopped_within_a_tick():
    """Viewers whose turn comes after the stop do not get values from before it as fresh ones."""
    stop_a_page()


def an_encrypted_page_that_is_stopped_within_a_tick():
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        context = ssl.create_default_context(cafile=cert)
        stop_a_page(f"tls_cert = {cert}, {key}", lambda raw: context.wrap_socket(raw, server_hostname="127.0.0.1"))


main([a_page_that_is_stopped_within_a_tick, an_encrypted_page_that_is_stopped_within_a_tick])
