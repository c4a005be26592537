# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""The page behind nginx, with the shipped configuration, and with a certificate of its own."""

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile

from harness import PACKGATE, PATIENCE, free_port, main, until
from web_harness import PACKS, Page, certificate, read_all

NAME = "battery.example.net"


class Nginx(contextlib.AbstractContextManager):
    """nginx with conf/nginx.conf, with other ports, certificate and target."""

    def __init__(self, folder, web, prefix=None):
        cert, key = certificate(folder, NAME)
        self.cert, self.port = cert, free_port()
        with open("conf/nginx.conf", encoding="utf-8") as file:
            site = file.read()
        site = re.sub(r"\nserver \{\n    listen 80;.*?\n\}\n", "\n", site, flags=re.S)  # the redirect needs its own port
        site = site.replace("    listen [::]:443 ssl;\n", "").replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        site = site.replace("127.0.0.1:8080", f"127.0.0.1:{web}")
        site = re.sub("ssl_certificate_key .*;", f"ssl_certificate_key {key};", re.sub("ssl_certificate  .*;", f"ssl_certificate {cert};", site))
        if prefix:
            site = site.replace("location / {", f"location {prefix} {{").replace('X-Forwarded-Prefix ""', f"X-Forwarded-Prefix {prefix}")
        text = (f"daemon off; pid {folder}/pid; error_log stderr warn;\nevents {{}}\nhttp {{ access_log off;\n"
                + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
                + site + "}\n")
        with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(text)
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"])
        until(lambda: socket.create_connection(("127.0.0.1", self.port), timeout=1).close() is None, bears=OSError)

    def curl(self, path, *arguments):
        """(status, headers, body)"""
        done = subprocess.run(["curl", "-sS", "-i", "--cacert", self.cert, "--resolve", f"{NAME}:{self.port}:127.0.0.1", *arguments,
                               f"https://{NAME}:{self.port}{path}"], check=True, stdout=subprocess.PIPE)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        return int(lines[0].split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}, body

    def post(self, path, body, *arguments):
        return self.curl(path, "-H", "Content-Type: application/json", "-H", f"Origin: https://{NAME}:{self.port}", "-d",
                         json.dumps(body), *arguments)

    def __exit__(self, *arguments):
        self.process.terminate()
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def behind_nginx(more="", prefix=None):
    with tempfile.TemporaryDirectory() as folder:
        password = os.path.join(folder, "password")
        subprocess.run([PACKGATE, "password", password], input=b"correct horse\n", check=True, stdout=subprocess.DEVNULL)
        with Page(f"hosts = {NAME}\nproxy = 127.0.0.1\npassword_file = {password}\n{more}", PACKS.replace("topbms", "daly")) as page:
            page.await_fresh()
            with Nginx(folder, page.web, prefix) as nginx:
                yield page, nginx


def test_nginx():
    with behind_nginx() as (_, nginx):
        status, headers, body = nginx.curl("/")
        assert status == 200 and "content-security-policy" in headers and body
        assert json.loads(nginx.curl("/api/v1/packs")[2])[0]["pack"] == "shed"
        # The stream is not buffered.
        stream = subprocess.Popen(["curl", "-sSN", "--cacert", nginx.cert, "--resolve", f"{NAME}:{nginx.port}:127.0.0.1",
                                   f"https://{NAME}:{nginx.port}/api/v1/events"], stdout=subprocess.PIPE)
        try:
            seen = 0
            for line in stream.stdout:
                seen += line.startswith(b"event: pack")
                if seen > 6:
                    break
            assert seen > 6
        finally:
            stream.terminate()
            stream.wait()
            stream.stdout.close()
        # Another name is rejected, although the proxy passes it on.
        done = subprocess.run(["curl", "-sSk", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example",
                               f"https://127.0.0.1:{nginx.port}/"], check=True, stdout=subprocess.PIPE)
        assert done.stdout == b"421"


def test_switching_by_nginx():
    with behind_nginx() as (page, nginx):
        status, headers, _ = nginx.post("/api/v1/login", {"password": "correct horse"})
        assert status == 204
        cookie = headers["set-cookie"]
        assert "; Secure" in cookie and "; Path=/;" in cookie
        token = cookie.split(";")[0]
        status, _, body = nginx.post("/api/v1/packs/shed/switch", {"charge_mos": 0}, "-H", f"Cookie: {token}")
        assert status == 200, body
        assert page.wait_for(r"web: (\S+) orders shed")[1] == "127.0.0.1"
        # A client's own headers do not count: nginx replaces them.
        status, _, _ = nginx.post("/api/v1/login", {"password": "correct horse"}, "-H", "X-Forwarded-For: 203.0.113.9")
        assert status == 204


