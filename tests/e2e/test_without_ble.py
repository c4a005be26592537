# SPDX-License-Identifier: MIT
# tests/run: own build
"""`make BLE=no`: a packgate without Bluetooth and its libraries, which reports that if a configuration needs it."""

import os
import shutil
import subprocess
import tempfile

from harness import PACKGATE, PATIENCE, main

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


BUILT = os.path.dirname(PACKGATE)
# Files that BLE=no compiles differently: gateway/ports/ble is another file, and the check of a configuration reports
# that it is missing.
APART = ("gateway/config/check.o", "gateway/ports/ble/none.o")


def take_what_is_the_same(folder):
    """Objects of the usual build; make compiles those that are missing or outdated."""
    asking = subprocess.run(["grep", "-rlE", "WITH_BLE|__has_include", "bms", "registers", "gateway"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert asking.stdout.split() == ["gateway/config/check.c"], asking.stdout
    for room in ("bms", "registers", "gateway"):
        for at, _, names in os.walk(os.path.join(BUILT, room)):
            to = os.path.join(folder, os.path.relpath(at, BUILT))
            os.makedirs(to)
            for name in names:
                path = os.path.join(to, name)
                if name.endswith(".o") and "ports/ble" not in to and not path.endswith(APART):
                    shutil.copy2(os.path.join(at, name), path)


def leaves_bluetooth_out():
    with tempfile.TemporaryDirectory() as folder:
        # pkg-config without the libraries of Bluetooth, as on a host that lacks them.
        wrapper = os.path.join(folder, "pkg-config")
        with open(wrapper, "w") as file:
            file.write('#!/bin/sh\ncase "$*" in *systemd*|*nettle*) echo "asked for $*" >&2; exit 1;; esac\nexec pkg-config "$@"\n')
        os.chmod(wrapper, 0o755)
        take_what_is_the_same(folder)
        # The variables of the make that runs the tests must not apply.
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SAN")}
        built = subprocess.run(["make", "-j2", "V=1", "BLE=no", f"BUILD={folder}", f"PKG_CONFIG={wrapper}", f"{folder}/packgate",
                                f"{folder}/tests/test_config", f"{folder}/tests/test_without_ble"], cwd=ROOT, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert built.returncode == 0, built.stdout[-3000:]
        for apart in APART:
            assert f"{folder}/{apart}" in built.stdout, f"{apart} was not compiled anew"
        needed = subprocess.run(["ldd", f"{folder}/packgate"], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert "libmodbus" in needed and "systemd" not in needed and "nettle" not in needed, needed
        usual = subprocess.run(["ldd", PACKGATE], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert "libsystemd" in usual and "libnettle" in usual, usual
        for name in ("config", "without_ble"):
            done = subprocess.run([f"{folder}/tests/test_{name}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout[-3000:]

        def run(*arguments):
            done = subprocess.run([f"{folder}/packgate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=PATIENCE, text=True)
            return done.returncode, done.stdout

        status, said = run("probe", "ble:")
        assert status == 1 and "built without Bluetooth" in said, said
        status, said = run("read", "--port", "ble:AA:BB:CC:DD:EE:FF", "--protocol", "daly")
        assert status == 1 and "built without Bluetooth" in said, said
        status, said = run("read", "--port", "sim:", "--protocol", "daly")
        assert status == 0 and '"soc_percent"' in said, said


main([leaves_bluetooth_out])
