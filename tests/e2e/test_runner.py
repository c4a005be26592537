# SPDX-License-Identifier: MIT
# tests/run: 15 s
"""tests/run, on which all others rely: what it reports as a failure, shows, selects and ends. It runs on a folder of
small tests made for it."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager

from harness import PACKGATE, PATIENCE, Program, main, until

RUNNER = os.path.abspath("tests/run")


@contextmanager
def folder_of(**scripts):
    """Shell scripts as end-to-end tests, by name; a name that begins with "unit_" is the program of a unit test."""
    with tempfile.TemporaryDirectory(prefix="packgate-runner-") as folder:
        for part in ("tests/e2e", "tests/captures/daly", "tests/fuzz", "build/tests"):
            os.makedirs(os.path.join(folder, part))
        shutil.copy(RUNNER, f"{folder}/tests/run")
        for name, text in scripts.items():
            if name.startswith("unit_"):
                put(f"{folder}/tests/test_{name[5:]}.c", "")
                put(f"{folder}/build/tests/test_{name[5:]}", f"#!/bin/sh\n{text}\n", 0o755)
            else:
                # Python, like end-to-end tests; exec replaces it by the script.
                marks = "".join(f"# tests/run: {mark}\n" for mark in ("alone", "busy", "own build", "on demand") if f"# {mark}" in text)
                put(f"{folder}/tests/e2e/test_{name}.py", f"{marks}\n"
                    f"import os\nos.execv('/bin/sh', ['sh', '-c', {text!r}])\n")
        put(f"{folder}/tests/fuzz/run", '#!/bin/sh\necho "1..1"; echo "ok 1 - fuzz $2"\n', 0o755)
        yield folder


def put(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TEST_")}
    return {**clean, "BUILD": "build", "JOBS": "4", **more}


def run(folder, *names, **more):
    """(exit status, lines) of a run."""
    result = subprocess.run([f"{folder}/tests/run", *names], env=environment(**more), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=PATIENCE)
    return result.returncode, result.stdout.decode().splitlines()


GOOD = 'echo "1..2"; echo "ok 1 - a"; echo "ok 2 - b"'


def counts_what_passes():
    with folder_of(good=GOOD, unit_also=GOOD) as folder:
        status, lines = run(folder)
        assert status == 0 and lines[-1] == "12 passed, 0 failed", lines
        assert sum(line.startswith("ok ") for line in lines) == 10 and "ok 1 - a" not in lines, lines


def fails(script, complaint, passed=0, failed=1, name="e2e/bad", **more):
    with folder_of(**{"unit_bad" if name == "bad" else "bad": script}, good=GOOD) as folder:
        status, lines = run(folder, name, "e2e/good", **more)
        text = "\n".join(lines)
        assert status == 1 and lines[-1] == f"{passed + 2} passed, {failed} failed", text
        assert re.search(complaint, text), text
        assert lines[-2] == f"failed: {name}", text


def failing_case_is_shown():
    fails('echo "1..2"; echo "ok 1 - a"; echo "# why it failed"; echo "not ok 2 - b"; exit 1', "^# why it failed$|# why", 1)
    fails('echo "1..1"; echo "not ok 1 - a"', "not ok 1 - a")


def dying_program_fails():
    fails(GOOD + "; kill -SEGV $$", "e2e/bad was ended by SIGSEGV", 2)
    fails(GOOD + "; exit 3", "e2e/bad ended with status 3", 2)
    fails(GOOD + "; kill -ABRT $$", "bad was ended by SIGABRT", 2, name="bad")


def program_without_all_its_cases_fails():
    fails("true", "has no case")
    fails('echo "1..0"', "has no case")
    fails('echo "1..3"; echo "ok 1 - a"', "announces 3 cases and has 1", 1)
    fails('echo "ok 1 - a"', "announces 0 cases and has 1", 1)


def skipped_case_fails():
    fails('echo "1..2"; echo "ok 1 - a # SKIP mbpoll is missing"; echo "ok 2 - b"', "skips 1 of its cases", 1)


def missing_program_fails():
    with folder_of(unit_bad=GOOD) as folder:
        os.unlink(f"{folder}/build/tests/test_bad")
        status, lines = run(folder, "bad")
        assert status == 1 and lines[-1] == "0 passed, 1 failed", lines
        assert any("No such file" in line for line in lines), lines


def hanging_program_is_ended():
    fails('echo "1..2"; echo "ok 1 - a"; exec sleep 1000', "does not end in 1 s", 1, TEST_TIMEOUT="1")


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def more_run_at_once_while_processors_are_idle():
    """Each of them waits for all others; the first one says that time passes in which nothing is done."""
    each = 'echo "1..1"; touch here-$$; until [ "$(ls here-* | wc -l)" = 11 ]; do sleep 0.1; done; echo "ok 1 - a"'
    first = f"n=0; (until [ -e over ]; do n=$((n + 1000)); echo cpu 0 0 0 $n 0 >new; mv new stat; sleep 0.1; done) & {each}; touch over"
    with folder_of(**{f"t{n:02}": each if n else first for n in range(11)}) as folder:
        put(f"{folder}/stat", "cpu 0 0 0 0 0\n")
        status, lines = run(folder, "e2e", JOBS="1", TEST_STAT=f"{folder}/stat")
        assert status == 0 and lines[-1] == "11 passed, 0 failed", lines


def nothing_outlives_its_test():
    with folder_of(bad="setsid sh -c 'echo $$ >left; exec sleep 1000' & until [ -s left ]; do :; done; " + GOOD) as folder:
        status, lines = run(folder, "e2e/bad", TEST_GRACE="0.1")
        assert status == 1 and "e2e/bad left running: sleep 1000" in lines, lines
        with open(f"{folder}/left", encoding="ascii") as file:
            assert is_gone(int(file.read()))


def interrupted_run_ends_its_tests():
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with folder_of(long="echo $$ >one; setsid sh -c 'echo $$ >two; exec sleep 1000' & exec sleep 1000") as folder:
            runner = Program(f"{folder}/tests/run", "e2e/long", env=environment())
            pids = [await_pid(f"{folder}/{name}") for name in ("one", "two")]
            status = runner.stop(how)
            assert status == (1 if how != signal.SIGKILL else -signal.SIGKILL), status
            until(lambda: all(map(is_gone, pids)))


def await_pid(path):
    def text():
        with open(path, encoding="ascii") as file:
            return file.read()
    return int(until(text, lambda text: text.endswith("\n"), bears=OSError))


def names_pick_tests():
    with folder_of(push=GOOD, probe=GOOD, unit_push=GOOD, unit_jk02=GOOD, unit_jk_pb=GOOD) as folder:
        for names, wanted in ((["push"], "push"), (["e2e/p*"], "e2e/probe e2e/push"), (["jk*", "push"], "jk02 jk_pb push"),
                              (["e2e"], "e2e/probe e2e/push"), (["fuzz/daly"], "fuzz/daly"),
                              (["tests/e2e/test_push.py"], "e2e/push"), (["tests/test_jk02.c"], "jk02"),
                              ([], "e2e/probe e2e/push fuzz/config fuzz/daly fuzz/edit fuzz/exchange fuzz/map fuzz/modbus fuzz/rtu fuzz/server jk02 jk_pb push")):
            status, lines = run(folder, "--list", *names)
            assert status == 0 and sorted(lines) == wanted.split(), (names, lines)
        status, lines = run(folder, "push", "nothing")
        assert status == 1 and lines == ["tests/run: there is no test nothing; --list shows all"], lines


def sanitized_run_leaves_out_what_has_its_own_build():
    with folder_of(good=GOOD, packages="# own build\n" + GOOD) as folder:
        os.rename(f"{folder}/build", f"{folder}/sanitized")
        for names, wanted in ([], ["e2e/good"]), (["e2e"], ["e2e/good", "e2e/packages"]), (["fuzz/daly"], ["fuzz/daly"]):
            status, lines = run(folder, "--list", *names, BUILD="sanitized")
            assert status == 0 and lines == wanted, lines


def what_is_on_demand_runs_only_by_name():
    with folder_of(good=GOOD, large="# on demand\n" + GOOD) as folder:
        assert "e2e/large" not in run(folder, "--list")[1]
        assert run(folder, "--list", "e2e/large")[1] == ["e2e/large"]


def one_that_wants_to_be_alone_is():
    mark = 'echo "$0 begins" >>times; sleep 0.2; echo "$0 ends" >>times; '
    with folder_of(one=mark + GOOD, two=mark + GOOD, three="# alone\necho alone >>times; sleep 0.2; echo alone >>times; " + GOOD) as folder:
        status, lines = run(folder, "e2e")
        assert status == 0, lines
        with open(f"{folder}/times", encoding="ascii") as file:
            times = file.read().split()
        at = times.index("alone")
        assert times[at + 1] == "alone", times


def busy_ones_run_beside_those_that_wait():
    """One job for each core, with low priority, also where sessions have shares of their own."""
    share = "/proc/self/autogroup"
    busy = f'nice >>nice; [ ! -e {share} ] || cat {share} >>shares; ' 'echo "$PPID" >>times; until [ -e waits ]; do sleep 0.01; done; sleep 0.1; echo "$PPID" >>times; '
    waits = "touch waits; until [ -e times ]; do sleep 0.01; done; "
    with folder_of(unit_one=busy + GOOD, unit_two=busy + GOOD, large="# busy\n" + busy + GOOD, one=waits + GOOD, two=waits + GOOD) as folder:
        status, lines = run(folder, "unit", "e2e", JOBS="1")
        assert status == 0, lines
        with open(f"{folder}/times", encoding="ascii") as file:
            times = file.read().split()
        assert len(times) == 6 and times[0::2] == times[1::2] and len(set(times)) == 3, times
        with open(f"{folder}/nice", encoding="ascii") as file:
            assert {int(said) for said in file.read().split()} == {min(19, os.nice(0) + 10)}
        if os.geteuid() == 0 and os.path.exists(f"{folder}/shares"):  # others may change this ten times a second
            with open(f"{folder}/shares", encoding="ascii") as file:
                assert all(line.endswith(" nice 10\n") for line in file)


def files_of_a_test_are_in_memory():
    """Except where somebody has said where they belong, and of a test that fetches a lot."""
    where = 'echo "$TMPDIR" >where; ' + GOOD
    with folder_of(small=where, large="# on demand\n" + where) as folder:
        memory, disk = f"{folder}/memory", f"{folder}/disk"
        os.mkdir(memory)
        os.mkdir(disk)
        usual = {name: value for name, value in environment(TEST_MEMORY=memory).items() if name != "TMPDIR"}
        for name, said, wanted in ("e2e/small", {}, "memory"), ("e2e/small", {"TMPDIR": disk}, "disk"), ("e2e/large", {}, "tmp"):
            subprocess.run([f"{folder}/tests/run", name], env={**usual, **said}, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
            with open(f"{folder}/where", encoding="utf-8") as file:
                assert file.read().split("/")[-2] == wanted, (name, said)


def one_that_fails_beside_others_runs_again_alone():
    once = '[ -e again ] || { touch again; echo "1..1"; echo "not ok 1 - a"; exit 1; }; '
    with folder_of(bad=once + GOOD, good=GOOD) as folder:
        status, lines = run(folder, "e2e")
        assert status == 0 and lines[-2:] == ["passed only alone: e2e/bad", "4 passed, 0 failed"], lines
        assert sum("not ok 1 - a" in line for line in lines) == 1, lines
        with open(f"{folder}/build/tests/log/e2e/bad.beside-others", encoding="ascii") as file:
            assert "not ok 1 - a" in file.read()


def of_cases_that_share_nothing_only_those_that_failed_run_again():
    with folder_of(good=GOOD) as folder:
        put(f"{folder}/tests/e2e/test_bad.py", f"import os, sys\nsys.argv[1:] = [{PACKGATE!r}]\n"
            f"sys.path.insert(0, {os.path.abspath('tests/e2e')!r})\nimport harness\n"
            "def steady():\n    open('steady', 'a').write('x')\n"
            "def fickle():\n    if not os.path.exists('again'):\n        os.mkdir('again')\n        raise ValueError\n"
            "harness.main([steady, fickle], at_once=2)\n")
        status, lines = run(folder, "e2e")
        assert status == 0 and lines[-2:] == ["passed only alone: e2e/bad", "4 passed, 0 failed"], lines
        assert os.path.getsize(f"{folder}/steady") == 1, lines
        status, lines = run(folder, "e2e/bad", TEST_CASES="steady")
        assert status == 0 and lines[-1] == "1 passed, 0 failed", lines


main([counts_what_passes, failing_case_is_shown, dying_program_fails, program_without_all_its_cases_fails,
      skipped_case_fails, missing_program_fails, hanging_program_is_ended, nothing_outlives_its_test, more_run_at_once_while_processors_are_idle,
      interrupted_run_ends_its_tests, names_pick_tests, one_that_wants_to_be_alone_is,
      busy_ones_run_beside_those_that_wait, sanitized_run_leaves_out_what_has_its_own_build, what_is_on_demand_runs_only_by_name,
      files_of_a_test_are_in_memory, one_that_fails_beside_others_runs_again_alone, of_cases_that_share_nothing_only_those_that_failed_run_again])
