"""A trial that is killed, wherever, goes on from its checkpoint and ends with the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipeline import training
from pipeline.trials import checkpoints, snapshot
from pipeline.trials.trial import Trial
from tests.conftest import ENVIRONMENT, change, files, process_scmd
from tests.faults import shim
from tests.small_trials import assert_same_end, data_of, judged, run, started

OF = {"method": {"lambda1": 0.5}}
# Short valleys, so that one spans a checkpoint.
SETTINGS = {"swad": {"converged": 1, "tolerated": 2, "ratio": 9.0}}


def values(name: str) -> dict:
    return {"steps": 7, "dropout": 0.3, "every": 3, **SETTINGS.get(name, {})}


def begun(name: str) -> Trial:
    trial = started(name, **values(name))
    trial.settings = trial.settings.model_copy(update={"checkpoint_every": 2})
    return trial


def work(name: str, folder) -> Trial:
    trial = checkpoints.resumed(lambda: begun(name), folder, OF)
    training.train(trial, data_of(judged(), name), judged(), lambda now: checkpoints.keep(now, folder, OF))
    return trial


def dies_at(step: int, name: str, folder) -> None:
    """In a process of its own, killed in the middle of an update."""
    pid = os.fork()
    if pid == 0:
        update = training.update

        def updated(trial, batch):
            if trial.step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return update(trial, batch)

        training.update = updated
        work(name, folder)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])


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
    for call in range(0, calls, max(1, calls // 5)):
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
