# SPDX-License-Identifier: MIT
# tests/run: 80 s
"""A small fleet with the files of conf/fleet: nothing is missing and nothing doubled after each part was killed; the alert rules
and the dashboard say what they should. `make fleet` is the large one."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

from harness import PATIENCE, main
from influx_harness import VictoriaMetrics, ask

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fleet"))
import fleet  # noqa: E402


def nothing_is_lost_in_a_small_fleet():
    said = []
    fleet.run(10, 2, 1, said.append)
    assert any(re.search(r"2 real gateways: \d+ rows of their histories, 0 missing, 0 doubled", line) for line in said), said
    assert any("us a request" in line for line in said) and any("what limits" in line for line in said), said


# Values by the minute; each alert fires for `bad` and for nothing else.
SERIES = [
    ('packgate_fresh{gateway="hut-1",pack="a"}', "1x30"), ('packgate_fresh{gateway="hut-1",pack="bad"}', "1x4 0x26"),
    ('packgate_fresh{gateway="gone",pack="a"}', "1x5 _x25"),
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
          "CellFalls": "bad", "CapacityFalls": "bad", "GatewaySilent": None}


def alerts_fire_when_they_should():
    with open("conf/fleet/alerts.yml", encoding="utf-8") as file:
        names = re.findall(r"alert: (\w+)", file.read())
    assert set(names) == set(WANTED), names
    checked = subprocess.run(["vmalert", "-dryRun", "-rule=conf/fleet/alerts.yml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=PATIENCE)
    assert checked.returncode == 0, checked.stdout.decode()[-1000:]
    folder = tempfile.mkdtemp(prefix="packgate-alerts-")
    try:
        rules = os.path.abspath("conf/fleet/alerts.yml")
        # promtool wants the whole of what fires; here only who is meant counts, so labels and words are taken out.
        with open(rules, encoding="utf-8") as file:
            bare = re.sub(r"\n        labels: \{.*\}\n        annotations:\n          summary: .*", "", file.read())
        with open(os.path.join(folder, "rules.yml"), "w", encoding="utf-8") as file:
            file.write(bare)
        tests = []
        for name, pack in WANTED.items():
            labels = {"gateway": "gone"} if pack is None else {"gateway": "hut-1", "pack": pack}
            labels |= {"cell": "7"} if name in ("CellRunsAway", "CellResistance", "CellFalls") else {}
            labels |= {"finding": "cell_falls"} if name == "CellFalls" else {}
            tests.append({"eval_time": "28m", "alertname": name, "exp_alerts": [{"exp_labels": labels}]})
        with open(os.path.join(folder, "test.yml"), "w", encoding="utf-8") as file:
            json.dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m",
                       "tests": [{"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in SERIES],
                                  "alert_rule_test": tests}]}, file)
        result = subprocess.run(["promtool", "test", "rules", os.path.join(folder, "test.yml")], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=PATIENCE)
        assert result.returncode == 0, result.stdout.decode()[-3000:]
    finally:
        shutil.rmtree(folder)


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
    for tool in ("nginx", "victoria-metrics", "vmalert", "mosquitto", "mosquitto_passwd", "promtool", "openssl"):
        assert shutil.which(tool) or os.path.exists(f"/usr/sbin/{tool}"), f"{tool} is missing"
    main([nothing_is_lost_in_a_small_fleet, alerts_fire_when_they_should, the_dashboard_asks_what_can_be_answered])
