# SPDX-License-Identifier: MIT
"""Error messages of the commands: what is missing, and what was probably meant."""

import glob
import os
import re
import shutil
import socket
import subprocess
import tempfile

from harness import Gateway, PACKGATE, PATIENCE, main


def call(*arguments, text=""):
    return subprocess.run([PACKGATE, *arguments], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, encoding="utf-8")


def expect(status, first_line, *arguments):
    result = call(*arguments)
    assert result.returncode == status and result.stdout == "", (arguments, result)
    assert first_line in result.stderr.split("\n")[0], (arguments, result.stderr)


def suggests_a_command():
    expect(2, "unknown command 'red'; did you mean 'read'?", "red")
    expect(2, "unknown command 'prob'; did you mean 'probe'?", "prob")
    expect(2, "unknown command 'xyzzy'", "xyzzy")


def read_says_what_is_missing():
    expect(2, "--protocol is missing: it is required with --port; to find it: packgate probe /dev/x",
           "read", "--port", "/dev/x")
    expect(2, "--port is missing: --address is for a pack outside of the configuration", "read", "--address", "3")
    expect(2, "'house' is the name of a pack in the configuration", "read", "--port", "sim:", "--protocol", "daly", "house")


def says_what_a_call_lacks():
    expect(2, "packgate notify: expected --test and the NAME of a section [notify NAME]", "notify", "phone")
    expect(2, "packgate listen: expected the name of one line", "listen")
    expect(2, "packgate tunnel: expected --for TIME or --close", "tunnel", "shed")
    expect(2, "packgate tunnel: expected the NAME of one tunnel", "tunnel", "--close")
    expect(2, "packgate check: unexpected argument 'b'", "check", "a", "b")
    expect(2, "packgate simulate: --protocol NAME is missing", "simulate", "--tcp", "0")
    expect(2, "packgate simulate: --tcp PORT or --pty is missing", "simulate", "--protocol", "daly")
    expect(2, "packgate simulate: [pack pack] has protocol 'modbus' without a map", "simulate", "--protocol", "modbus", "--tcp", "0")
    expect(2, "packgate simulate: --map '/x': only protocol modbus has a map", "simulate", "--protocol", "daly", "--map", "/x", "--tcp", "0")


def asks_no_other_gateway_than_the_named_one():
    for command in ["status"], ["health"], ["listen", "shed"], ["send", "shed", "00"], ["tunnel"]:
        expect(1, f"packgate {command[0]}: /nowhere/packgate.ini: cannot be opened: No such file or directory", *command,
               "-c", "/nowhere/packgate.ini")


def help_of_a_command():
    assert call("help", "read").stdout == call("read", "--help").stdout != ""
    assert call("help").stdout == call("--help").stdout != ""
    expect(2, "unknown command 'red'; did you mean 'read'?", "help", "red")


def help_has_one_voice():
    names = [line.split()[0] for line in call("--help").stdout.splitlines() if line.startswith("  ")]
    assert len(names) > 15, names
    for name in names:
        text = call(name, "--help").stdout
        assert text.startswith("usage: packgate") and "default:" not in text, (name, text)


def speaks_of_options():
    expect(2, "packgate probe: PORT: 'port' is '127.0.0.1:6126'; expected serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:; "
           "did you mean 'tcp://127.0.0.1:6126'?", "probe", "127.0.0.1:6126")
    expect(2, "packgate probe: --framing: 'baud' is '9N1'; expected", "probe", "--framing", "9N1", "/dev/x")
    expect(1, "packgate read: --address: 'address' is 77; expected 1 to 16 for protocol 'daly'",
           "read", "--port", "sim:", "--protocol", "daly", "--address", "77")
    for command in ["read", "--port", "sim:"], ["simulate", "--tcp", "0"]:
        result = call(*command, "--protocol", "topbms", "--variant", "pace", "--map", "/x")
        assert result.returncode in (1, 2) and "--map '/x': only protocol modbus has a map" in result.stderr, result
    expect(1, "packgate simulate: --port 'sim:': expected serial:", "simulate", "--inverter", "pylontech", "--port", "sim:")
    expect(2, "packgate simulate: --inverter 'sma': expected pylontech, modbus-rtu, pylon-1.2, pylon-1.3, victron", "simulate", "--inverter", "sma")
    # A value cannot inject a line.
    expect(1, "packgate read: --variant: ", "read", "--port", "sim:", "--protocol", "topbms",
           "--variant", "pace\nunit = 7")


