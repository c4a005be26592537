# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""The state file of a running gateway: its folder, a second gateway that uses it, a pack that is renamed, a pipe in
its place."""

import os
import re
import signal
import tempfile

from harness import Gateway, crc16, main, read_value, simulate, until
from mqtt_harness import Broker, Listener

PROFILE = "profile=fixed,voltage_v=52,current_a=-3600"


def pack(url, name="house"):
    return f"[line shed]\nport = {url}\nprotocol = topbms\n[pack {name}]\nline = shed\nunit = 1\npoll = 100ms\n"


def await_energy(client, more_than):
    while read_value(client, "discharged_wh", 1) <= more_than:
        pass


def makes_its_folder():
    server, url = simulate("topbms", PROFILE)
    with server, tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        state = folder + "/packgate/state"
        for _ in range(2):
            with Gateway(pack(url), state=state) as gateway, gateway.client() as client:
                gateway.wait_published("house")
                before = read_value(client, "discharged_wh", 1)
                await_energy(client, before)
        assert before > 0 and os.path.isfile(state)


def says_what_to_do_without_a_folder():
    server, url = simulate("topbms", PROFILE)
    with server, tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        with Gateway(pack(url), state=folder + "/not/there/state") as gateway:
            gateway.wait_published("house")
        assert any(re.search(r"error: state file \S+ cannot be written: No such file.*create its folder.*or set state_file",
                             line) for line in gateway.lines), gateway.lines


def leaves_another_gateways_file_alone():
    server, url = simulate("topbms", PROFILE)
    with server, tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        state = folder + "/state"
        with Gateway(pack(url), state=state) as first, first.client() as client:
            first.wait_published("house")
            await_energy(client, 0)
            with Gateway(pack(url), state=state) as second:
                second.wait_published("house")
            assert any(f"in use by another gateway, process {first.process.pid}" in line for line in second.lines)
            assert not os.path.exists(state)
        assert "[pack house]" in open(state, encoding="ascii").read()


def tells_of_a_renamed_pack():
    server, url = simulate("topbms", PROFILE)
    with server, Gateway(pack(url)) as gateway, gateway.client() as client:
        gateway.wait_published("house")
        await_energy(client, 0)
        with open(gateway.path, encoding="utf-8") as file:
            text = file.read()
        for name, told in (("cellar", r"warning: 'house' is no longer in the configuration.*counted from 0: cellar\..*old name in its heading"),
                           ("house", r"'house' is in the configuration again; its counters continue")):
            with open(gateway.path, "w", encoding="utf-8") as file:
                file.write(text.replace("[pack house]", f"[pack {name}]"))
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_for(told)


def reads_the_notes_of_packgate_rename():
    """A command of former versions wrote them: the counters continue, and each pack has the id of its heading."""
    server, url = simulate("topbms", PROFILE)
    with server, Broker() as broker, Listener(broker) as listener, tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        state = folder + "/state"
        with Gateway(pack(url), state=state) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            await_energy(client, 0)
        with open(state, encoding="ascii") as file:
            text = file.read().split("\n[end]\n")[0]
        text += "\n[outlet mqtt home]\nas.house = shed\nleft.shed = 1\nas.house~ = house\npack.house~ = topbms 0\n"
        with open(state, "w", encoding="ascii") as file:
            file.write(f"{text}\n[end]\nchecksum = {crc16(text.encode()):04x}\n")
        before = float(re.search(r"discharged_wh = (\S+)", text)[1])
        more = f"[mqtt home]\nbroker = mqtt://127.0.0.1:{broker.port}\ninterval = 1s\n"
        with Gateway(pack(url) + more, state=state) as gateway, gateway.client() as client:
            gateway.wait_published("house")
            assert read_value(client, "discharged_wh", 1) >= before > 0
            topics = until(lambda: {topic for _, topic, payload in listener.came if payload and topic.endswith("/config")},
                                lambda came: [topic for topic in came if topic.endswith("_house/config")])
            assert not [line for line in gateway.lines if "damaged" in line]
        assert not [topic for topic in topics if "_shed/" in topic], topics


def ends_with_a_pipe_in_its_way():
    server, url = simulate("topbms", PROFILE)
    with server, tempfile.TemporaryDirectory(prefix="packgate-test-") as folder:
        state = folder + "/state"
        with Gateway(pack(url), state=state) as gateway:
            gateway.wait_published("house")
            os.mkfifo(state + ".tmp")
            assert gateway.stop() == 0
        assert os.path.isfile(state)


main([makes_its_folder, says_what_to_do_without_a_folder, leaves_another_gateways_file_alone, tells_of_a_renamed_pack, reads_the_notes_of_packgate_rename,
      ends_with_a_pipe_in_its_way])
