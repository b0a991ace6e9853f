"""Processes side by side: what they say, who failed, and that none outlives the one that started them."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pipeline.progress import COMMAND_DONE
from pipeline.stage_two import side_by_side
from tests.conftest import ENVIRONMENT, ROOT, hear_interrupts


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# Does what it is told in Python, as `cli.serve` does what it is told in commands of this project.
SERVER = """
import json, os, sys
for line in sys.stdin:
    exec(json.loads(line)[0])
    print(chr(30), file=sys.stderr, flush=True)
"""


def test_failures_are_returned_and_what_was_said_is_passed_on_by_name(capfd):
    told = "print(os.environ['OMP_NUM_THREADS'], 'threads', file=sys.stderr)"
    commands = {"good": [told], "bad": ["raise SystemExit(3)"]}
    done: list[str] = []
    assert side_by_side.run(commands, 2, 5, done.append, server=python(SERVER)) == ["bad"]
    assert done == ["good"]
    assert "[good] 5 threads\n" in capfd.readouterr().err


def test_a_process_is_used_again_unless_its_command_failed(capfd):
    tell = "print(os.getpid(), file=sys.stderr)"
    commands = {"a": [tell], "b": [tell], "c": [f"{tell}; os.kill(os.getpid(), 9)"], "d": [tell]}
    done: list[str] = []
    assert side_by_side.run(commands, 1, 1, done.append, server=python(SERVER)) == ["c"]
    assert done == ["a", "b", "d"]
    pids = dict(re.findall(r"\[(\w)\] (\d+)\n", capfd.readouterr().err))
    assert pids["a"] == pids["b"] == pids["c"] != pids["d"]


def test_a_warning_of_the_same_settings_is_passed_on_once_and_one_of_what_happened_each_time(capfd):
    tell = "print('warning: settings of `kd`: short', 'warning: collapsed', sep=chr(10), file=sys.stderr)"
    side_by_side.run({name: [tell] for name in "ab"}, 1, 1, print, server=python(SERVER))
    assert re.findall(r"\[(\w)\] (.+)\n", capfd.readouterr().err) == [
        *(("a", "warning: settings of `kd`: short"), ("a", "warning: collapsed"), ("b", "warning: collapsed"))
    ]


def test_what_was_said_may_lack_the_end_of_its_line(capfd):
    commands = {"a": ["sys.stderr.write('half a line')"], "b": ["print('whole', file=sys.stderr)"]}
    assert side_by_side.run(commands, 1, 1, print, server=python(SERVER)) == []
    assert "[a] half a line\n[b] whole\n" in capfd.readouterr().err


def test_processes_are_spread_over_the_gpus(capfd):
    tell = "import time; time.sleep(0.3); print('on', os.environ['CUDA_VISIBLE_DEVICES'], file=sys.stderr)"
    side_by_side.run({name: [tell] for name in "abcd"}, 4, 1, print, ["2", "GPU-5"], python(SERVER))
    assert sorted(re.findall(r"\] on (\S+)", capfd.readouterr().err)) == ["2", "2", "GPU-5", "GPU-5"]


STARTER = """
import sys
from pipeline import cli
from pipeline.progress import COMMAND_DONE
from pipeline.stage_two import side_by_side
server = "import os, time; open(str(os.getpid()), 'w').close(); time.sleep(100)"
cli.app = lambda _: side_by_side.run({name: [] for name in "abc"}, 2, 1, print, server=[sys.executable, "-c", server])
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_is_stopped_ends_what_it_started_and_begins_no_other(tmp_path, number):
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    # In a session of its own, so that the signal reaches it alone.
    options = {"cwd": tmp_path, "env": environment, "start_new_session": True}
    starter = subprocess.Popen(python(STARTER), preexec_fn=hear_interrupts, **options)
    while len(children := [int(path.name) for path in tmp_path.iterdir()]) < 2 and starter.poll() is None:
        time.sleep(0.05)
    starter.send_signal(number)
    assert starter.wait(timeout=20) in (130, 143)
    assert len(list(tmp_path.iterdir())) == 2
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.parametrize(("command", "code"), [("time.sleep(600)", -signal.SIGTERM), ("None", 0)])
def test_whoever_gives_commands_and_is_gone_stops_the_one_that_runs(command, code):
    """As one that was killed: a process that ran on, and said nothing, would not meet the broken pipe."""
    served = f"import time; from pipeline import cli; cli.app = lambda _: {command}; cli.serve()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", served], cwd=ROOT, stdin=pipe, stderr=pipe) as process:
        process.stdin.write(b"[]\n")
        process.stdin.flush()
        if code == 0:
            assert COMMAND_DONE in process.stderr.readline().decode()
        process.stdin.close()
        assert process.wait(60) == code