def knows_makes():
    for arguments in ["read", "--port", "sim:"], ["simulate", "--tcp", "0"]:
        result = call(*arguments, "--protocol", "pylontech")
        assert result.returncode in (1, 2) and "did you mean 'topbms pylontech" in result.stderr, result


SITE = """[gateway]
listen = 127.0.0.1:1502, 203.0.113.9:502
[line shed]
port = tcp://192.0.2.49:6126
protocol = topbms
[line usb]
port = serial:/dev/packgate-has-none
protocol = jk-pb
[pack house-1]
line = shed
protocol = topbms pace
unit = 1
[pack roof]
line = usb
unit = 33
poll = 500ms
[bank all]
packs = house-1, roof
unit = 9
[mqtt home]
broker = mqtt://192.0.2.5
"""


def check_prints_what_is_served():
    result = call("check", "-", text=SITE)
    assert result.returncode == 0, result
    rows = [line.split() for line in result.stdout.splitlines()]
    for row in (["shed", "tcp://192.0.2.49:6126"], ["usb", "serial:/dev/packgate-has-none", "115200", "8N1"],
                ["1", "house-1", "shed", "topbms", "1", "pace", "1s"],
                ["33", "roof", "usb", "jk-pb", "1", "trigger", "0.5s"], ["9", "all", "2", "of", "2", "house-1,", "roof"],
                ["[mqtt", "home]", "broker", "=", "mqtt://192.0.2.5"]):
        assert row in rows, (row, result.stdout)
    assert result.stdout.endswith("-: 2 lines, 2 packs, 1 bank, no mistakes\n"), result.stdout


def check_warns_of_what_the_host_lacks():
    result = call("check", "-", text=SITE)
    assert result.stderr.splitlines() == [
        "standard input:7: warning: [line usb] /dev/packgate-has-none: it does not exist",
        "standard input:2: warning: 'listen' has 203.0.113.9:502, an address that this host does not have"], result.stderr
    more = "[web]\nlisten = 127.0.0.1:8080, 203.0.113.8:8080\n[tunnel shed]\nlisten = 203.0.113.7:4001\n"
    said = [re.sub(r"^standard input:\d+: warning: ", "", line) for line in call("check", "-", text=SITE + more).stderr.splitlines()]
    for taken in "203.0.113.9:502", "203.0.113.8:8080", "203.0.113.7:4001":
        assert f"'listen' has {taken}, an address that this host does not have" in said, said
    # Of two sections with one port the second one never serves; the gateway runs all the same.
    more = ("[web]\nlisten = 127.0.0.1:4001\n[tunnel shed]\nlisten = 127.0.0.1:4001, 127.0.0.1:4002\n[present plc]\nof = house-1\n"
            "port = tcp-listen:0.0.0.0:4002\nprotocol = modbus-rtu\n[view a]\nsource = house-1\nunit = 7\nlisten = 127.0.0.1:4003\n"
            "register = soc_percent -> 1 u16\n[view b]\nsource = house-1\nunit = 8\nlisten = 127.0.0.1:4003\nregister = soc_percent -> 1 u16\n")
    said = [line for line in call("check", "-", text=SITE + more).stderr.splitlines() if "takes already" in line]
    assert [re.sub(r"^standard input:\d+: warning: ", "", line) for line in said] == [
        "'listen' has 127.0.0.1:4001, which 127.0.0.1:4001 of [web] takes already",
        "'port' has 0.0.0.0:4002, which 127.0.0.1:4002 of [tunnel shed] takes already"], said
    result = call("check", "-", text=SITE.replace("/dev/packgate-has-none", "/dev/null").replace(", 203.0.113.9:502", ""))
    assert result.stderr == "standard input:7: warning: [line usb] /dev/null: it is not a serial port\n", result.stderr


