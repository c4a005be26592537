# SPDX-License-Identifier: MIT
"""One day, and what three programs allow on it: `packgate limits --replay`, and the formulas of dbus-serialbattery
2.x and YamBMS 1.3 with the same currents, voltages and curves. The formulas were written from the behaviour of
these programs; no code was copied. The differences are printed, and docs/limits.md explains them."""

# tests/run: 10 s

import bisect
import math
import os
import subprocess
import tempfile

from harness import PACKGATE, main

CHARGE, DISCHARGE = 100.0, 150.0
HIGH = [(3.375, 1), (3.40, 0.25), (3.425, 0.05), (3.45, 0.005), (3.50, 0)]
LOW = [(2.80, 0), (2.90, 0.005), (3.00, 0.05), (3.10, 0.25), (3.19, 1)]
HEAT = [(0, 0), (2, 0.25), (5, 0.5), (10, 1), (40, 1), (45, 0.5), (50, 0.25), (55, 0)]
FULL, FLOAT, CELLS = 3.45, 3.375, 16
PROTECTED_HIGH, PROTECTED_LOW = 3.65, 2.50  # of the BMS, which YamBMS takes as ends


def curve(points):
    return ", ".join(f"{at:g}:{share:g}" for at, share in points)


CONFIGURATION = f"""
[line shed]
port = tcp://127.0.0.1:4001
protocol = daly
[pack shed]
line = shed
unit = 1
[limits shed]
charge_current = {CHARGE:g}
discharge_current = {DISCHARGE:g}
cells = {CELLS}
sensors = 2
cell_full = {FULL}
cell_float = {FLOAT}, 80
cell_high = {curve(HIGH)}
cell_low = {curve(LOW)}
temperature = {curve(HEAT)}
"""


def along(points, value):
    """The share at a value, linear in between; an unknown value does not limit."""
    if value is None:
        return 1
    after = bisect.bisect([at for at, _ in points], value)
    if after in (0, len(points)):
        return points[-1 if after else 0][1]
    (x0, y0), (x1, y1) = points[after - 1], points[after]
    return y0 + (y1 - y0) * (value - x0) / (x1 - x0)


class Serialbattery:
    """The lowest of the curves, at once if it is 0 or a third less, else once a minute; rises after 30 s, by 5 A a
    second."""

    def __init__(self, most):
        self.most, self.now, self.set_at, self.hold_from, self.rise = most, None, 0, None, None

    def step(self, second, shares):
        wanted = round(self.most * min(shares), 3)
        if self.now is None:
            self.now = wanted
        if wanted <= self.now:
            self.hold_from = self.rise = None
            if wanted == 0 or second - self.set_at >= 60 or self.now - wanted >= 0.33 * self.now:
                self.now, self.set_at = wanted, second
            return self.now
        if self.now == 0 and wanted < 0.015 * self.most:
            self.hold_from = self.rise = None
            return self.now
        if self.hold_from is None:
            self.hold_from = second
        if second - self.hold_from >= 30:
            self.rise = self.rise or (second, self.now)
            self.now = min(wanted, self.rise[1] + 5 * (second - self.rise[0]))
            if self.now == wanted:
                self.hold_from = self.rise = None
        return self.now


class Yambms:
    """Its own curve between float and the middle of full and protection; missing values reduce nothing. Falls at
    once, rises by 15 % of the remaining difference a second. Temperatures by their share of the same current,
    smoothed."""

    def __init__(self, most):
        self.most, self.cell, self.smooth = most, 0.0, None

    def step(self, beyond, temperatures):
        """`beyond`: how far the worst cell is between the beginning and the end of the range, from 0 to 1; None:
        unknown."""
        less = 0.0
        if beyond is not None:
            less = -self.most if beyond > 1 else max(0, 2 - 2 ** (max(0, beyond) ** 1.8)) * self.most - self.most
            gap = less - self.cell
            self.cell = less if gap <= max(0.15 * gap, 1) else self.cell + max(0.15 * gap, 1)
        if None in temperatures:
            by_heat = 0.0
        else:
            ends = (min(temperatures), max(temperatures))
            if self.smooth is None or any(abs(a - b) > 5 for a, b in zip(ends, self.smooth)):
                self.smooth = ends
            self.smooth = tuple(0.05 * a + 0.95 * b for a, b in zip(ends, self.smooth))
            by_heat = (min(along(HEAT, celsius) for celsius in self.smooth) - 1) * self.most
        return self.most + min(self.cell if beyond is not None else 0.0, by_heat)


