# SPDX-License-Identifier: MIT
"""The library functions that the program uses: none can block the event loop. The functions of libmodbus that receive,
flush, connect or ask would sleep or select: only `packgate nagios`, which does nothing else, uses them. And the functions
of ours that the programs of outlets contain."""

import glob
import os
import re
import subprocess

from harness import PACKGATE, main

SERIALPORT_WAITS = {"sp_drain", "sp_wait", "sp_blocking_read", "sp_blocking_read_next", "sp_blocking_write"}
LIBC_WAITS = {"select", "pselect", "sleep", "usleep", "nanosleep", "clock_nanosleep", "gethostbyname", "gethostbyname_r"}


def symbols(*options):
    text = subprocess.run(["nm", "-D", *options, PACKGATE], check=True, stdout=subprocess.PIPE).stdout.decode()
    return set(re.findall(r"^[0-9a-f]* *\w (\w+)", text, re.M))


def takes_from_libmodbus_only_what_cannot_wait():
    used = {name for name in symbols("--undefined-only") if name.startswith("modbus_")}
    assert "modbus_connect" in used, used
    archive = os.path.join(os.path.dirname(PACKGATE), "libpackgate.a")
    text = subprocess.run(["nm", "-A", "--undefined-only", archive], check=True, stdout=subprocess.PIPE).stdout.decode()
    by_file = re.findall(r":([\w.-]+\.o): +U (\w+)", text)
    assert used <= {name for _, name in by_file}, used
    # Names of our own begin like that, too.
    waiting = {(file, name) for file, name in by_file if name in used - {"modbus_strerror"}}
    assert {file for file, _ in waiting} <= {"afar.o"}, waiting


def takes_nothing_that_waits():
    waits = SERIALPORT_WAITS | LIBC_WAITS
    if "__asan_init" in symbols("--defined-only"):
        waits = SERIALPORT_WAITS  # clang links the sanitizer's dependencies into the program
    used = symbols("--undefined-only")
    assert "sp_list_ports" in used and not used & waits, used & waits


def an_outlet_links_no_driver_and_no_table_of_keys():
    """An outlet gets its section and the names that it needs from the gateway. Only `present` answers as a BMS, and
    parses a view."""
    programs = set(glob.glob(os.path.join(os.path.dirname(PACKGATE), "packgate-outlet-*")))
    programs = {program for program in programs if not program.endswith("-present")}
    assert programs
    for program in programs:
        text = subprocess.run(["nm", "--defined-only", program], check=True, stdout=subprocess.PIPE).stdout.decode()
        linked = set(re.findall(r" [DdRr] (\w+_driver|\w+_drivers|config_sections)$", text, re.M))
        assert not linked, (program, linked)


main([takes_from_libmodbus_only_what_cannot_wait, takes_nothing_that_waits, an_outlet_links_no_driver_and_no_table_of_keys])
