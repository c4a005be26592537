# SPDX-License-Identifier: MIT
"""The rooms of the source: every #include of the product goes down, files do not include one another in a circle, and
no folder is too large."""

import glob
import os
import re

from harness import main

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# From the top down. Rooms in one row do not include each other.
FLOORS = [["main"], ["commands"], ["daemon"], ["control"], ["outlets"], ["past"], ["modbus"], ["packs"], ["lines"], ["ports"], ["config"], ["simulator"], ["base"],
          ["registers"], ["bms"]]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# bms/ uses nothing else; registers/ knows the values of bms/ and nothing of its drivers.
REGISTERS_MAY = {"bms/pack.h", "bms/count.h"}
MOST_FILES = 42
# Headers that a file shares only with the files that it consists of.
INNER = {"gateway/ports/port_kind.h": "gateway/ports/port", "registers/rows.h": "registers/map"}


def sources():
    os.chdir(ROOT)
    return [path for top in ("gateway", "registers", "bms") for path in glob.glob(top + "/**/*.[ch]", recursive=True)]


def room_of(path):
    parts = path.split("/")
    if parts[0] != "gateway":
        return parts[0]
    return parts[1] if len(parts) > 2 else "main"


def unit_of(path):
    return INNER.get(path, os.path.splitext(path)[0])


def includes(path):
    """The files of the product that a file includes."""
    with open(path) as file:
        for name in re.findall(r'^#include "([^"]+)"', file.read(), re.M):
            for place in (os.path.join(os.path.dirname(path), name), name, "gateway/" + name):
                if os.path.exists(place):
                    yield os.path.normpath(place)
                    break
            else:
                raise AssertionError(f"{path} includes {name}, which is not there")


def every_include_goes_down():
    seen = 0
    wrong = []
    for path in sources():
        for other in includes(path):
            seen += 1
            here, there = room_of(path), room_of(other)
            if here != there and FLOOR[here] >= FLOOR[there]:
                wrong.append(f"{path} -> {other}")
    assert seen > 300, seen
    assert not wrong, "\n".join(wrong)


def registers_know_only_the_values():
    wrong = [f"{path} -> {other}" for path in sources() if room_of(path) == "registers"
             for other in includes(path) if room_of(other) == "bms" and other not in REGISTERS_MAY]
    assert not wrong, "\n".join(wrong)


def no_circle():
    """A source and its header are one: neither may include a file that includes one of them."""
    graph = {}
    for path in sources():
        graph.setdefault(unit_of(path), set()).update(unit_of(other) for other in includes(path))
    assert len(graph) > 200, len(graph)
    done, way = set(), []

    def walk(path):
        if path in way:
            raise AssertionError(" -> ".join(way[way.index(path):] + [path]))
        if path in done:
            return
        way.append(path)
        for other in graph[path] - {path}:
            walk(other)
        way.pop()
        done.add(path)

    for path in graph:
        walk(path)


def no_folder_is_a_hall():
    count = {}
    for path in sources():
        count[os.path.dirname(path)] = count.get(os.path.dirname(path), 0) + 1
    assert not {folder: n for folder, n in count.items() if n > MOST_FILES}, count


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def an_outlet_takes_the_files_that_its_steps_name():
    """For the smallest one: exactly the files of the described steps name it."""
    steps = text_of("gateway/outlets/outlet.h").split("To add an outlet")[1].split("*/")[0]
    named = {"gateway/" + name for name in re.findall(r"config/\w+\.[ch]", steps)}
    knowing = {path for path in sources() if re.search(r"\b(outlet_print|print_config|print_section)\b", text_of(path))}
    assert {path for path in knowing if not path.startswith("gateway/outlets/print/")} == named, (knowing, named)
    assert "outlets.mk" in steps and re.search(r"\bprint\b", text_of("gateway/outlets/outlets.mk"))


def keys_are_where_the_tour_says():
    """HACKING names each file with rows of keys where it explains how to add a key."""
    tour = text_of("HACKING.md").split("**A key.**")[1].split("**A value.**")[0]
    with_keys = {path for path in sources() if path.endswith(".c") and re.search(r"^const struct config_section \w+ = ", text_of(path), re.M)}
    assert with_keys == {"gateway/" + name for name in re.findall(r"`(config/[\w/]+\.c)`", tour)}, with_keys


main([every_include_goes_down, registers_know_only_the_values, no_circle, no_folder_is_a_hall,
      an_outlet_takes_the_files_that_its_steps_name, keys_are_where_the_tour_says])
