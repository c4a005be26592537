# SPDX-License-Identifier: MIT
# tests/run: 40 s
"""The outlet notify against stand-ins for each service: the messages that they get, their failures, rejections, hangs
and untrusted certificates, and that no message is sent twice."""

import base64
import email
import email.header
import json
import os
import queue
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

from harness import Gateway, PACKGATE, PATIENCE, Standin, main, outlet_pid, set_local_time, until
from http_standin import HttpStandin
from mqtt_harness import LINE, SOON_STALE, make_certificates, name_servers_silent

CALM, ALARM = "sim:profile=fixed", "sim:profile=fixed,alarm.soc_low=1"


class Service(HttpStandin):
    """Records requests, and answers with a status, "hang", or "close"."""

    def __init__(self, tls=None):
        self.queue, self.came, self.answers, self.text = queue.Queue(), [], [], "{\"status\":1}"
        super().__init__(self.answer, tls)

    def answer(self, request, body):
        answer = self.answers.pop(0) if self.answers else 200
        found = (request.path, dict(request.headers), body.decode())
        self.came.append(found)
        if answer == "hang":
            self.over.wait(PATIENCE)
        if answer in ("hang", "close"):
            return None
        if 200 <= answer < 300:
            self.queue.put(found)  # the latest one may be another by now
        return answer, {}, self.text.encode()

    def next(self):
        return self.queue.get(timeout=PATIENCE)

    def event(self, name, active):
        """The next message of a webhook about this; on a busy machine a pack can be stale for a moment in between."""
        while True:
            found = json.loads(self.next()[2])
            if found["event"] == name and found["active"] is active:
                return found
            assert found["event"] in ("stale", "back"), found


class MailServer(Standin):
    """Speaks as much SMTP as needed, with STARTTLS and a login if it has a certificate."""

    def __init__(self, tls=None, answers=()):
        self.tls, self.answers, self.queue, self.logins = tls, list(answers), queue.Queue(), []
        super().__init__()

    def talk(self, connection):
        safe, mail = False, {"to": [], "from": None}
        file = connection.makefile("rwb")

        def say(text):
            file.write(text.encode() + b"\r\n")
            file.flush()

        say("220 here")
        while line := file.readline().decode().rstrip("\r\n"):
            word = line.split()[0].upper()
            if word == "EHLO":
                say("250-here\r\n250-8BITMIME" + ("\r\n250-STARTTLS" if self.tls and not safe else "") +
                    ("\r\n250-AUTH PLAIN" if safe else "") + "\r\n250 SIZE 100000")
            elif word == "STARTTLS":
                say("220 go on")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls)
                connection = context.wrap_socket(connection, server_side=True)
                file, safe = connection.makefile("rwb"), True
            elif word == "AUTH":
                words = line.split()
                if len(words) == 2:
                    say("334 ")
                    words.append(file.readline().decode().strip())
                self.logins.append(base64.b64decode(words[2]))
                say("235 good")
            elif word == "MAIL":
                answer = self.answers.pop(0) if self.answers else "250 good"
                mail["from"] = line
                say(answer)
            elif word == "RCPT":
                to = line.partition("<")[2].partition(">")[0]
                if to.startswith("gone"):
                    say("550 5.1.1 no such user here")
                    continue
                mail["to"].append(to)
                say("250 good")
            elif word == "DATA":
                say("354 go on")
                lines = []
                while (text := file.readline()) != b".\r\n":
                    lines.append(text)
                mail["message"] = email.message_from_bytes(b"".join(lines))
                say("250 taken")
                self.queue.put((mail, safe))
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("500 what")

    def next(self):
        return self.queue.get(timeout=PATIENCE)


def section(more, hold="0s"):
    return f"[notify phone]\nhold = {hold}\n{more}\n"


def rewrite(gateway, text):
    gateway.rewrite(text)
    gateway.wait_for("the new configuration is in force")


