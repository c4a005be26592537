# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""The dashboard for Grafana, conf/grafana.json: Debian's Prometheus answers each of its queries, from scraped data of
a running gateway, and from the same values under the names of the line protocol."""

import json
import os
import re
import shutil
import tempfile
import urllib.parse
import urllib.request

from harness import PATIENCE, Gateway, Program, free_port, main, simulate, until
from http_standin import HttpStandin

with open("conf/grafana.json", encoding="utf-8") as file:
    DASHBOARD = json.load(file)

# The names that VictoriaMetrics gives to data of the line protocol: one metric for each field.
FIELDS = {"voltage_v": 26.4, "current_a": -12.3, "power_w": -325, "soc_percent": 61.7, "cell_delta_mv": 7, "temp_max_c": 23,
          "temp_min_c": -7, "mos_temp_c": 30, "fresh": 1, "age_s": 1, "timeouts": 2, "charged_wh": 5000, "discharged_wh": 4000,
          "alarm_level": 1, "alarm_soc_low": 1, **{f"cell_mv_{n:02d}": 3290 + n for n in range(1, 9)}}


def questions():
    """(title of the panel, query) with the variables that Grafana would insert."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$pack", ".+").replace("$__rate_interval", "1m")


def ask(port, query):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)["data"]["result"]


def check_all(target, without=()):
    with tempfile.TemporaryDirectory(prefix="packgate-grafana-") as folder:
        with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as file:
            json.dump({"global": {"scrape_interval": "1s"},
                       "scrape_configs": [{"job_name": "packgate", "static_configs": [{"targets": [target]}]}]}, file)
        port = free_port()
        with Program("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{port}") as prometheus:
            prometheus.wait_for("Server is ready")
            for title, query in questions():
                result = until(lambda: ask(port, query), lambda result: result or title in without)
                if title == "Cells":
                    assert {row["metric"]["cell"] for row in result} == {str(n) for n in range(1, 9)}, result
                    assert all(3.2 < float(row["value"][1]) < 3.4 for row in result), result
                if title == "Active alarms" and "count" in query:
                    until(lambda: float(ask(port, query)[0]["value"][1]) == 1)
                elif title == "Active alarms":
                    assert {row["metric"]["alarm"] for row in result} == {"soc_low"}, result


def works_on_what_prometheus_scrapes():
    server, url = simulate("daly", "profile=fixed,cells=8,temps=2,soc_percent=61.7,current_a=-12.3,alarm.soc_low=1")
    with server, Gateway(f"[line shed]\nport = {url}\nprotocol = daly\n[pack shed]\nline = shed\nunit = 1\n"
                         "[web]\nlisten = 127.0.0.1:0\n") as gateway:
        page = gateway.wait_for(r"web: page at http://(\S+?)/")[1]
        gateway.wait_published("shed")
        # A Daly board has no MOS sensor, one of three queries of its panel.
        check_all(page, without=("Temperature",))


def works_on_the_line_protocol():
    text = "".join(f'packgate_{name}{{pack="shed",line="shed",gateway="here"}} {value}\n' for name, value in FIELDS.items())
    with HttpStandin(lambda *_: (200, {"Content-Type": "text/plain; version=0.0.4"}, text.encode())) as server:
        check_all(f"127.0.0.1:{server.server_port}")


def is_a_dashboard():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) and DASHBOARD["title"] == "packgate"
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for title, query in ((p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p["targets"]):
        used = set(re.findall(r"\$([a-z]\w*)", query))
        assert used <= names | {"__rate_interval"}, (title, used)
    cells = [(p["gridPos"]["x"] + x, p["gridPos"]["y"] + y) for p in DASHBOARD["panels"]
             for x in range(p["gridPos"]["w"]) for y in range(p["gridPos"]["h"])]
    assert len(set(cells)) == len(cells), "panels lie over one another"


if __name__ == "__main__":
    assert shutil.which("prometheus"), "prometheus is missing"
    main([is_a_dashboard, works_on_what_prometheus_scrapes, works_on_the_line_protocol])
