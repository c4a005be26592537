# SPDX-License-Identifier: MIT
"""The model of the open requests (tests/model/age.pml): its claims hold for three requests at a time. `make model`
proves them for four, and shows that each mutation of the rule is detected.

tests/run: busy"""

import os
import subprocess

from harness import main

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model", "check")


def the_rule_holds():
    result = subprocess.run([CHECK, "short"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print("".join(f"# {line}\n" for line in result.stdout.splitlines()), end="", flush=True)
    assert result.returncode == 0 and result.stdout.endswith("the rule holds\n")


main([the_rule_holds])
