# SPDX-License-Identifier: MIT
# tests/run: 60 s, on demand
"""The container image: built without a registry, and run as far as possible without Docker: in a read-only root of
its own, as its unprivileged user and as process 1. If this machine forbids namespaces and mounts, only in its root
and as its user."""

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager

import yaml

from harness import PACKGATE, PATIENCE, Program, children_of, find, free_port, main
from pymodbus.client import ModbusTcpClient

BUILD = os.path.dirname(PACKGATE)
BUILD_PATIENCE = 20 * PATIENCE  # seconds; packages are built, and others downloaded
MEGABYTE = 1 << 20
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


def run(*command):
    """The output of a command, which must succeed."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=BUILD_PATIENCE, check=False)
    assert result.returncode == 0, f"{' '.join(map(str, command))} ended with {result.returncode}:\n{result.stdout.decode()}"
    return result.stdout.decode()


class Image:
    """The contents of the archive, read by the rules of the OCI image specification."""

    def __init__(self, path):
        self.path = path
        self.archive = tarfile.open(path)
        assert self.json("oci-layout") == {"imageLayoutVersion": "1.0.0"}
        named = self.json("index.json")["manifests"]
        assert len(named) == 1, named
        self.name = named[0]["annotations"]["org.opencontainers.image.ref.name"]
        self.platforms = {entry["platform"]["architecture"]: entry for entry in self.blob(named[0])["manifests"]}

    def file(self, name):
        return self.archive.extractfile(f"./{name}").read()

    def json(self, name):
        return json.loads(self.file(name))

    def bytes_of(self, descriptor):
        data = self.file("blobs/" + descriptor["digest"].replace(":", "/"))
        assert len(data) == descriptor["size"], descriptor
        return data

    def blob(self, descriptor):
        return json.loads(self.bytes_of(descriptor))

    def of(self, architecture):
        """(configuration, the only layer as a tar file)"""
        manifest = self.blob(self.platforms[architecture])
        assert len(manifest["layers"]) == 1
        return self.blob(manifest["config"]), gzip.decompress(self.bytes_of(manifest["layers"][0]))


MADE = []


def image():
    if not MADE:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
        made = subprocess.run(["make", "--no-print-directory", "image", "QUICK=yes"], env=environment, timeout=BUILD_PATIENCE, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = made.stdout.decode()
        assert made.returncode == 0, said
        print("\n".join(f"# {line}" for line in said.splitlines()))
        MADE.append(Image(said.splitlines()[-1]))
    return MADE[0]


def own():
    return image().of(run("dpkg", "--print-architecture").strip())


# ---- what it is ----

def is_small_and_says_what_it_is():
    config, layer = own()
    version = run(PACKGATE, "--version").split()[1]
    assert image().name == f"packgate:{version}"  # the name by which Podman finds it afterwards
    assert len(layer) < 45 * MEGABYTE, f"{len(layer) / MEGABYTE:.1f} MB"
    print(f"# {len(layer) / MEGABYTE:.1f} MB unpacked, {os.path.getsize(image().path) / MEGABYTE:.1f} MB as an archive")
    assert config["os"] == "linux"
    settings = config["config"]
    assert (settings["User"], settings["Entrypoint"], settings["Cmd"]) == ("8502:8502", ["/usr/bin/packgate"],
                                                                           ["run", "--first", "/usr/lib/packgate/first.ini"])
    assert "container=oci" in settings["Env"]
    assert settings["Labels"]["org.opencontainers.image.version"] == version
    assert set(settings["Volumes"]) == {"/var/lib/packgate", "/run/packgate"} and "502/tcp" in settings["ExposedPorts"]


def has_what_it_needs_and_nothing_to_break_in_with():
    with tarfile.open(fileobj=io.BytesIO(own()[1])) as layer:
        members = {member.name.removeprefix("./"): member for member in layer.getmembers()}
    programs = [name for name in members if re.search(r"(^|/)s?bin/.", name)]
    assert programs == ["usr/bin/packgate"], programs
    assert not [member.name for member in members.values() if member.mode & 0o6000], "set-user-id"
    theirs = sorted(name for name, member in members.items() if member.uid != 0)
    assert theirs == ["run/packgate", "var/lib/packgate"], theirs
    for name in ("usr/lib/packgate/packgate-outlet-mqtt", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Zurich",
                 "usr/share/doc/packgate/libraries", "usr/share/doc/libmodbus5/copyright"):
        assert name in members, name
    # Libraries look for certificates under these names.
    assert len([name for name in members if re.fullmatch(r"etc/ssl/certs/[0-9a-f]{8}\.\d", name)]) > 100


def compose_file_is_of_this_version():
    with open("packaging/container/compose.yaml", encoding="utf-8") as file:
        service = yaml.safe_load(file)["services"]["packgate"]
    assert service["image"] == "packgate:" + run(PACKGATE, "--version").split()[1]
    settings = own()[0]["config"]
    assert "./config:/etc/packgate:ro" in service["volumes"]  # not only the file, which an editor replaces by a new one
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    # Podman has no owner for a tmpfs; folders of the user must be volumes that the image names.
    assert service["tmpfs"] == ["/tmp"]
    with open("packaging/container/Dockerfile", encoding="utf-8") as file:
        text = file.read()
    assert f"USER {settings['User']}\n" in text and "VOLUME /var/lib/packgate /run/packgate\n" in text and json.dumps(settings["Entrypoint"]) in text
    assert json.dumps(service["healthcheck"]["test"][1:]) in text


# ---- that it runs ----

CONFIG = """
[gateway]
listen = 127.0.0.1:0
[line bench]
port = sim:
protocol = daly
[pack bench]
line = bench
unit = 1
[history]
[web]
listen = 127.0.0.1:0
[mqtt nobody]
broker = mqtt://127.0.0.1:1
"""

# As process 1 of its own PID namespace, like `docker run --read-only --tmpfs /run/packgate --cap-drop ALL`.
CONFINED = """
set -e
mount --bind "$1" "$1"
mount -t tmpfs -o mode=755 none "$1/dev"
for device in null zero urandom; do : >"$1/dev/$device"; mount --bind /dev/$device "$1/dev/$device"; done
mount -t proc proc "$1/proc"
mount -t tmpfs -o uid=8502,gid=8502,mode=750 none "$1/run/packgate"
mount -t tmpfs -o uid=8502,gid=8502,mode=750 none "$1/var/lib/packgate"
mount -t tmpfs -o mode=1777 none "$1/tmp"
mount -o remount,bind,ro "$1"
exec setpriv --no-new-privs chroot --userspec=8502:8502 --groups= "$1" /usr/bin/packgate "${@:2}"
"""
OWN_PROCESSES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]


@contextmanager
def unpacked():
    folder = tempfile.mkdtemp(prefix="packgate-container-")
    try:
        root = os.path.join(folder, "root")
        os.mkdir(root)
        subprocess.run([*AS_ROOT, "tar", "--numeric-owner", "-xpf", "-", "-C", root], input=own()[1], check=True)
        config = os.path.join(folder, "packgate.ini")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        run(*AS_ROOT, "install", "-m", "644", config, f"{root}/etc/packgate/packgate.ini")
        yield root
    finally:
        run(*AS_ROOT, "rm", "-rf", folder)


def may_have_processes_of_its_own():
    tried = subprocess.run([*AS_ROOT, *OWN_PROCESSES, "mount", "-t", "tmpfs", "none", "/mnt"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
    return tried.returncode == 0


class Container(Program):
    def __init__(self, root, *arguments):
        arguments = arguments or ("run", "--first", "/usr/lib/packgate/first.ini")
        self.root, self.confined = root, may_have_processes_of_its_own()
        if self.confined:
            command = [*OWN_PROCESSES, "bash", "-c", CONFINED, "sh", root, *arguments]
        else:
            command = ["chroot", "--userspec=8502:8502", "--groups=", root, "/usr/bin/packgate", *arguments]
        self.since = time.monotonic()
        super().__init__(*AS_ROOT, *command)
        self.port = int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
        self.pid = self.process.pid
        if AS_ROOT:
            self.pid = children_of(self.pid)[0]
        if self.confined:
            self.pid = children_of(self.pid)[0]

    def packgate(self, *arguments):
        """Like `docker exec`: (exit status, output)."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid"] if self.confined else []
        done = subprocess.run([*AS_ROOT, *enter, "chroot", "--userspec=8502:8502", "--groups=", self.root, "/usr/bin/packgate",
                               *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        return done.returncode, done.stdout.decode()

    def end(self):
        """Sends SIGTERM to the program itself; returns (seconds until it has exited, exit status)."""
        since = time.monotonic()
        subprocess.run([*AS_ROOT, "kill", "-TERM", str(self.pid)], check=True)
        status = self.process.wait(PATIENCE)
        return time.monotonic() - since, status


def await_first_register(port):
    """The voltage of unit 1, as soon as there is one; seconds on the clock."""
    row = find("voltage_v", "extended")
    deadline = time.monotonic() + PATIENCE
    with ModbusTcpClient("127.0.0.1", port=port, timeout=PATIENCE) as client:
        while time.monotonic() < deadline:
            if not client.read_holding_registers(row["address"], count=row["count"], slave=1).isError():
                return time.monotonic()
            time.sleep(0.005)
    raise AssertionError("no register is served")


def starts_without_a_configuration():
    """With a mounted folder without packgate.ini: a page and no packs, until the file exists and is loaded."""
    with unpacked() as root:
        first = f"{root}/usr/lib/packgate/first.ini"
        with open(first, encoding="utf-8") as file:
            text = file.read()
        assert "listen = 0.0.0.0:8080\n" in text, text
        # Its own ports, because those of this machine may be taken.
        run(*AS_ROOT, "sed", "-i", "-e", "s/0.0.0.0:8080/127.0.0.1:0/", "-e", "1i [gateway]\\nlisten = 127.0.0.1:0", first)
        run(*AS_ROOT, "rm", f"{root}/etc/packgate/packgate.ini")
        with Container(root) as container:
            container.wait_for(r"web: page at http://127\.0\.0\.1:\d+/")
            status, said = container.packgate("status")
            assert status == 0 and "No pack is configured yet" in said and "/etc/packgate/packgate.ini" in said, said
            container.end()


def serves_and_ends_at_once():
    with unpacked() as root, Container(root) as container:
        served = await_first_register(container.port)
        print(f"# {'confined' if container.confined else 'in a root of its own only'}; first register served "
              f"{(served - container.since) * 1000:.0f} ms after the start")
        status, said = container.packgate("health")
        assert status == 0, said
        outlets = json.loads(container.packgate("status", "--json")[1])["outlets"]
        assert {outlet["kind"] for outlet in outlets} >= {"mqtt", "history", "web"}, outlets
        container.wait_for(r"web: page at http://127\.0\.0\.1:\d+/")
        with open(f"/proc/{container.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":\t", 1) for line in file.read().splitlines())
        assert fields["Uid"].split() == ["8502"] * 4 and int(fields["CapEff"], 16) == 0, fields
        if container.confined:
            assert fields["NSpid"].split()[-1] == "1" and fields["NoNewPrivs"] == "1", fields
        took, status = container.end()
        print(f"# SIGTERM ended it after {took * 1000:.0f} ms")
        assert status == 0, (status, container.lines[-20:])
        assert not [line for line in container.lines if re.search("Read-only|not permitted|denied", line)], container.lines


def runs_the_demo():
    """Like `docker run packgate demo`, except for the ports, and with the environment that Docker takes from the
    image."""
    ports = [f"--set={key}" for key in ("gateway.listen=127.0.0.1:0", f"web.listen=127.0.0.1:{free_port()}",
                                        f"present inverter.port=tcp-listen:127.0.0.1:{free_port()}")]
    with unpacked() as root, Container(root, "demo", "--scenario", "cold", *ports) as container:
        await_first_register(container.port)
        container.wait_for(r"^  Open http://127\.0\.0\.1:\d+/ in a browser")
        assert not [line for line in container.lines if "no past" in line], container.lines
        _, status = container.end()
        assert status == 0, (status, container.lines[-20:])


for tool in ("make", "dpkg", "unshare", "nsenter", "setpriv", "chroot"):
    assert shutil.which(tool), f"{tool} is missing"
main([is_small_and_says_what_it_is, has_what_it_needs_and_nothing_to_break_in_with, compose_file_is_of_this_version,
      starts_without_a_configuration, serves_and_ends_at_once, runs_the_demo])
