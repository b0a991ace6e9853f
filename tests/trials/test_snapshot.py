"""A trial that is written down and read back ends as one that never stopped, whatever its method keeps."""

import pytest

from pipeline import training
from pipeline.errors import InputError
from pipeline.methods import METHODS
from pipeline.trials import snapshot
from tests.small_trials import assert_same_end, data_of, judged, run, started

STEPS, STOP = 6, 3
# What the trial would say that it was made from.
OF = {"method": {"lambda1": 0.5}, "views": 3}
# Short valleys, so that one begins before the stop and ends after it.
SETTINGS = {"swad": {"converged": 1, "tolerated": 2, "ratio": 9.0}}


def stopped(name: str, step: int):
    """A trial that was stopped before update `step`."""
    trial = started(name, **changes(name))
    training.advance(trial, data_of(judged(), name), judged(), step)
    return trial


def changes(name: str) -> dict:
    # SWAD's valley takes an evaluation a step; others have one before the stop and one after it.
    every = 1 if name == "swad" else STOP
    return {"steps": STEPS, "dropout": 0.3, "every": every, **SETTINGS.get(name, {})}


@pytest.mark.parametrize(("name", "step"), [("scmd", 1), *((name, STOP) for name in METHODS)])
def test_it_goes_on_to_the_very_same_end(tmp_path, name, step):
    expected = run(name, **changes(name))
    snapshot.write(stopped(name, step), tmp_path, OF)
    trial = started(name, **changes(name))
    snapshot.read_into(trial, tmp_path, OF)
    assert trial.step == step
    training.train(trial, data_of(judged(), name), judged())
    assert_same_end(trial, expected)


def test_what_is_of_another_method_or_damaged_is_refused(tmp_path):
    snapshot.write(started("fitnet"), tmp_path, OF)
    with pytest.raises(InputError, match="it was made from other settings, samples or another cache"):
        snapshot.read_into(started("fitnet"), tmp_path, {**OF, "views": 5})
    with pytest.raises(InputError, match="not a trial of these settings that was written down"):
        snapshot.read_into(started("dann"), tmp_path, OF)
    path = tmp_path / snapshot.TENSORS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a trial of these settings"):
        snapshot.read_into(started("fitnet"), tmp_path, OF)


def test_nothing_is_pickled(tmp_path):
    snapshot.write(stopped("scmd", 2), tmp_path, OF)
    assert sorted(path.name for path in tmp_path.iterdir()) == [snapshot.TENSORS, snapshot.REST]
