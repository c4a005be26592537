# SPDX-License-Identifier: MIT
"""How much disk VictoriaMetrics needs for a gateway and month: packs that are charged by the sun and discharged at night, with the
noise of real ones, are written into Debian's, which then merges its parts.

    disk.py PACKGATE [DAYS]"""

import json
import math
import os
import random
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from influx_harness import VictoriaMetrics, ask  # noqa: E402

PACKS, CELLS, STEP_S = 4, 16, 10
NAMES = ["voltage_v", "current_a", "power_w", "soc_percent", "remaining_ah", "cell_max_mv", "cell_min_mv", "cell_delta_mv",
         "cell_avg_mv", "temp_avg_c", "temp_max_c", "temp_min_c", "mos_temp_c", "cycles_total", "charged_wh_total",
         "discharged_wh_total", "alarm_level", "fresh", "charge_mos", "discharge_mos"] + [f"cell_mv_{n:02}" for n in range(1, CELLS + 1)]


class Pack:
    """280 Ah, a current with a noise of some tenths of an ampere, cells with one of a millivolt."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.offset = [self.random.gauss(0, 3) for _ in range(CELLS)]
        self.ah, self.load, self.charged, self.discharged = 150.0, 10.0, 0.0, 0.0

    def values(self, at):
        noise = self.random.gauss
        self.load = min(max(self.load + noise(0, 0.5), 2), 60)
        sun = max(0.0, math.sin(2 * math.pi * (at % 86400) / 86400 - math.pi / 2)) * 90
        current = sun * (0.8 + 0.2 * math.sin(at / 700)) - self.load + noise(0, 0.2)
        if self.ah >= 280 and current > 0 or self.ah <= 20 and current < 0:
            current = 0.0
        self.ah += current * STEP_S / 3600
        level = 3200 + 150 * self.ah / 280 + current / 4
        cells = [round(level + offset + noise(0, 0.7)) for offset in self.offset]
        voltage, low, high = sum(cells) / 1000, min(cells), max(cells)
        power = voltage * current
        self.charged += max(power, 0) * STEP_S / 3600
        self.discharged += max(-power, 0) * STEP_S / 3600
        warm = 20 + 8 * math.sin(2 * math.pi * at / 86400) + abs(current) / 20
        temps = [round(warm + n / 2 + noise(0, 0.03), 1) for n in range(4)]
        return [round(voltage, 3), round(current, 3), round(power), round(self.ah / 2.8, 1), round(self.ah, 2), high, low, high - low,
                round(sum(cells) / CELLS, 1), round(sum(temps) / 4, 2), max(temps), min(temps), round(warm + 3, 1), int(self.charged / 14000),
                int(self.charged), int(self.discharged), 0, 1, 1, 1] + cells


def size_of(folder):
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)


def main():
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    # The month that ended last: its parts are all of one partition.
    last = int(time.time()) // 86400 * 86400
    last -= (time.gmtime(last).tm_mday - 1) * 86400
    packs = [Pack(n) for n in range(PACKS)]
    with VictoriaMetrics() as database:
        for day in range(days):
            first = last - (days - day) * 86400
            for hour in range(24):
                lines = []
                for at in range(first + 3600 * hour, first + 3600 * (hour + 1), STEP_S):
                    for n, pack in enumerate(packs):
                        fields = ",".join(f"{name}={value}" for name, value in zip(NAMES, pack.values(at)))
                        lines.append(f"packgate,gateway=hut,line=l{n},pack=p{n} {fields} {at}000000000")
                ask(database.url + "/write", "\n".join(lines) + "\n")
        ask(database.url + "/internal/force_flush")
        ask(database.url + "/internal/force_merge")
        metrics = ""
        while 'vm_active_force_merges 0' not in metrics:
            time.sleep(1)
            metrics = ask(database.url + "/metrics")
        ask(database.url + "/internal/force_flush")
        time.sleep(5)
        samples = days * 86400 // STEP_S * PACKS * len(NAMES)
        answer = ask(database.url + f"/api/v1/query?nocache=1&time={last}&query=" +
                     urllib.parse.quote(f'sum(count_over_time({{__name__=~"packgate_.*"}}[{days}d]))'))
        # Those of the first moment are outside of the span.
        found = int(json.loads(answer)["data"]["result"][0]["value"][1])
        assert samples - PACKS * len(NAMES) <= found <= samples, (found, samples)
        size = size_of(database.folder)
        print(f"{days} days of a gateway with {PACKS} packs x {len(NAMES)} values each {STEP_S} s: {samples} samples, {size / 1e6:.1f} MB, "
              f"{size / samples:.2f} B a sample, {size / days * 30 / 1e6:.0f} MB a month")


main()
