# SPDX-License-Identifier: MIT
# tests/run: 110 s
"""A small fleet, set up by the commands of docs/fleet.md with the shipped files: after each part was killed, no data
are missing or duplicated; the alert rules and the dashboard show what they should. `make fleet` is the large one."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

from harness import PACKGATE, PATIENCE, main
from influx_harness import VictoriaMetrics, ask

FLEET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fleet", "fleet.py")


def the_page_leads_to_a_fleet_that_loses_nothing():
    """fleet.py runs in a network and a file system of its own."""
    environment = {**os.environ, "FLEET_GATEWAYS": "10", "FLEET_REAL": "1", "FLEET_SECONDS": "1"}
    result = subprocess.run([sys.executable, FLEET, PACKGATE], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=10 * PATIENCE, check=False)
    said = result.stdout.decode()
    assert result.returncode == 0, said
    assert re.search(r"2 real gateways: \d+ rows of their histories, 0 missing, 0 doubled", said), said
    wanted, sent, found = re.search(r"(\d+) samples wanted, (\d+) sent and confirmed, (\d+) found", said).groups()
    assert wanted == sent == found and int(found) > 0, said
    assert "us a request" in said and "what limits" in said, said


def ask_dpkg(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()


def packages_of(programs):
    """The Debian package of each program; the program's own name if the host does not have it."""
    paths = {program: shutil.which(program) for program in programs}
    known = {path: program for program, at in paths.items() if at for path in (at, at.removeprefix("/usr"))}
    found = re.findall(r"^([^:\n]+).*: (.*)$", ask_dpkg("dpkg", "-S", *known), re.M)
    return {**{program: program for program in programs}, **{known[path]: package for package, path in found}}


def the_page_installs_what_it_calls():
    """A new Debian system has the required and important packages, and nothing else."""
    with open("docs/fleet.md", encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.M | re.S)
    installed = set(re.search(r"^sudo apt install (.*)$", "".join(blocks), re.M)[1].split())
    # "sudo -u USER program", and programs in "$(…)" or after "|".
    called = set(re.findall(r"(?:^|\$\(|\| )(?:sudo (?:-u \S+ )?)?([a-z][\w-]*)", "".join(blocks), re.M))
    assert {"mosquitto_sub", "curl", "vmbackup", "certbot", "tee"} <= called, called
    packages = packages_of(called - {"sudo", "cd", "umask", "fleet-admit"})
    status = ask_dpkg("dpkg-query", "-W", "-f", "${Package} ${Priority} ${Essential}\n", *set(packages.values()))
    there = installed | set(re.findall(r"^(\S+) (?:required |important |.* yes$)", status, re.M))
    assert set(packages.values()) <= there, {program: package for program, package in packages.items() if package not in there}


# Values by the minute; each alert fires for `bad` and for nothing else.
SERIES = [
    ('packgate_fresh{gateway="hut-1",pack="a"}', "1x30"), ('packgate_fresh{gateway="hut-1",pack="bad"}', "1x4 0x26"),
    ('packgate_build_info{gateway="hut-1",version="0.2.0"}', "1x30"), ('packgate_build_info{gateway="gone",version="0.2.0"}', "1x5 _x25"),
    ('packgate_behind_s{gateway="hut-1"}', "0x30"), ('packgate_behind_s{gateway="owes"}', "0x5 7200x60"),
    ('packgate_alarm_level{gateway="hut-1",pack="a"}', "1x30"), ('packgate_alarm_level{gateway="hut-1",pack="bad"}', "2x30"),
    *((f'packgate_cell_mv{{gateway="hut-1",pack="a",cell="{cell}"}}', f"{3300 + 4 * cell}x30") for cell in range(1, 9)),
    *((f'packgate_cell_mv{{gateway="hut-1",pack="bad",cell="{cell}"}}', f"{3050 if cell == 7 else 3300}x30") for cell in range(1, 9)),
    *((f'packgate_cell_milliohm{{gateway="hut-1",pack="a",cell="{cell}"}}', "0.8x30") for cell in range(1, 9)),
    *((f'packgate_cell_milliohm{{gateway="hut-1",pack="bad",cell="{cell}"}}', f"{2 if cell == 7 else 0.8}x30") for cell in range(1, 9)),
    ('packgate_finding{gateway="hut-1",pack="a",finding="silent"}', "3600 _x29"),
    ('packgate_finding{gateway="hut-1",pack="bad",finding="cell_falls",cell="7"}', "4 _x29"),
    ('packgate_capacity_seen_ah{gateway="hut-1",pack="a"}', "280x10 270x20"),
    ('packgate_capacity_seen_ah{gateway="hut-1",pack="bad"}', "280x10 240x20"),
]
WANTED = {"PackStale": "bad", "PackProtects": "bad", "CellsApart": "bad", "CellRunsAway": "bad", "CellResistance": "bad",
          "CellFalls": "bad", "CapacityFalls": "bad"}
