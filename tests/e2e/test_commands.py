# SPDX-License-Identifier: MIT
"""What the commands say to a wrong call: what is missing, and what was probably meant."""

import subprocess

from harness import PACKGATE, PATIENCE, main


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
    expect(2, "--protocol is missing: with --port it says what the pack speaks; 'packgate probe /dev/x' finds out",
           "read", "--port", "/dev/x")
    expect(2, "--port is missing: --address is for a pack outside of the configuration", "read", "--address", "3")
    expect(2, "'house' is the name of a pack in the configuration", "read", "--port", "sim:", "--protocol", "daly", "house")


def speaks_of_options():
    expect(2, "packgate probe: PORT: 'port' is '127.0.0.1:6126'; expected serial:/dev/..., tcp://HOST:PORT or sim:; "
           "did you mean 'tcp://127.0.0.1:6126'?", "probe", "127.0.0.1:6126")
    expect(2, "packgate probe: --framing: 'framing' is '9N1'; expected", "probe", "--framing", "9N1", "/dev/x")
    expect(1, "packgate read: --address: 'address' is 77; expected 1 to 16 for protocol 'daly'",
           "read", "--port", "sim:", "--protocol", "daly", "--address", "77")
    # A value cannot bring in a line of its own.
    expect(1, "packgate read: --variant: ", "read", "--port", "sim:", "--protocol", "topbms",
           "--variant", "pace\nunit = 7")


def knows_makes():
    for arguments in ["read", "--port", "sim:"], ["simulate", "--tcp", "0"]:
        result = call(*arguments, "--protocol", "pylontech")
        assert result.returncode in (1, 2) and "did you mean 'topbms' with variant = pylontech?" in result.stderr, result


main([suggests_a_command, read_says_what_is_missing, speaks_of_options, knows_makes])