class SerialbatteryVoltage:
    """While cells are above full: the present pack voltage, less the excess of each cell; recovers after 60 s, by 1
    mV a second."""

    def __init__(self):
        self.now, self.limited = CELLS * FULL, None

    def step(self, second, known):
        excess = sum(volt - FULL for volt in known if volt > FULL)
        wanted = min(max(sum(known) - excess, CELLS * 2.9), CELLS * FULL) if excess else CELLS * FULL
        if wanted <= self.now and (excess or self.limited is not None):
            self.now, self.limited = wanted, second
        elif self.limited is not None and second - self.limited >= 60:
            self.now = min(self.now + 0.001, wanted)
            self.limited = None if self.now >= CELLS * FULL else self.limited
        return self.now


class YambmsVoltage:
    """A proportional and integral controller of the distance of the highest cell from full, which does not integrate
    within 10 mV."""

    def __init__(self):
        self.sum = 0.0

    def step(self, known):
        error = FULL - max(known)
        added = self.sum if 0 <= -error <= 0.010 else self.sum + error
        volts = CELLS * FULL + 0.05 * error + 0.5 * added
        if CELLS * FLOAT <= volts <= CELLS * FULL:
            self.sum = added
        return min(max(volts, CELLS * FLOAT), CELLS * FULL)


def course(points, minute):
    """Interpolates between points of minutes and values."""
    return along(points, minute)


def the_day():
    """Minute by minute: cells in V and temperatures in °C, None if unknown. Empty at six, full at two, with one high
    cell, a frosty morning, ten minutes without cell 5, and as many without a sensor."""
    rest = [(0, 3.28), (300, 3.20), (360, 2.95), (420, 3.22), (780, 3.34), (840, 3.43), (900, 3.445), (960, 3.36), (1440, 3.30)]
    ahead = [(0, 0), (780, 0), (845, 0.06), (880, 0.02), (960, 0)]
    cold = [(0, 12), (240, 1), (330, -1), (420, 6), (600, 22), (900, 41), (1000, 30), (1440, 14)]
    for minute in range(1440):
        cells = [course(rest, minute)] * CELLS
        cells[6] += course(ahead, minute)
        cells = [round(volt, 3) for volt in cells]
        heat = [round(course(cold, minute), 1), round(course(cold, minute) + 2, 1)]
        if 660 <= minute < 670:
            cells[4] = None
        if 690 <= minute < 700:
            heat[0] = None
        yield minute, cells, heat


