# SPDX-License-Identifier: MIT
"""The model of the open requests (tests/model/age.pml): its claims hold, and each mutation of its rule is detected.

tests/run: busy, 30 s"""

import os
import subprocess

from harness import main

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model", "check")


def the_rule_holds_and_each_mutation_is_refuted():
    result = subprocess.run([CHECK], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print("".join(f"# {line}\n" for line in result.stdout.splitlines()), end="", flush=True)
    assert result.returncode == 0 and result.stdout.endswith("the rule holds\n")


main([the_rule_holds_and_each_mutation_is_refuted])
