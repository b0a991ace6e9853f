"""A trial that is killed, wherever, goes on from its checkpoint and ends with the same bits."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from pipeline.trials import checkpoints, snapshot
from tests.conftest import ENVIRONMENT, change, files, process_scmd
from tests.faults import shim
from tests.faults.trials import OF, begun, dies_at, values, work
from tests.small_trials import assert_same_end, run


@pytest.mark.parametrize(
    ("name", "step"), [("scmd", 3), ("swad", 6), ("mldg", 3), ("vl2v_adip", 6), ("active_bias", 6), ("dann", 3)]
)
def test_killed_in_an_update_it_ends_with_the_same_bits(tmp_path, name, step):
    dies_at(step, name, tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        f"step-{n}" for n in (2, 4, 6) if step - 4 < n <= step
    }
    assert_same_end(work(name, tmp_path), run(name, **values(name)))


def test_killed_in_a_checkpoints_own_writing_it_ends_with_the_same_bits(tmp_path):
    expected = run("scmd", **values("scmd"))
    calls = shim.count(lambda: work("scmd", tmp_path / "counted"))
    assert calls >= 10  # with those in an update, more than ten points
    for call in range(0, calls, max(1, calls // 3)):
        folder = tmp_path / str(call)
        assert shim.killed(lambda folder=folder: work("scmd", folder), call, after=bool(call % 2))
        assert_same_end(work("scmd", folder), expected)


@pytest.mark.parametrize("file", [snapshot.TENSORS, snapshot.REST])
def test_a_torn_one_falls_back_to_the_one_before(tmp_path, capsys, file):
    dies_at(6, "scmd", tmp_path)
    path = tmp_path / "checkpoints/step-6" / file
    path.write_bytes(path.read_bytes()[:-9])
    trial = checkpoints.resumed(lambda: begun("scmd"), tmp_path, OF)
    assert trial.step == 4
    assert f"{path.parent}: not a trial of these settings that was written down" in capsys.readouterr().err
    assert_same_end(work("scmd", tmp_path), run("scmd", **values("scmd")))


def test_a_flipped_bit_of_a_tensor_is_found(tmp_path):
    dies_at(6, "scmd", tmp_path)
    path = tmp_path / "checkpoints/step-6" / snapshot.TENSORS
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    assert checkpoints.resumed(lambda: begun("scmd"), tmp_path, OF).step == 4


def test_one_of_other_settings_is_refused_by_name_and_the_trial_begins_anew(tmp_path, capsys):
    dies_at(6, "scmd", tmp_path)
    trial = checkpoints.resumed(lambda: begun("scmd"), tmp_path, {"method": {"lambda1": 0.1}})
    assert trial.step == 0
    told = capsys.readouterr().err
    assert "step-6: not a trial of these settings that was written down (it was made from other settings" in told
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_the_command_killed_goes_on_and_leaves_the_same_files_and_no_checkpoint(ready):
    change(ready, "students/small.yaml", steps=24, evaluate_every=12, checkpoint_every=4)
    command = ("student", "--held-out", "ink", "--method", "scmd")
    assert process_scmd(*command, cwd=ready).returncode == 0
    folder = ready / "results/trials/small/ink/scmd/hparams-0/trial-0"
    assert not (folder / checkpoints.FOLDER).exists()
    expected = files(folder)
    shutil.rmtree(folder)
    words = [sys.executable, "-m", "pipeline.cli", *command]
    running = subprocess.Popen(words, cwd=ready, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while not (folder / checkpoints.FOLDER / "step-12").exists() and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    running.wait()
    done = process_scmd(*command, cwd=ready)
    assert done.returncode == 0, done.stderr
    assert "goes on from step" in done.stderr
    found = files(folder)
    measured = [json.loads(each.pop("metrics.json"))["accuracy"] for each in (found, expected)]  # with times
    assert measured[0] == measured[1]
    assert found == expected
