# SPDX-License-Identifier: MIT
"""Sunrise and sunset compared with PyEphem, which computes the position of the sun with another method (XEphem's
VSOP87) and searches for the moment: all latitudes, all seasons, some years, polar days and polar nights."""

import ctypes
import datetime
import math
import os
import subprocess
import tempfile

import ephem

from harness import main

SOURCE = "gateway/outlets/notify/sun.c"
EPOCH = datetime.datetime(1970, 1, 1)
DAY = 86400
EDGE = 50 / 60  # refraction and half the sun, in degrees
YEARS = (2024, 2025, 2031, 2050)


def library(folder):
    """The product's own file, compiled so that this program can call it."""
    path = os.path.join(folder, "sun.so")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", path, SOURCE, "-lm"], check=True)
    sun = ctypes.CDLL(path)
    sun.sun_crosses.restype, sun.sun_crosses.argtypes = ctypes.c_double, [ctypes.c_int] + [ctypes.c_double] * 3
    return sun.sun_crosses


def observed(noon, latitude, longitude):
    """(rise, set) in Unix seconds by the other library, NaN if it does not happen on this day. None: the sun comes
    within half a degree of the horizon at noon or at midnight, so whether it touches it is uncertain (and that
    library does not terminate then)."""
    place = ephem.Observer()
    place.lat, place.lon, place.pressure, place.horizon = math.radians(latitude), math.radians(longitude), 0, math.radians(-34 / 60)
    sun = ephem.Sun()

    def height(time):
        place.date = EPOCH + datetime.timedelta(seconds=time)
        sun.compute(place)
        return math.degrees(sun.alt) + EDGE

    lowest, highest = (height(noon - DAY / 2), height(noon + DAY / 2)), height(noon)
    if min(map(abs, (*lowest, highest))) < 0.5 or (lowest[0] > 0) != (lowest[1] > 0):
        return None
    if lowest[0] > 0 or highest < 0:
        return math.nan, math.nan
    place.date = EPOCH + datetime.timedelta(seconds=noon)
    rises = place.previous_rising(sun)
    place.date = EPOCH + datetime.timedelta(seconds=noon)
    return tuple((date.datetime() - EPOCH).total_seconds() for date in (rises, place.next_setting(sun)))


def agrees_with_another_library():
    with tempfile.TemporaryDirectory() as folder:
        crosses = library(folder)
        worst, polar, compared, unclear = 0, 0, 0, 0
        for latitude in (*range(-90, 91, 6), -66.6, -65.7, 45.676, 65.7, 66.6, 67.4, 69.65):
            for number, longitude in enumerate((-179.5, -120, 0, 9.165, 77.2, 179.5)):
                for year in YEARS:
                    for day in range(number, 366, 23):
                        midnight = (datetime.datetime(year, 1, 1) - EPOCH).total_seconds() + day * DAY
                        # Noon is when the sun is highest, to a quarter of an hour.
                        noon = midnight + DAY / 2 - longitude / 360 * DAY
                        ours = crosses(-1, noon, latitude, longitude), crosses(1, noon, latitude, longitude)
                        theirs = observed(noon, latitude, longitude)
                        case = (latitude, longitude, year, day, ours, theirs)
                        if theirs is None:
                            unclear += 1
                            continue
                        if math.isnan(theirs[0]):
                            assert all(map(math.isnan, ours)), case
                            polar += 1
                            continue
                        difference = max(abs(mine - other) for mine, other in zip(ours, theirs))
                        # The flatter its path, the more slowly it crosses the horizon.
                        assert difference < (15 if abs(latitude) <= 60 else 120), (difference, case)
                        compared += 1
                        worst = max(worst, difference if abs(latitude) <= 60 else 0)
        assert compared > 8000 and polar > 1500 and unclear < 800, (compared, polar, unclear)
        print(f"# {compared} days compared, {polar} without; at most {worst:.0f} s up to 60 degrees of latitude")


if __name__ == "__main__":
    main([agrees_with_another_library])
