# SPDX-License-Identifier: MIT
# tests/run: 20 s
"""Metrics: the findings of promtool, the data scraped by Prometheus, and the metrics that a silent pack omits."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

from harness import PATIENCE, Program, free_port, main, simulate, until
from web_harness import Page

PACK = "[line {0}]\nport = {1}\nprotocol = daly\n[pack {0}]\nline = {0}\nunit = {2}\npoll = 100ms\nstale_after = 1s\n"

# The same names in JSON, map, line protocol and metrics are worth more than promtool's advice about these: age_s,
# cell_count, temp_count.
ACCEPTED = re.compile(r"packgate_age_s .*abbreviated units|packgate_(cell|temp)_count .*\"_count\" suffix")


def metrics(page):
    status, headers, body = page.ask("/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return body.decode()


def series(text):
    return dict(re.fullmatch(r"(\S+?(?:\{.*\})?) (\S+)", line).groups() for line in text.splitlines() if not line.startswith("#"))


def test_promtool():
    with Page() as page:
        page.await_fresh()
        done = subprocess.run(["promtool", "check", "metrics"], input=metrics(page).encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        left = [line for line in done.stdout.decode().splitlines() if not ACCEPTED.search(line)]
        assert done.returncode in (0, 3) and not left, left


def test_what_there_is():
    with Page() as page:
        packs = page.await_fresh()
        got = series(metrics(page))
        assert abs(float(got['packgate_voltage_v{pack="shed"}']) - packs["shed"]["voltage_v"]) < 1
        assert got['packgate_fresh{pack="shed"}'] == "1" and got['packgate_fresh{pack="all"}'] == "1"
        assert 3000 < float(got['packgate_cell_mv{pack="shed",cell="16"}']) < 3600
        assert 'packgate_cell_mv{pack="boat",cell="9"}' not in got and 'packgate_temp_c{pack="boat",sensor="1"}' in got
        assert got['packgate_alarm{pack="boat",alarm="cell_over_voltage",level="protection"}'] == "0"
        # Daly reports both levels of a cell voltage alarm, and only protection for a short circuit.
        assert got['packgate_alarm{pack="boat",alarm="cell_over_voltage",level="warning"}'] == "0"
        assert got['packgate_alarm{pack="boat",alarm="short_circuit",level="protection"}'] == "0"
        assert 'packgate_alarm{pack="boat",alarm="short_circuit",level="warning"}' not in got
        assert 'packgate_alarm{pack="shed",alarm="soc_low",level="protection"}' not in got
        # A bank has the alarms of its packs, and warns if one is missing.
        assert 'packgate_alarm{pack="all",alarm="short_circuit",level="warning"}' not in got
        assert got['packgate_alarm{pack="all",alarm="soc_low",level="protection"}'] == "0"
        assert 'packgate_alarm{pack="all",alarm="communication_fault",level="warning"}' in got
        for name in ("charged_wh_total", "discharged_wh_total", "cycles_total", "polls_total", "timeouts_total",
                     "checksum_errors_total", "age_s", "soc_percent"):
            assert f'packgate_{name}{{pack="shed"}}' in got, name
        assert got['packgate_packs_missing{pack="all"}'] == "0"
        info = next(name for name in got if name.startswith('packgate_pack_info{pack="shed"'))
        assert 'protocol="topbms",model="SIM-16S-150AH",serial="SIM00000001",firmware="' in info and got[info] == "1"
        assert any(name.startswith('packgate_build_info{version="') for name in got)
        assert abs(float(got["packgate_start_time_seconds"]) - time.time()) < PATIENCE
        assert float(got["packgate_modbus_requests_total"]) >= 0 and float(got["packgate_web_requests_total"]) >= 1
        assert got['packgate_line_open{line="shed"}'] == "1" and got['packgate_outlet_running{kind="web",name=""}'] == "1"
        # It is requested by its name, like the page.
        assert page.ask("/metrics", host="evil.example")[0] == 421


def test_silence():
    program, port = simulate("daly", "cells=8,soc=50")
    with program, Page(packs=PACK.format("shed", port, 1)) as page:
        page.await_fresh()
        program.process.send_signal(signal.SIGSTOP)
        try:
            deadline = time.monotonic() + PATIENCE
            while (got := series(metrics(page)))['packgate_fresh{pack="shed"}'] == "1":
                assert 'packgate_soc_percent{pack="shed"}' in got and time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            program.process.send_signal(signal.SIGCONT)
        assert not [name for name in got if re.match("packgate_(soc|voltage|cell|temp|alarm|current|power)", name)], got
        assert 'packgate_polls_total{pack="shed"}' in got and 'packgate_charged_wh_total{pack="shed"}' in got


def test_a_hung_gateway():
    with Page() as page:
        page.await_fresh()
        page.process.send_signal(signal.SIGSTOP)
        try:
            got = until(lambda: series(metrics(page)), lambda got: got['packgate_fresh{pack="shed"}'] != "1")
        finally:
            page.process.send_signal(signal.SIGCONT)
        assert 'packgate_voltage_v{pack="shed"}' not in got


def test_prometheus():
    with tempfile.TemporaryDirectory(prefix="packgate-prometheus-") as folder:
        with Page() as page:
            page.await_fresh()
            with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as file:
                json.dump({"global": {"scrape_interval": "1s"},
                           "scrape_configs": [{"job_name": "packgate", "static_configs": [{"targets": [f"localhost:{page.web}"]}]}]}, file)
            port = free_port()
            with Program("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                         f"--web.listen-address=127.0.0.1:{port}") as prometheus:
                prometheus.wait_for("Server is ready")

                def ask(path):
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=PATIENCE) as answer:
                        return json.load(answer)["data"]
                query = urllib.parse.urlencode({"query": 'packgate_cell_mv{pack="shed",cell="16"}'})
                result = until(lambda: ask("query?" + query)["result"])
                assert 3000 < float(result[0]["value"][1]) < 3600
                target = ask("targets")["activeTargets"][0]
                assert target["health"] == "up" and not target["lastError"], target


if __name__ == "__main__":
    for tool in ("promtool", "prometheus"):
        assert shutil.which(tool), f"{tool} is missing"
    main([test_a_hung_gateway, test_prometheus, test_promtool, test_what_there_is, test_silence], at_once=3)
