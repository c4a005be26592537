# SPDX-License-Identifier: MIT
"""Shared by the tests of the control socket."""

import contextlib
import json
import os
import socket
import subprocess

from harness import PACKGATE, PATIENCE, until


def run(*arguments, status=0, **options):
    result = subprocess.run([PACKGATE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                            **options)
    assert result.returncode == status, (arguments, result)
    return result.stdout.decode() if status == 0 else result.stderr.decode()


class Link(contextlib.AbstractContextManager):
    """A connection to the control socket."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        until(lambda: self.socket.connect_ex(os.path.join(gateway.folder, "control")), lambda error: error == 0)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def next(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, what, **more):
        self.send(json.dumps({"ask": what, **more}).encode() + b"\n")
        return self.next()

    def close(self):
        self.file.close()
        self.socket.close()

    def __exit__(self, *arguments):
        self.close()


def named(objects, name, key="name"):
    return next(found for found in objects if found[key] == name)