def test_clients_of_a_proxy_count_as_themselves():
    with behind_nginx("allow_write = 192.0.2.0/24\nallow = 127.0.0.0/8, 192.0.2.0/24\nmax_clients = 64, 2") as (page, nginx):
        assert nginx.post("/api/v1/login", {"password": "correct horse"})[0] == 403  # 127.0.0.1 is not in allow_write

        def ask(client, path="/api/v1/packs", **more):
            return page.ask(path, headers={"X-Forwarded-For": client, **more}, host=NAME)[0]
        assert ask("192.0.2.7") == 200 and ask("198.51.100.1, 192.0.2.7") == 200
        assert ask("203.0.113.7") == 403 and ask("192.0.2.7, 203.0.113.7") == 403
        assert ask("nonsense") == 400
        headers = {"X-Forwarded-For": "192.0.2.7", "Content-Type": "application/json", "Origin": f"https://{NAME}"}
        body = json.dumps({"password": "correct horse"})
        status, got, _ = page.ask("/api/v1/login", "POST", headers | {"X-Forwarded-Proto": "https"}, body, NAME)
        assert status == 204 and "Secure" in got["Set-Cookie"]
        status, got, _ = page.ask("/api/v1/login", "POST", headers | {"X-Forwarded-Prefix": "/x; Domain=evil.example"}, body, NAME)
        assert status == 204 and "Path=/;" in got["Set-Cookie"] and "evil" not in got["Set-Cookie"]


def test_each_request_of_a_proxy_stands_alone():
    """Requests that a proxy and our server parse differently (here: a folded line, a bare CR): bytes after them are
    not taken for a request."""
    hidden = "GET /healthz HTTP/1.1\r\nHost: {0}\r\n\r\n"
    heads = {"two requests": "\r\n", "folded length": "Content-Length:\r\n 5\r\n\r\nhello", "bare CR": "X: a\rContent-Length: 0\r\n\r\n",
             "folded coding": "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"}
    for proxy, word in (("proxy = 127.0.0.1", "X-Forwarded-For"), ("", "Forwarded")):
        with Page(proxy) as page:
            for name, tail in heads.items():
                with page.raw() as raw:
                    host = f"127.0.0.1:{page.web}"
                    raw.sendall((f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n{word}: 127.0.0.1\r\n{tail}" + hidden.format(host)).encode())
                    answers = read_all(raw).split(b"HTTP/1.1 ")[1:]
                    assert len(answers) == 1 and b"Connection: close" in answers[0], (word, name, answers)
            # Without a proxy the connection stays open.
            with page.raw((hidden.format(f"127.0.0.1:{page.web}") * 2).encode()) as raw:
                got = b""
                while got.count(b"200 OK") < (1 if proxy else 2):
                    got += raw.recv(1000)


def test_below_a_path():
    with behind_nginx(prefix="/battery/") as (_, nginx):
        status, _, body = nginx.curl("/battery/", "--compressed")
        assert status == 200
        # All files of the page are below the same path.
        names = re.findall(r'(?:src|href)="([^"#]+)"', body.decode())
        assert all(not re.match(r"/|\w+:", name) for name in names), names
        for name in names:
            assert nginx.curl("/battery/" + name, "--output", "-")[0] == 200, name
        assert nginx.curl("/battery/api/v1/packs")[0] == 200
        status, headers, _ = nginx.post("/battery/api/v1/login", {"password": "correct horse"})
        assert status == 204 and "Path=/battery/;" in headers["set-cookie"]


def test_certificate():
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        with Page(f"tls_cert = {cert}, {key}") as page:
            # A client with the wrong scheme gets a message; one that sends nothing, or disconnects at once, delays
            # nobody.
            silent = page.raw()
            page.raw().close()
            status, _, body = page.ask("/")
            assert status == 400 and b"https://" in body, (status, body)
            done = subprocess.run(["curl", "-sSf", "--cacert", cert, f"https://127.0.0.1:{page.web}/api/v1/packs"], check=True,
                                  stdout=subprocess.PIPE)
            assert json.loads(done.stdout)[0]["pack"] == "shed"
            stream = subprocess.Popen(["curl", "-sSN", "--cacert", cert, f"https://127.0.0.1:{page.web}/api/v1/events"],
                                      stdout=subprocess.PIPE)
            try:
                for line in stream.stdout:
                    if line.startswith(b"event: beat"):
                        break
            finally:
                stream.terminate()
                stream.wait()
                stream.stdout.close()
            # Half a handshake does not affect others, and times out.
            halves = [socket.create_connection(("127.0.0.1", page.web), timeout=PATIENCE) for _ in range(20)]
            context = ssl.create_default_context(cafile=cert)
            with socket.create_connection(("127.0.0.1", page.web), timeout=PATIENCE, source_address=("127.0.0.2", 0)) as raw:
                with context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                    tls.sendall(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{page.web}\r\n\r\n".encode())
                    assert tls.recv(100).startswith(b"HTTP/1.1 200")
            silent.close()
            for half in halves:
                with contextlib.suppress(OSError):
                    assert half.recv(100) == b""
                half.close()


def test_a_bad_certificate_is_told():
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        with open(key, "w", encoding="utf-8") as file:
            file.write("no key\n")
        from harness import Gateway
        with Gateway(f"{PACKS}\n[web]\nlisten = 127.0.0.1:0\ntls_cert = {cert}, {key}\n") as gateway:
            gateway.wait_for("web: the server cannot be started; is tls_cert")
            client = gateway.client()
            client.close()


if __name__ == "__main__":
    for tool in ("nginx", "openssl", "curl"):
        assert shutil.which(tool) or os.path.exists(f"/usr/sbin/{tool}"), f"{tool} is missing"
    os.environ["PATH"] += ":/usr/sbin"
    main([test_nginx, test_switching_by_nginx, test_clients_of_a_proxy_count_as_themselves, test_each_request_of_a_proxy_stands_alone, test_below_a_path, test_certificate,
          test_a_bad_certificate_is_told])