# Also by the minute, for two hours: the centre works for one, and then fails.
GATEWAYS = [("GatewaySilent", {"gateway": "gone"}), ("GatewayOwes", {"gateway": "owes"})]
CENTRE = [
    *((f'packgate_behind_s{{gateway="hut-{n}"}}', "0x120") for n in range(8)),
    *((f'packgate_behind_s{{gateway="away-{n}"}}', "0x70 _x50") for n in range(2)),
    ('vm_rows_inserted_total{type="influx"}', "0+100x70 7000x50"), ('vm_rows_ignored_total{reason="big_timestamp"}', "0x70 0+1x50"),
    ('vm_free_disk_space_bytes{instance="self"}', "1e12-1e9x120"),
]
AFTERWARDS = {"ManyGatewaysSilent": {}, "NoValues": {}, "ValuesRejected": {}, "DiskFills": {"instance": "self"}}


def alerts_fire_when_they_should():
    with open("conf/fleet/alerts.yml", encoding="utf-8") as file:
        names = re.findall(r"alert: (\w+)", file.read())
    assert set(names) == {*WANTED, *dict(GATEWAYS), *AFTERWARDS, "AlertsWork"}, names
    checked = subprocess.run(["vmalert", "-dryRun", "-rule=conf/fleet/alerts.yml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=PATIENCE)
    assert checked.returncode == 0, checked.stdout.decode()[-1000:]
    checked = subprocess.run(["amtool", "check-config", "conf/fleet/alertmanager.yml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=PATIENCE)
    assert checked.returncode == 0, checked.stdout.decode()
    with tempfile.TemporaryDirectory(prefix="packgate-alerts-") as folder:
        rules = os.path.abspath("conf/fleet/alerts.yml")
        # promtool expects everything that fires; here only the name and the target matter, so labels and texts are
        # removed.
        with open(rules, encoding="utf-8") as file:
            bare = re.sub(r"\n        labels: \{.*\}\n        annotations:\n          summary: .*", "", file.read())
        with open(os.path.join(folder, "rules.yml"), "w", encoding="utf-8") as file:
            file.write(bare)
        tests = []
        for name, pack in WANTED.items():
            labels = {"gateway": "hut-1", "pack": pack}
            labels |= {"cell": "7"} if name in ("CellRunsAway", "CellResistance", "CellFalls") else {}
            labels |= {"finding": "cell_falls"} if name == "CellFalls" else {}
            tests.append({"eval_time": "28m", "alertname": name, "exp_alerts": [{"exp_labels": labels}]})
        for name, labels in GATEWAYS:
            # GatewayOwes must last for half an hour.
            tests.append({"eval_time": "45m" if name == "GatewayOwes" else "28m", "alertname": name, "exp_alerts": [{"exp_labels": labels}]})
        centre = [{"eval_time": at, "alertname": name, "exp_alerts": alerts}
                  for name, labels in AFTERWARDS.items() for at, alerts in (("60m", []), ("110m", [{"exp_labels": labels}]))]
        with open(os.path.join(folder, "test.yml"), "w", encoding="utf-8") as file:
            json.dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m",
                       "tests": [{"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series],
                                  "alert_rule_test": cases} for series, cases in ((SERIES, tests), (CENTRE, centre))]}, file)
        result = subprocess.run(["promtool", "test", "rules", os.path.join(folder, "test.yml")], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=PATIENCE)
        assert result.returncode == 0, result.stdout.decode()[-3000:]


def the_dashboard_asks_what_can_be_answered():
    with open("conf/fleet/grafana.json", encoding="utf-8") as file:
        dashboard = json.load(file)
    now = int(__import__("time").time())
    with VictoriaMetrics() as database:
        lines = []
        for pack in "ab":
            tags = f"packgate,gateway=hut-1,line=l,pack={pack}"
            lines.append(f"{tags} fresh={'ab'.index(pack)},alarm_level=2,soc_percent=55,power_w=100,capacity_seen_ah=280 {now}000000000")
            lines += [f"{tags},cell={cell} cell_mv={3300 + cell},cell_milliohm=0.{cell} {now}000000000" for cell in range(1, 9)]
        ask(database.url + "/write", "\n".join(lines) + "\n")
        ask(database.url + "/internal/force_flush")
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$gateway", ".*")
                answer = json.loads(ask(database.url + "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": now + 1, "nocache": 1})))
                assert answer["data"]["result"], (panel["title"], query)
                if panel["title"] == "Silent packs":
                    assert answer["data"]["result"][0]["value"][1] == "1", answer


if __name__ == "__main__":
    for tool in ("nginx", "victoria-metrics", "vmalert", "mosquitto", "mosquitto_passwd", "promtool", "openssl", "unshare", "ip",
                 "prometheus-alertmanager", "amtool", "vmbackup", "vmrestore", "curl", "mosquitto_sub"):
        assert shutil.which(tool) or os.path.exists(f"/usr/sbin/{tool}"), f"{tool} is missing"
    main([the_page_leads_to_a_fleet_that_loses_nothing, the_page_installs_what_it_calls, alerts_fire_when_they_should, the_dashboard_asks_what_can_be_answered])
