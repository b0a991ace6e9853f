"""What a command says while it works: on a terminal, in a log, quietly, and at length."""

import os
import pty
import re
import select
import subprocess
import sys

import pytest

from pipeline import progress
from tests.conftest import ENVIRONMENT, change, ok, process_scmd, run_scmd

STUDENT = ("student", "--held-out", "ink", "--method", "scmd")
COLOURED = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|38;|9[0-7])[0-9;]*m")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*arguments: str, cwd, env=None) -> str:
    """What a command writes where its standard error is a terminal of 160 columns."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "COLUMNS": "160", "TERM": "xterm-256color", **(env or {})}
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    running = subprocess.Popen(command, cwd=cwd, env=environment, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    told = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            told += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert running.wait() == 0, told.decode()
    return told.decode()


def test_a_terminal_shows_a_bar_with_rate_time_left_losses_and_validation(ready):
    change(ready, "students/small.yaml", steps=60, evaluate_every=20)
    told = on_a_terminal(*STUDENT, cwd=ready)
    assert COLOURED.search(told)
    plain = ESCAPES.sub("", told)
    assert re.search(r"training .* \d+/60 +[\d.]+/s +\d:\d\d:\d\d +\d:\d\d:\d\d", plain)
    assert re.search(r"cross entropy \d\.\d+, distillation \d\.\d+, cross modality \d\.\d+, validation \d+\.\d%", plain)


def test_no_color_is_respected(ready):
    told = on_a_terminal("samples", cwd=ready, env={"NO_COLOR": "1"})
    assert "reading" in told
    assert not COLOURED.search(told)


def clocked(monkeypatch, seconds: float, count: int, state=lambda: "") -> list[str]:
    """Lines of a log in which each of `count` items takes so many seconds."""
    now, lines = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "say", lines.append)
    for _ in progress._lines(range(count), count, "training", state):
        now[0] += seconds
    return lines


def test_a_log_has_a_plain_line_every_ten_seconds_at_most(monkeypatch):
    monkeypatch.delenv(progress.WITHIN, raising=False)
    lines = clocked(monkeypatch, 3.0, 11, lambda: "loss 0.5")
    # Items end at 3, 6, … 33 s; the last needs no line.
    assert lines == [
        "training: 4 of 11, 0.3/s, 21 s left, loss 0.5",
        "training: 8 of 11, 0.3/s, 9 s left, loss 0.5",
    ]
    assert clocked(monkeypatch, 0.5, 20) == []
    assert clocked(monkeypatch, 40.0, 2) == ["training: 1 of 2, 1.5/min, 40 s left"]
    assert clocked(monkeypatch, 1800.0, 2) == ["training: 1 of 2, 2.0/h, 1800 s left"]
    monkeypatch.setenv(progress.WITHIN, "2")  # two of them share a log
    assert clocked(monkeypatch, 3.0, 11) == ["training: 7 of 11, 0.3/s, 12 s left"]


def test_quiet_says_results_and_what_is_wrong_alone(ready):
    done = run_scmd(*STUDENT, "--quiet", cwd=ready)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    report = run_scmd("--quiet", "report", cwd=ready)
    assert "| held out |" in report.stdout
    assert report.stderr == ""
    wrong = run_scmd("report", "--quiet", "--results", "nowhere", cwd=ready)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("scmd: nowhere: no finished trial")
    both = run_scmd("report", "--quiet", "--verbose", cwd=ready)
    assert "exclude each other" in both.stderr


def test_verbose_tells_each_evaluation_also_of_trials_side_by_side(ready):
    told = process_scmd("--verbose", "students", cwd=ready).stderr
    for method in ("erm", "scmd"):
        lines = re.findall(rf"\[{method}, ink held out, trial 0\] (step \d+: cross entropy .*)", told)
        assert [line.split(":")[0] for line in lines] == ["step 0", "step 3", "step 5"]
        assert all(re.search(r"validation \d+\.\d%; evaluated in \d+\.\d s$", line) for line in lines)
    assert "step 3: cross entropy" not in ok(*STUDENT, cwd=ready)


@pytest.mark.parametrize(("words", "at", "expected"), [("scmd ca", "1", "cache"), ("scmd cache du", "2", "duplicates")])
def test_the_shell_completes_commands(tmp_path, words, at, expected):
    environment = {**ENVIRONMENT, "_SCMD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": at}
    program = "import sys; sys.argv[0] = 'scmd'; from pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [expected]


def test_exit_codes_are_those_that_help_names(ready):
    assert "Exit codes: 0 done, 1 an error" in process_scmd("--help", cwd=ready).stdout
    assert process_scmd("cache", "info", cwd=ready).returncode == 0
    assert process_scmd("cache", "info", "nowhere", cwd=ready).returncode == 1
    assert process_scmd("cache", "nothing", cwd=ready).returncode == 2
