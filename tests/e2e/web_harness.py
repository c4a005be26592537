# SPDX-License-Identifier: MIT
"""Shared by the tests of the web outlet: a gateway with a page, requests by the standard library, raw sockets,
streams."""

import http.client
import contextlib
import json
import os
import socket
import subprocess

from harness import Gateway, PATIENCE, until

PACKS = """
[line shed]
port = sim:cells=16,capacity=150,soc=72,seed=1
protocol = topbms
[line boat]
port = sim:cells=8,capacity=280,soc=24,seed=2
protocol = daly
[pack shed]
line = shed
unit = 1
poll = 200ms
writable = yes
[pack boat]
line = boat
unit = 2
poll = 200ms
[bank all]
packs = shed, boat
unit = 9
"""


def certificate(folder, name="battery.example.net"):
    """(certificate, key) of a name and 127.0.0.1, self-signed."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", key, "-out", cert], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


class Page(Gateway):
    """A gateway with [web] on a free port."""

    def __init__(self, web="", packs=PACKS, listen="127.0.0.1:0", **options):
        super().__init__(f"{packs}\n[web]\nlisten = {listen}\n{web}\n", **options)
        self.web = int(self.wait_for(r"web: page at https?://.*:(\d+)/")[1])

    def ask(self, path="/", method="GET", headers=None, body=None, host=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": host or f"127.0.0.1:{self.web}", **(headers or {})}.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                body = body.encode() if isinstance(body, str) else body
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path, **options):
        status, headers, body = self.ask(path, **options)
        assert status == 200, (path, status, body)
        assert headers["Content-Type"] == "application/json", headers.items()
        return json.loads(body)

    def raw(self, text=b"", timeout=PATIENCE):
        connection = socket.create_connection(("127.0.0.1", self.web), timeout=timeout)
        if text:
            connection.sendall(text)
        return connection

    def await_fresh(self, *names, bears=()):
        """Waits until these packs, or all, have all values: the vital ones come first."""
        def are_fresh(packs):
            return all(packs[name]["fresh"] and "alarm_level" in packs[name] and
                       ("cell_mv.1" in packs[name] or packs[name]["kind"] == "bank") for name in names or packs)
        return until(lambda: {pack["pack"]: pack for pack in self.json("/api/v1/packs")}, are_fresh, bears=bears)


def read_all(connection):
    """Reads until the peer closes."""
    out = b""
    while True:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


class Stream(contextlib.AbstractContextManager):
    """The events of /api/v1/events, one by one."""

    def __init__(self, port, path="/api/v1/events", headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.request("GET", path, headers=headers or {})
        self.answer = self.connection.getresponse()

    def next(self, kind=None):
        """The next (event, data), of that kind if it is named."""
        while True:
            event, data = None, None
            while True:
                line = self.answer.readline().decode()
                if not line:
                    raise EOFError
                line = line.rstrip("\n")
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    data = json.loads(line[6:])
                elif not line and event:
                    break
            if kind in (None, event):
                return event, data

    def __exit__(self, *arguments):
        self.answer.close()
        self.connection.close()