def write(folder, name, text, mode=0o600):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def test(gateway_or_text, name="phone"):
    """`packgate notify --test`: (status, output)."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "p.ini", LINE.format("shed", CALM, 1, "") + gateway_or_text.replace("hold = 0s\n", ""))
        done = subprocess.run([PACKGATE, "notify", "--test", name, "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE)
        return done.returncode, done.stdout.decode()


def tells_a_webhook_begin_and_end():
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        key = write(folder, "key", "geheim\n")
        words = section(f"type = webhook\nurl = {service.url}/hook?x=1\nkey_file = {key}\n")
        with Gateway(LINE.format("shed", ALARM, 1, "") + words) as gateway:
            found = service.event("alarm", True)
            path, headers, _ = service.came[-1]
            assert path == "/hook?x=1" and headers["Authorization"] == "Bearer geheim", (path, headers)
            assert headers["Content-Type"] == "application/json"
            assert found["event"] == "alarm" and found["alarm"] == "soc_low" and found["pack"] == "shed", found
            assert found["level"] in ("warning", "protection") and found["active"] is True, found
            assert found["gateway"] == socket.gethostname().split("\0")[0] and abs(found["time"] - time.time()) < PATIENCE
            assert found["values"]["soc_percent"] > 0 and "since" in found["text"] and "SOC" in found["text"], found
            rewrite(gateway, LINE.format("shed", CALM, 1, "") + words)
            found = service.event("alarm", False)
            assert found["level"] == "info", found
            assert "is over" in found["title"] and "lasted" in found["text"], found
            assert "geheim" not in "\n".join(gateway.lines)


def tells_what_lasts():
    """Waits for some seconds in which only the age of the values changes."""
    with Service() as service:
        words = section(f"type = webhook\nurl = {service.url}/\n", hold="4s")
        pack = LINE.format("shed", ALARM, 1, "").replace("poll = 100ms", "poll = 2s")
        with Gateway(pack + words) as gateway:
            assert service.event("alarm", True)["alarm"] == "soc_low"
            rewrite(gateway, pack.replace(ALARM, CALM) + words)
            service.event("alarm", False)


def tells_silence_and_return():
    with Service() as service:
        words = section(f"type = webhook\nurl = {service.url}/\n")
        with Gateway(SOON_STALE.format("shed", CALM, 1, "") + words) as gateway:
            gateway.wait_published("shed")
            rewrite(gateway, SOON_STALE.format("shed", "tcp://127.0.0.1:1", 1, "") + words)
            found = service.event("stale", True)
            assert found["values"] == {} and "does not answer" in found["text"], found
            rewrite(gateway, LINE.format("shed", CALM, 1, "") + words)
            found = service.event("back", False)
            assert "answers again" in found["text"], found


def tells_nothing_twice():
    """A killed outlet and a restarted gateway do not repeat messages, but still report the end of events."""
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        words = section(f"type = webhook\nurl = {service.url}/\nevents = alarm, started\n")
        state = os.path.join(folder, "state")
        with Gateway(LINE.format("shed", ALARM, 1, "") + words, state=state) as gateway:
            assert {json.loads(service.next()[2])["event"] for _ in range(2)} == {"started", "alarm"}
            gateway.wait_for("sent \"shed")
            os.kill(outlet_pid(gateway, "notify"), signal.SIGKILL)
            gateway.wait_for("outlet notify phone: ended by signal 9")
            outlet_pid(gateway, "notify")
        with Gateway(LINE.format("shed", ALARM, 1, "") + words, state=state) as gateway:
            assert json.loads(service.next()[2])["event"] == "started"
            gateway.wait_published("shed")
        with Gateway(LINE.format("shed", CALM, 1, "") + words, state=state) as gateway:
            found = [json.loads(service.next()[2]) for _ in range(2)]
            assert [one["event"] for one in found].count("started") == 1, found
            assert [one for one in found if one["event"] == "alarm" and not one["active"]], found
        assert service.queue.empty()


def tells_who_switched():
    with Service() as service:
        words = section(f"type = webhook\nurl = {service.url}/\nevents = switched\n")
        text = LINE.format("shed", CALM, 1, "writable = yes")
        with Gateway(text + words) as gateway, gateway.client() as client:
            gateway.wait_published("shed")
            assert not client.write_coil(0, False, slave=1).isError()
            found = json.loads(service.next()[2])
            assert found["event"] == "switched" and "charge off" in found["text"] and "127.0.0.1" in found["text"], found


def says_it_to_ntfy():
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        key = write(folder, "key", "tk_geheim\n")
        words = section(f"type = ntfy\nurl = {service.url}/my-topic\nkey_file = {key}\nevents = alarm\n")
        with Gateway(LINE.format("shed", ALARM, 1, "") + words + "[web]\nlisten = 127.0.0.1:0\n"):
            path, headers, body = service.next()
            assert path == "/my-topic" and headers["Authorization"] == "Bearer tk_geheim"
            assert headers["Title"].startswith("shed: soc low") and headers["Priority"] in "45", headers
            assert headers["Tags"] in ("warning", "rotating_light") and body.startswith("Pack shed of gateway "), (headers, body)
        # A name and a password in place of a token.
        status, said = test(section(f"type = ntfy\nurl = {service.url}/my-topic\nuser = me\nkey_file = {key}\n"))
        assert status == 0, said
        assert service.next()[1]["Authorization"] == "Basic " + base64.b64encode(b"me:tk_geheim").decode()
        # An address that is itself a secret.
        url = write(folder, "url", f"{service.url}/hidden\n")
        assert test(section(f"type = ntfy\nurl = {url}\n"))[0] == 0
        assert service.next()[0] == "/hidden"


def fields(body):
    return {name: values[0] for name, values in urllib.parse.parse_qs(body, strict_parsing=True).items()}


def says_it_to_pushover_and_pushsafer():
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        both = write(folder, "both", "app-token\nuser-key\n")
        words = section(f"type = pushover\nurl = {service.url}/1/messages.json\nkey_file = {both}\ndevice = phone\nsound = siren\n"
                        "priority = 2\nevents = protection\n")
        alarm = "sim:profile=fixed,alarm.cell_over_voltage=protection"
        with Gateway(LINE.format("shed", alarm, 1, "") + words):
            path, headers, body = service.next()
            found = fields(body)
            assert path == "/1/messages.json" and headers["Content-Type"] == "application/x-www-form-urlencoded"
            assert found["token"] == "app-token" and found["user"] == "user-key" and found["device"] == "phone", found
            assert found["title"] == "shed: cell over voltage, protection" and len(found["message"]) <= 1024, found
            assert found["priority"] == "2" and int(found["retry"]) >= 30 and int(found["expire"]) <= 10800, found
            assert "highest cell" in found["message"] and found["sound"] == "siren", found
        one = write(folder, "one", "safer-key\n")
        words = section(f"type = pushsafer\nurl = {service.url}/api\nkey_file = {one}\ndevice = 42\nevents = alarm\n")
        with Gateway(LINE.format("shed", alarm, 1, "") + words):
            path, _, body = service.next()
            found = fields(body)
            assert path == "/api" and found["k"] == "safer-key" and found["d"] == "42" and found["pr"] == "1", found
            assert found["t"] == "shed: cell over voltage, protection" and found["m"].startswith("Pack shed"), found
            assert found["c"] == "#C62828" and found["v"] == "3", found
        # It rejects with status 200.
        service.text = '{"status":0,"error":"wrong key safer-key"}'
        status, said = test(section(f"type = pushsafer\nurl = {service.url}/api\nkey_file = {one}\n"))
        assert status == 1 and "safer-key" not in said, said
        service.text = '{"status":0,"errors":["application token is invalid"]}'
        service.answers = [400]
        status, said = test(section(f"type = pushover\nurl = {service.url}/\nkey_file = {both}\n"))
        assert status == 1 and "400" in said and "application token is invalid" in said, said
        # A response of another server, such as the login portal of a network, does not count as delivered.
        service.text = "<html>Please log in</html>"
        for words in (f"type = pushover\nkey_file = {both}\n", f"type = pushsafer\nkey_file = {one}\n"):
            status, said = test(section(words + f"url = {service.url}/\n"))
            assert status == 1 and "it answered 200: <html>" in said, said
        service.text = '{ "status": 1, "success": "message transmitted" }'
        for words in (f"type = pushover\nkey_file = {both}\n", f"type = pushsafer\nkey_file = {one}\n"):
            status, said = test(section(words + f"url = {service.url}/\n"))
            assert status == 0, said


def sends_mail():
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        key = write(folder, "key", "geheim\n")
        tls = (f"{folder}/server.pem", f"{folder}/server.key")
        with MailServer(tls) as server:
            words = section(f"type = mail\nurl = smtp://127.0.0.1:{server.port}\nuser = me\nkey_file = {key}\nca_file = "
                            f"{folder}/ca.pem\nto = a@example.net, from shed@example.net, b@example.net\nevents = alarm\n")
            with Gateway(LINE.format("shed", "sim:profile=fixed,alarm.charge_over_temperature=1", 1, "") + words):
                mail, safe = server.next()
            assert safe and server.logins[-1] == b"\0me\0geheim", server.logins
            assert mail["to"] == ["a@example.net", "b@example.net"] and "shed@example.net" in mail["from"], mail
            message = mail["message"]
            assert str(message["Subject"]).startswith("shed: charge over temperature") and message["Date"]
            assert message["To"] == "a@example.net, b@example.net" and message.get_content_charset() == "utf-8"
            assert re.fullmatch(r"<[!-;=?-~]+@[!-;=?-~]+>", message["Message-ID"]), message["Message-ID"]
            # A server may support only seven bits and short lines.
            raw = message.as_bytes().splitlines()
            assert message["Content-Transfer-Encoding"] == "quoted-printable" and max(map(max, filter(None, raw))) < 0x7F, raw
            text = message.get_payload(decode=True).decode()
            assert text.startswith("Pack shed of gateway ") and ", sensor " in text and "\N{DEGREE SIGN}C" in text, text
            assert f"-- \r\npackgate on {socket.gethostname()}\r\n" in text, text
            # Its certificate is for another name: neither mail nor password is sent.
            logins = len(server.logins)
            status, said = test(words.replace("ca.pem", "other.pem"))
            assert status == 1 and "certificate" in said.lower() and len(server.logins) == logins, said
        with MailServer() as server:
            words = section(f"type = mail\nurl = smtp://127.0.0.1:{server.port}\nto = b@example.net\n")
            assert test(words) == (0, "notify phone: the message was sent\n")
            mail, safe = server.next()
            assert not safe and mail["to"] == ["b@example.net"]
            server.answers = ["550 nobody wants this"]
            status, said = test(words)
            assert status == 1 and said.startswith("packgate: notify phone: "), said
            # An address that no longer exists does not prevent delivery to the others, and is reported.
            status, said = test(words.replace("to = b@", "to = gone@example.net, b@"))
            assert (status, said) == (1, "packgate: notify phone: the message was sent, but not to all recipients: "
                                         "550 5.1.1 no such user here\n"), said
            assert server.next()[0]["to"] == ["b@example.net"]
            status, said = test(words.replace("to = b@", "to = gone@"))
            assert status == 1 and "550" in said and server.queue.empty(), said
            # Over the network only with encryption.
            status, said = test(words.replace("127.0.0.1", socket.gethostname()))
            assert status == 1 and server.queue.empty(), said


PROGRAM = """#!/usr/bin/python3
import json, os, sys, time
found = json.load(sys.stdin)
found["environment"] = {name: os.environ[name] for name in os.environ if name.startswith("PACKGATE_")}
found["descriptors"] = sorted(os.listdir("/proc/self/fd"))
with open("FOLDER/part", "w") as file:
    json.dump(found, file)
