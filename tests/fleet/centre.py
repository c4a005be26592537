# SPDX-License-Identifier: MIT
"""The centre of a fleet, set up by the commands of docs/fleet.md as they stand there: with the shipped files, the paths, users and
ports that the page names, and Debian's programs and unit files. It all happens in a network and a file system of its own, of which
the host sees nothing."""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

from harness import PATIENCE  # noqa: E402
from influx_harness import VictoriaMetrics, await_answer  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "fleet.md")
NAME = "fleet.example.net"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env"]
OWN = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
ADDRESSES = ("192.0.2.11", "192.0.2.12", "192.0.2.49")  # the databases of two shards; the serial server of the page

# What the page's commands find in place of what only a server on the internet has.
STUBS = {
    "sudo": """#!/bin/sh
if [ "$1" = -u ]; then user=$2; shift 2; exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"; fi
exec "$@"
""",
    "apt": "#!/bin/sh\nshift; for name; do shift; [ $name = certbot ] || set -- \"$@\" $name; done\nexec dpkg -s \"$@\" >/dev/null\n",
    # As certbot's: a lineage that root alone can read, and the hook once it is there.
    "certbot": """#!/bin/sh
set -e
while [ $# -gt 0 ]; do case $1 in --deploy-hook) hook=$2; shift;; --domain) domain=$2; shift;; esac; shift; done
RENEWED_LINEAGE=/etc/letsencrypt/live/$domain
export RENEWED_LINEAGE
mkdir -p -m 700 /etc/letsencrypt/live && mkdir -p "$RENEWED_LINEAGE"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$domain" -keyout "$RENEWED_LINEAGE/privkey.pem" -out /run/own.csr
echo "subjectAltName=DNS:$domain" >/run/own.ext
openssl x509 -req -in /run/own.csr -CA /run/public-ca.pem -CAkey /run/public-ca.key -CAcreateserial -days 2 -extfile /run/own.ext \
    -out "$RENEWED_LINEAGE/fullchain.pem"
sh -c "$hook"
""",
}


def enter():
    """Runs this program again as process 1 of a host of its own; returns there."""
    if os.environ.get("FLEET_INSIDE"):
        return
    environment = {**os.environ, "FLEET_INSIDE": "1"}
    sys.exit(subprocess.run([*AS_ROOT, *OWN, sys.executable, *sys.argv], env=environment, check=False).returncode)


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10 * PATIENCE, check=False)
    assert result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout.decode()}"
    return result.stdout.decode()


def section(title):
    """Of the page, from its heading to the next."""
    with open(PAGE, encoding="utf-8") as file:
        return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", file.read(), re.M | re.S)[1]


def blocks(language, text):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


class Database(VictoriaMetrics):
    """The one of the page, or another one, that runs already."""

    def __init__(self, address="127.0.0.1"):  # pylint: disable=super-init-not-called
        self.url = f"http://{address}:8428"
        await_answer(self.url + "/health")


class Centre:
    def __init__(self):
        assert os.getpid() == 1, "not in a host of its own"
        self.folder = tempfile.mkdtemp(prefix="packgate-fleet-")
        run("mount", "-t", "tmpfs", "none", self.folder)
        for path in ("/etc", "/var", "/usr/local", "/usr/share/doc"):
            upper, work = self.path("upper" + path), self.path("work" + path)
            os.makedirs(upper)
            os.makedirs(work)
            run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", path)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run")
        run("ip", "link", "set", "lo", "up")
        for address in ADDRESSES:
            run("ip", "address", "add", address + "/32", "dev", "lo")
        with open("/etc/hosts", "a", encoding="ascii") as file:
            file.write(f"127.0.0.1 {NAME}\n")
        # There is no other host that could be asked for names.
        with open("/etc/nsswitch.conf", "a", encoding="ascii") as file:
            file.write("\nhosts: files\n")
        examples = "/usr/share/doc/packgate/examples"
        os.makedirs(examples, exist_ok=True)
        shutil.copytree(os.path.join(ROOT, "conf", "fleet"), examples + "/fleet", dirs_exist_ok=True)
        self.give_certificates()
        self.give_commands()
        os.chdir(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def give_certificates(self):
        """An authority that everybody here trusts, as everybody trusts that of certbot."""
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=public authority", "-keyout", "/run/public-ca.key", "-out", "/run/public-ca.pem")
        with open("/run/public-ca.pem", encoding="ascii") as file, open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="ascii") as all_of_them:
            all_of_them.write(file.read())
        hashed = run("openssl", "x509", "-in", "/run/public-ca.pem", "-noout", "-hash").strip()
        shutil.copy("/run/public-ca.pem", f"/etc/ssl/certs/{hashed}.0")

    def give_commands(self):
        folder = self.path("bin")
        os.mkdir(folder)
        for name, text in STUBS.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
                file.write(text)
        shutil.copy(os.path.join(ROOT, "tests", "fleet", "systemctl"), folder)
        os.environ["PATH"] = f"{folder}:/usr/local/sbin:/usr/sbin:/sbin:" + os.environ["PATH"]
        for path in glob.glob("/etc/nginx/sites-enabled/*"):
            os.unlink(path)

    def follow(self, title, only=None):
        """Runs the commands of a section, or of those of its blocks that have this text; what they print."""
        printed = []
        for block in blocks("sh", section(title)):
            if only is None or only in block:
                result = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", block], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        timeout=5 * PATIENCE, check=False)
                assert result.returncode == 0, f"{title}:\n{block}ended with {result.returncode}:\n{result.stdout.decode()}{result.stderr.decode()}"
                printed.append(result.stdout.decode())
        assert printed, f"no commands in: {title}"
        return printed

    def set_up(self):
        printed = self.follow("Set up the centre")
        assert printed[-1].split() == ["200", "401"], printed[-1]
        for url in ("http://127.0.0.1:8880/health", "http://127.0.0.1:9093/-/healthy"):
            await_answer(url)
        self.database = Database()

    def pid(self, unit):
        with open(f"/run/units/{unit}.pid", encoding="ascii") as file:
            return int(file.read())

    def await_port(self, port):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((NAME, port), timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, port
                time.sleep(0.1)