def check_warns_of_two_names_of_one_port():
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "by-id")
        os.symlink("/dev/null", link)
        for name in link, "/dev/null", "/dev/zero":
            text = "".join(f"[line {n}]\nport = serial:{path}\nprotocol = daly\n[pack {n}]\nline = {n}\nunit = {n}\n"
                           for n, path in ((1, link), (2, name)))
            result = call("check", "-", text=text)
            assert (result.returncode, "is already the port" in result.stderr) == ((1, True) if name == link else (0, False)), result
            expected = f"standard input:8: warning: 'port' has {name}, which [line 1] has already as {link}; expected a port of its own"
            assert (expected in result.stderr) == (name == "/dev/null"), result


def check_warns_of_an_outlet_that_is_not_installed():
    """The gateway alone, as in Debian's main package."""
    with tempfile.TemporaryDirectory() as folder:
        alone = shutil.copy(PACKGATE, folder)
        text = "[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n[mqtt home]\nbroker = mqtt://192.0.2.5\n"
        result = subprocess.run([alone, "check", "-"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert result.returncode == 0, result
        assert result.stderr.decode() == ("standard input: warning: [mqtt] packgate-outlet-mqtt: it is not installed; install the package "
                                          "packgate-outlets\n"), result
        result = subprocess.run([alone, "password"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert result.returncode == 1 and b"not installed; install the package packgate-outlets" in result.stderr, result


def check_opens_the_files_that_are_named():
    """For each file that cannot be opened or lacks the expected contents, a warning names what was found and
    expected."""
    head = "[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n"
    with tempfile.TemporaryDirectory() as folder:
        def file(name, text):
            path = os.path.join(folder, name)
            with open(path, "w") as out:
                out.write(text)
            return path

        certificate = file("certificate", "text\n-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")
        key = file("key", "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n")
        locked = file("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n")
        secret, empty, hashed = file("secret", "abc\n"), file("empty", "\nabc\n"), file("hash", "$y$j9T$abc\n")
        missing, device = os.path.join(folder, "missing"), "/dev/null"
        mqtt, web = "[mqtt x]\nbroker = mqtts://192.0.2.5\n", "[web]\nlisten = 127.0.0.1:8080\n"
        influx, notify = "[influx x]\nurl = https://192.0.2.5/write\n", "[notify x]\ntype = webhook\nurl = https://192.0.2.5/\n"
        for section, key_name, good, wrong in (
                (mqtt + "user = u\n", "password_file", secret, {missing: "No such file", empty: "its first line is empty", device: "not a regular file"}),
                (web, "password_file", hashed, {secret: "`packgate password`", missing: "No such file"}),
                (influx, "token_file", secret, {empty: "its first line is empty"}),
                (notify + "user = u\n", "key_file", secret, {missing: "No such file", folder: "Is a directory"}),
                ("[notify x]\ntype = webhook\n", "url", secret, {missing: "No such file", empty: "its first line is empty"}),
                (web, "tls_cert", f"{certificate}, {key}", {f"{certificate}, {missing}": "No such file", f"{missing}, {key}": "No such file",
                                                            f"{certificate}, {certificate}": "no private key in it"}),
                (mqtt, "client_cert", f"{certificate}, {key}", {f"{key}, {certificate}": "no certificate in it"}),
                *((section, "ca_file", certificate, {key: "no certificate in it", missing: "No such file", empty: "no certificate"})
                  for section in (mqtt, influx, notify)),
                (web + f"tls_key = {key}\n", "tls_cert", certificate, {key: "no certificate in it", missing: "No such file"}),
                (web + f"tls_cert = {certificate}\n", "tls_key", key, {certificate: "no private key in it", locked: "has a passphrase"}),
                (mqtt + f"client_key = {key}\n", "client_cert", certificate, {secret: "no certificate in it"})):
            result = call("check", "-", text=f"{head}{section}{key_name} = {good}\n")
            assert result.returncode == 0 and good not in result.stderr, result
            for path, said in wrong.items():
                result = call("check", "-", text=f"{head}{section}{key_name} = {path}\n")
                line = f"{head}{section}".count("\n") + 1
                assert result.returncode == 0 and f"standard input:{line}: warning: '{key_name}' {path}: " in result.stderr, (path, result)
                assert said in result.stderr, (said, result.stderr)


def check_and_run_agree_on_low_ports():
    """The page cannot use a privileged port, whichever user starts the gateway."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        least = int(file.read())
    text = "[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n[web]\nlisten = 127.0.0.1:%d\n"
    assert ": warning: 'listen' has port" not in call("check", "-", text=text % least).stderr
    if least > 1:
        low = least - 1
        assert f"standard input:8: warning: 'listen' has port {low}; the page cannot use ports below {least}" in call("check", "-", text=text % low).stderr


def a_taken_port_names_its_key():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n[web]\nlisten = 127.0.0.1:{port}\n"
        with Gateway(text) as gateway:
            gateway.wait_for(rf"cannot listen on 127\.0\.0\.1:{port} \('listen' of \[web\]\): Address already in use")


def messages_fit_what_is_wrong():
    result = call("check", "-", text="[line küche]\nport = sim:\n")
    assert "'küche' is no name for a line; expected [line NAME] with 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'" in result.stderr, result
    packs = "".join(f"[pack house-battery-{n}]\nline = a\naddress = {n}\nunit = {n}\n" for n in range(1, 17))
    names = [f"house-battery-{n}" for n in range(1, 17)]
    text = f"[line a]\nport = sim:\nprotocol = daly\n{packs}[bank b]\nunit = 99\npacks = "
    result = call("check", "-", text=text + ", ".join(names) + "\n")
    assert "expected at most 198: a list can continue in a further line with the same key" in result.stderr, result
    assert "has no 'packs'" not in result.stderr, result
    result = call("check", "-", text=text + ", ".join(names[:8]) + "\npacks = " + ", ".join(names[8:]) + "\n")
    assert result.returncode == 0 and "16 of 16" in result.stdout, result


def decodes_by_the_variant():
    """Another dialect of the same frames is decoded as that dialect; for an unknown variant, the error lists the
    known ones."""
    path = "tests/captures/topbms/topbms-16s-alarms.exch"
    assert call("decode", "--variant", "topbms", path).stdout == call("decode", path).stdout != ""
    assert call("decode", "--variant", "pylontech", path).stdout != call("decode", path).stdout
    expect(2, "packgate decode: --variant: protocol topbms has no variant 'x'; expected auto, topbms", "decode", "--variant", "x", path)
    expect(2, "protocol jbd has no variant 'x'; expected none", "decode", "--variant", "x", sorted(glob.glob("tests/captures/jbd/*.exch"))[0])


def mistakes_have_their_priority_in_the_journal():
    """As systemd starts it: JOURNAL_STREAM names standard error."""
    for run, wrong in ((True, "<3>"), (False, "standard input")):
        ours, theirs = os.pipe()
        stat = os.fstat(theirs)
        text = "[line a]\nport = tcp://127.0.0.1:1\nbaud = 9600\nprotocol = nix\n[pack p]\nline = a\nunit = 1\n"
        process = subprocess.run([PACKGATE, "run" if run else "check", *(["-c"] if run else []), "-"], stderr=theirs,
                                 input=text, stdout=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8",
                                 env={**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8") as pipe:
            lines = pipe.read().splitlines()
        assert process.returncode == 1 and len(lines) == 2, (process, lines)
        assert all(line.startswith(wrong) for line in lines[1:]), lines
        assert "'baud' has no effect" in lines[0] and lines[0].startswith("<4>" if run else wrong), lines


def incomplete_output_is_a_failure():
    for arguments in (["map"], ["map", "--format", "csv"], ["protocols"], ["check", "--keys"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([PACKGATE, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE,
                                    encoding="utf-8")
        assert result.returncode == 1 and "the output is incomplete" in result.stderr, (arguments, result)
        ours, theirs = os.pipe()
        os.close(ours)
        result = subprocess.run([PACKGATE, *arguments], stdout=theirs, stderr=subprocess.PIPE, timeout=PATIENCE)
        os.close(theirs)
        assert result.returncode == 0 and result.stderr == b"", (arguments, result)


main([incomplete_output_is_a_failure, mistakes_have_their_priority_in_the_journal, check_prints_what_is_served, check_warns_of_what_the_host_lacks, check_warns_of_two_names_of_one_port, check_warns_of_an_outlet_that_is_not_installed, suggests_a_command, read_says_what_is_missing, says_what_a_call_lacks,
      asks_no_other_gateway_than_the_named_one, help_of_a_command, help_has_one_voice, speaks_of_options, knows_makes,
      check_opens_the_files_that_are_named, check_and_run_agree_on_low_ports, a_taken_port_names_its_key, messages_fit_what_is_wrong, decodes_by_the_variant])