os.rename("FOLDER/part", "FOLDER/came")
sys.exit(STATUS)
"""


def await_file(path):
    until(lambda: os.path.exists(path))
    with open(path) as file:
        text = file.read()
    os.remove(path)
    return text


def starts_a_program():
    with tempfile.TemporaryDirectory() as folder:
        program = write(folder, "tell", PROGRAM.replace("FOLDER", folder).replace("STATUS", "0"), 0o755)
        words = section(f"type = command\nurl = {program}\nevents = alarm\n")
        with Gateway(LINE.format("shed", ALARM, 1, "") + words) as gateway:
            found = json.loads(await_file(f"{folder}/came"))
            assert found["event"] == "alarm" and found["values"]["soc_percent"] > 0, found
            environment = found["environment"]
            assert environment["PACKGATE_EVENT"] == "alarm" and environment["PACKGATE_PACK"] == "shed", environment
            assert environment["PACKGATE_LEVEL"] == found["level"] and environment["PACKGATE_TEXT"] == found["text"]
            assert len(found["descriptors"]) <= 4, found  # the fourth is that of the list itself
            gateway.wait_for("sent \"shed")
        status, said = test(section(f"type = command\nurl = {folder}/nothing\n"))
        assert status == 1 and "No such file" in said, said
        write(folder, "tell", PROGRAM.replace("FOLDER", folder).replace("STATUS", "3"), 0o755)
        status, said = test(words)
        assert status == 1 and "ended with 3" in said, said


def other_kinds_start_nothing():
    """A process that talks to other servers has given up the right to start programs."""
    with Service() as service:
        with Gateway(LINE.format("shed", ALARM, 1, "") + section(f"type = ntfy\nurl = {service.url}/t\n")) as gateway:
            service.next()
            with open(f"/proc/{outlet_pid(gateway, 'notify')}/status") as file:
                text = file.read()
            if "Seccomp_filters" in text and "asan" not in subprocess.run(["ldd", PACKGATE], stdout=subprocess.PIPE).stdout.decode():
                assert int(text.split("Seccomp_filters:")[1].split()[0]) == 2, text


def tries_again():
    """All kinds of failures are retried, and finally one message is delivered; a rejection ends the retries."""
    for answer, said, times in ((503, "notify phone: it answered 503.*; trying again in 10 s", 2), ("close", "notify phone: .*; trying again in 10 s", 2),
                                (403, "cannot be sent: it answered 403: not you", 1)):
        with Service() as service:
            service.answers, service.text = [answer], "not you"
            words = section(f"type = webhook\nurl = {service.url}/\nevents = started\n")
            with Gateway(LINE.format("shed", CALM, 1, "") + words) as gateway:
                gateway.wait_for(said)
                if times == 2:
                    assert json.loads(service.next()[2])["event"] == "started"
                    gateway.wait_for("sent ")
                assert len(service.came) == times


class Endless(Standin):
    """Answers 200 and never stops sending; `sent` is how many bytes of the last answer were read."""

    def __init__(self):
        super().__init__()
        self.url, self.sent = self.url.replace("tcp:", "http:"), queue.Queue()

    def talk(self, connection):
        sent = 0
        try:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                sent += 1 << 16
        finally:
            self.sent.put(sent)


def answers_without_end_are_cut_off():
    """Only the beginning of an answer is read; the connection may be metered. Redirections are not followed."""
    with Endless() as endless, Endless() as database, Service() as service:
        service.answers = [302]
        words = section(f"type = webhook\nurl = {endless.url}/\nevents = started\n") + f"[influx one]\nurl = {database.url}/write\n" + \
            f"[notify portal]\ntype = webhook\nurl = {service.url}/\nevents = started\n"
        with Gateway(LINE.format("shed", CALM, 1, "") + words) as gateway:
            for _ in range(2):
                gateway.wait_for("notify phone: sent |notify portal: it answered 302.*; trying again in 10 s")
            # Including the buffers of sockets.
            assert endless.sent.get(timeout=PATIENCE) < 20e6 and database.sent.get(timeout=PATIENCE) < 20e6
            assert json.loads(service.next()[2])["event"] == "started"
            assert not [line for line in gateway.lines if "are lost" in line]  # nothing was measured before the start


def hangs_do_not_hold_the_gateway_up():
    with Service() as service:
        service.answers = ["hang"]
        words = section(f"type = webhook\nurl = {service.url}/\nevents = started\n")
        with Gateway(LINE.format("shed", CALM, 1, "") + words) as gateway, gateway.client() as client:
            gateway.wait_published("shed")
            assert not client.read_holding_registers(400, count=2, slave=1).isError()
            gateway.wait_for("notify phone: .*imed out.*; trying again in 10 s")
            assert json.loads(service.next()[2])["event"] == "started"


def name_servers_that_never_answer_end_in_a_line():
    """They delay neither the next message nor the end."""
    with tempfile.TemporaryDirectory() as folder, name_servers_silent(folder):
        words = section("type = webhook\nurl = http://battery.invalid/\nevents = started\n")
        with Gateway(LINE.format("shed", CALM, 1, "") + words) as gateway, gateway.client() as client:
            gateway.wait_published("shed")
            gateway.wait_for("notify phone: .*imed out.*; trying again in 10 s")
            assert not client.read_holding_registers(400, count=2, slave=1).isError()
            # Its loop continues: a signal ends it.
            gateway.process.send_signal(signal.SIGTERM)
            gateway.wait_for("notify phone: 1 messages are discarded unsent")


def checks_certificates():
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        with Service((f"{folder}/server.pem", f"{folder}/server.key")) as service:
            words = section(f"type = webhook\nurl = {service.url}/\nca_file = {folder}/ca.pem\n")
            assert test(words) == (0, "notify phone: the message was sent\n")
            service.next()
            for wrong, why in ((words.replace("ca.pem", "other.pem"), "is not from the authority in ca_file"),
                               (section(f"type = webhook\nurl = {service.url}/\n"), "is from an authority that this host does not know: set ca_file"),
                               (words.replace("127.0.0.1", "localhost"), "is for another name: use a name that is in the certificate")):
                assert test(wrong) == (1, f"packgate: notify phone: its certificate {why}\n")
            # A port of the other kind.
            status, said = test(words.replace("https:", "http:"))
            assert status == 1 and said.endswith(": its port may be one for https://\n"), said
            with Service() as plain:
                status, said = test(words.replace(service.url, plain.url.replace("http:", "https:")))
                assert status == 1 and said.endswith(": its port may be one for http://\n"), said
            status, said = test(section(f"type = mail\nurl = smtp://127.0.0.1:{service.server_port}\nto = c@d.example\n"))
            assert status == 1 and said.endswith(": its port may be one for smtps://\n"), said
            with MailServer() as plain:
                status, said = test(section(f"type = mail\nurl = smtps://127.0.0.1:{plain.port}\nto = c@d.example\n"))
                assert status == 1 and said.endswith(": its port may be one for smtp://\n"), said
            assert test(section(f"type = webhook\nurl = {service.url}/\nca_file = any\n"))[0] == 0
            assert len(service.came) == 2


def limits_floods():
    with Service() as service:
        packs = "".join(LINE.format(f"p{n}", ALARM, n + 1, "") for n in range(6))
        words = section(f"type = webhook\nurl = {service.url}/\nlimit = 4\nevents = alarm\n")
        with Gateway(packs + words) as gateway:
            gateway.wait_for("more than 4 messages an hour")
            for _ in range(4):
                service.next()
            rewrite(gateway, packs.replace(ALARM, CALM) + words)
            gateway.wait_published("p0")
            assert len(service.came) == 4


def reports():
    """At the given time, once, whatever is restarted in between."""
    set_local_time(11, 59, 30)  # the gateway must be running before noon
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        packs = LINE.format("shed", CALM, 1, "") + LINE.format("roof", ALARM, 2, "")
        words = section(f"type = webhook\nurl = {service.url}/\nevents = report 12:00, report sunset\n")
        general, state = "location = 45.6758, 9.1650", os.path.join(folder, "state")
        with Gateway(packs + words, general, state=state) as gateway:
            found = json.loads(service.next()[2])
            while "Sunrise" not in found["text"] or "shed: SOC 55.0 %" not in found["text"]:
                found = json.loads(service.next()[2])
            assert found["event"] == "report" and found["level"] == "info" and found["pack"] == "", found
            for words_ in ("roof: SOC", "Energy in", "Cells: lowest", "Alarms today: soc low", "Alarms today: none", "Without data",
                           "Sunrise ", "sunset "):
                assert words_ in found["text"], (words_, found)
            gateway.wait_for("sent .*report")
            count = len(service.came)
            os.kill(outlet_pid(gateway, "notify"), signal.SIGKILL)
            gateway.wait_for("outlet notify phone: ended by signal 9")
            outlet_pid(gateway, "notify")
        with Gateway(packs + words, general, state=state) as gateway:
            gateway.wait_published("shed", "roof")
        assert len(service.came) == count, service.came[count:]


def reports_when_full():
    set_local_time(12, 0, 0)
    with Service() as service:
        words = section(f"type = webhook\nurl = {service.url}/\nevents = full, report full\n")
        low, full = "sim:profile=fixed,soc_percent=90", "sim:profile=fixed,soc_percent=100"
        with Gateway(LINE.format("shed", low, 1, "") + words, "spikes = 0") as gateway:
            gateway.wait_published("shed")
            rewrite(gateway, "spikes = 0\n" + LINE.format("shed", full, 1, "") + words)
            found = {}
            while not {"full", "report"} <= found.keys():
                one = json.loads(service.next()[2])
                assert one["event"] not in found, (one, found)
                found[one["event"]] = one
            assert "is full" in found["full"]["title"] and "shed: SOC 100.0 %" in found["report"]["text"], found


def says_what_is_wrong():
    status, said = test("[notify phone]\ntype = pushover\n")
    assert status == 1 and "has no 'key_file', which 'type = pushover' needs" in said, said
    status, said = test(section("type = webhook\nurl = http://127.0.0.1:1/\n"))
    assert status == 1 and "packgate: notify phone: " in said and "onnect" in said, said
    status, said = test(section("type = webhook\nurl = http://127.0.0.1:1/\n"), "other")
    assert status == 1 and "has no [notify other]; there is phone" in said, said
    status, said = test(section("type = webhook\nurl = http://127.0.0.1:1/\nkey_file = /nowhere/key\n"))
    assert status == 1 and "/nowhere/key: No such file" in said, said
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        open_key = write(folder, "key", "geheim\n", 0o644)
        status, said = test(section(f"type = webhook\nurl = {service.url}/\nkey_file = {open_key}\n"))
        assert status == 0 and "can be read by everybody" in said and "geheim" not in said, said


if __name__ == "__main__":
    main([reports, reports_when_full, hangs_do_not_hold_the_gateway_up, tries_again, name_servers_that_never_answer_end_in_a_line,
          answers_without_end_are_cut_off, tells_what_lasts, tells_a_webhook_begin_and_end, tells_silence_and_return, tells_nothing_twice,
          tells_who_switched, says_it_to_ntfy, says_it_to_pushover_and_pushsafer, sends_mail, starts_a_program,
          other_kinds_start_nothing, checks_certificates, limits_floods, says_what_is_wrong], at_once=5)
