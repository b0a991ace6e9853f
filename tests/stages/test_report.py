"""`scmd report` on trials that are not all whole, and on data that leaks."""

import re
import shutil

import pytest

from pipeline.trials import files
from tests.conftest import ok, refused

ERM, SCMD = (f"results/trials/small/ink/{name}/hparams-0/trial-0" for name in ("erm", "scmd"))


@pytest.fixture
def mine(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "mine")


@pytest.mark.parametrize("name", [files.HISTORY, files.PREDICTIONS])
def test_a_trial_with_a_damaged_file_is_left_out_with_the_command_that_mends_it(mine, name):
    (mine / ERM / name).write_bytes(b"damaged")
    told = ok("report", cwd=mine)
    row = next(line for line in told.splitlines() if line.startswith("| ink |"))
    assert row.split(" | ")[2] == "–"
    assert "1 of 2 trials are done" in told
    assert f"erm, ink held out, trial 0 is left out: {ERM}/{name}: not the" in told
    (command,) = re.findall("`scmd (student .*)`", told)
    assert "erm, ink held out, trial 0 is left out" in (mine / "results/report.html").read_text()
    ok(*command.split(), cwd=mine)
    assert "left out" not in ok("report", cwd=mine)


@pytest.mark.parametrize("name", [files.WEIGHTS, files.PROJECTION, files.PREDICTIONS, files.HISTORY])
def test_a_trial_that_lost_a_file_is_no_longer_current(mine, name):
    (mine / SCMD / name).unlink()
    told = ok("report", cwd=mine)
    assert f"{SCMD}/{name}: missing, while the trial's card is there" in told
    assert "1 of 2 trials are done. 1 more are damaged, or were made from other settings" in told


def test_times_may_be_missing(mine):
    (mine / SCMD / files.METRICS).unlink()
    assert "trials are done" not in ok("report", cwd=mine)


def test_no_sound_trial_is_no_table(mine):
    for place in (ERM, SCMD):
        (mine / place / files.HISTORY).write_bytes(b"")
    assert "no finished trial of this experiment here" in refused("report", cwd=mine)


def test_a_leak_is_said_above_the_table(mine):
    shutil.copy(mine / "images/ink/disc/0.png", mine / "images/clay/disc/copy.png")
    told = ok("samples", cwd=mine)
    assert "1 pictures stand under several domains" in told
    for words in (["teacher"], ["pixels"], ["student", "--held-out", "ink", "--method", "erm"]):
        ok(*words, cwd=mine)
    report = ok("report", cwd=mine)
    leak = "**Leak:** 1 of 12 pictures of held-out domain `ink` also stand in another domain, first ink/disc/0.png"
    assert leak in report
    assert report.index(leak) < report.index("| held out |")
    page = (mine / "results/report.html").read_text()
    assert page.index("<strong>Leak:</strong> 1 of 12 pictures") < page.index("<table")