def of_packgate(day):
    names = ["time", "soc_percent", *(f"cell_mv.{n + 1}" for n in range(CELLS)), "temp_c.1", "temp_c.2"]
    lines = [",".join(names)]
    for minute, cells, heat in day:
        texts = [str(60 * minute), "70", *("" if volt is None else f"{1000 * volt:.0f}" for volt in cells),
                 *("" if celsius is None else str(celsius) for celsius in heat)]
        lines.append(",".join(texts))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "packgate.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION)
        done = subprocess.run([PACKGATE, "limits", "--replay", "-", "-c", path, "--csv"], input="\n".join(lines) + "\n",
                              capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    return [(float(row[2]), row[3], float(row[4]), row[5], float(row[1] or "nan")) for row in rows]


def of_the_others(day):
    """At the end of each minute, (serialbattery, YamBMS) for charging and for discharging, the value of
    serialbattery's curves, and for how many seconds of the minute each of the two was above it, in the same order."""
    serial, yam = (Serialbattery(CHARGE), Serialbattery(DISCHARGE)), (Yambms(CHARGE), Yambms(DISCHARGE))
    middle, low = (PROTECTED_HIGH + FULL) / 2, PROTECTED_LOW + 0.2
    out = []
    for minute, cells, heat in day:
        known = [volt for volt in cells if volt is not None]
        heats = [celsius for celsius in heat if celsius is not None]
        by_heat = min(along(HEAT, celsius) for celsius in heats)
        shares = [(along(HIGH, max(known)), by_heat), (along(LOW, min(known)), by_heat)]
        beyond = [(max(known) - FLOAT) / (middle - FLOAT), (min(known) - 3.1) / (low - 3.1)]
        limits = [most * min(share) for most, share in zip((CHARGE, DISCHARGE), shares)]
        above = [[0, 0], [0, 0]]
        for second in range(60 * minute, 60 * minute + 60):
            now = [(serial[way].step(second, shares[way]), yam[way].step(beyond[way], heats)) for way in (0, 1)]
            for way, peer in ((0, 0), (0, 1), (1, 0), (1, 1)):
                above[way][peer] += now[way][peer] > limits[way] + 0.01
        out.append((now, limits, above))
    return out


def is_settled(day, minute, by):
    """The curve did not change within the last three minutes, so nothing waits, rises or is smoothed."""
    return minute >= 3 and len({by[n] for n in range(minute - 3, minute + 1)}) == 1


def side_by_side():
    day = list(the_day())
    ours, theirs = of_packgate(day), of_the_others(day)
    assert len(ours) == len(theirs) == 1440
    unknown = {n for n, cells, heat in day if None in cells + heat}
    for way, name, most in ((0, "charge", CHARGE), (1, "discharge", DISCHARGE)):
        allowed = [row[2 * way] for row in ours]
        reasons = [row[2 * way + 1] for row in ours]
        curves = [round(row[1][way], 6) for row in theirs]
        serial, yam = ([row[0][way][peer] for row in theirs] for peer in (0, 1))
        # Never more than the same curves allow, and nothing if a value is missing; both others continue then.
        assert all(own <= limit + 0.006 for own, limit in zip(allowed, curves)), name
        assert all(allowed[n] == 0 and reasons[n] == "unknown" and serial[n] > 0.9 * most and yam[n] > 0.9 * most for n in unknown)
        # The same curves, once everything has settled.
        settled = [n for n in range(1440) if is_settled(day, n, curves) and not unknown & set(range(n - 3, n + 1))]
        differ = [(n, allowed[n], serial[n]) for n in settled if abs(allowed[n] - serial[n]) > 0.02 * most]
        assert len(settled) > 100 and not differ, (name, len(settled), differ[:5])
        late, above = (sum(row[2][way][peer] for row in theirs) // 60 for peer in (0, 1))
        assert late > 0 and above > 30, (late, above)
        worst = max(range(1440), key=lambda n: yam[n] - curves[n])
        print(f"# {name}: Ah allowed on the day: packgate {sum(allowed) / 60:.0f}, serialbattery {sum(serial) / 60:.0f}, "
              f"YamBMS {sum(yam) / 60:.0f}; minutes above the curve: 0, {late}, {above}; without a value that is needed: "
              f"packgate 0 A, the others {min(serial[n] for n in unknown):.0f} A and {min(yam[n] for n in unknown):.0f} A; "
              f"farthest: minute {worst}, cells {min(v for v in day[worst][1] if v):.3f} to {max(v for v in day[worst][1] if v):.3f} V, "
              f"packgate {allowed[worst]:.1f} A, serialbattery {serial[worst]:.1f} A, YamBMS {yam[worst]:.1f} A")


def voltages_side_by_side():
    day = list(the_day())
    ours = [row[4] for row in of_packgate(day)]
    serial, yam, theirs = SerialbatteryVoltage(), YambmsVoltage(), []
    for minute, cells, _ in day:
        known = [volt for volt in cells if volt is not None]
        for second in range(60 * minute, 60 * minute + 60):
            now = (serial.step(second, known), yam.step(known))
        theirs.append(now)
    for minute, cells, _ in day:
        if None in cells:
            assert math.isnan(ours[minute]) and theirs[minute] == (CELLS * FULL, CELLS * FULL), (minute, ours[minute], theirs[minute])
            continue
        assert CELLS * FLOAT - 1e-3 <= ours[minute] <= CELLS * FULL - max(0, max(cells) - FULL) + 1e-3, (minute, ours[minute])
    peak = max(range(1440), key=lambda n: max(volt or 0 for volt in day[n][1]))
    below = [sum(volts < CELLS * FULL - 0.01 for volts in each if volts == volts) for each in (ours, *zip(*theirs))]
    print(f"# highest cell {max(day[peak][1]):.3f} V in minute {peak}, pack {sum(day[peak][1]):.2f} V: packgate {ours[peak]:.2f} V, "
          f"serialbattery {theirs[peak][0]:.2f} V, YamBMS {theirs[peak][1]:.2f} V; minutes below full: {below}")


if __name__ == "__main__":
    main([side_by_side, voltages_side_by_side])
