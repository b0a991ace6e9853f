"""Trials that are killed, in an update or in a checkpoint's writing, and must end with the bits of one that was not."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import training
from pipeline.trials import checkpoints
from pipeline.trials.trial import Trial
from tests.faults import shim
from tests.faults.scenes import Verdict
from tests.small_trials import assert_same_end, data_of, judged, run, started

OF = {"method": {"lambda1": 0.5}}
# Short valleys, so that one spans a checkpoint.
SETTINGS = {"swad": {"converged": 1, "tolerated": 2, "ratio": 9.0}}
METHODS = ("scmd", "swad", "mldg", "vl2v_adip", "active_bias", "dann")
STEPS = 7


def values(name: str) -> dict:
    return {"steps": STEPS, "dropout": 0.3, "every": 3, **SETTINGS.get(name, {})}


def begun(name: str) -> Trial:
    trial = started(name, **values(name))
    trial.settings = trial.settings.model_copy(update={"checkpoint_every": 2})
    return trial


def work(name: str, folder: Path) -> Trial:
    trial = checkpoints.resumed(lambda: begun(name), folder, OF)
    training.train(trial, data_of(judged(), name), judged(), lambda now: checkpoints.keep(now, folder, OF))
    return trial


def dies_at(step: int, name: str, folder: Path) -> None:
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


def killed(room: Path, name: str, count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """A trial of a method, `count` times: killed once or twice, in an update or at a call of a checkpoint's writing."""
    expected = run(name, **values(name))
    calls = shim.count(lambda: work(name, room / "counted"))
    for number in range(count):
        folder, what = room / str(number), []
        for _ in range(int(random.integers(1, 3))):
            if random.random() < 0.3:
                start = checkpoints.resumed(lambda: begun(name), folder, OF).step
                step = int(random.integers(start, STEPS))
                dies_at(step, name, folder)
                what.append(f"in update {step}")
            else:
                call, after = int(random.integers(calls)), bool(random.random() < 0.5)
                # One that goes on makes fewer calls, and may be done before.
                shim.killed(lambda folder=folder: work(name, folder), call, after=after)
                what.append(f"{'after' if after else 'before'} call {call}")
        try:
            assert_same_end(work(name, folder), expected)
        except AssertionError as error:
            yield f"{name}, killed {', then '.join(what)}: {error}"
        else:
            yield None
