"""A student that answers alike to everything is noticed, and told once; one that learns is not."""

import math

import pytest
import torch

from pipeline import training
from pipeline.selection import collapse
from pipeline.selection.collapse import LONG, WINDOW, Collapse
from pipeline.trials import snapshot
from tests.small_trials import CPU, data_of, judged, run, started


def noticed(losses, classes=20, steps=1000, selecting=None) -> bool:
    watch = Collapse(classes, steps, steps if selecting is None else selecting, CPU)
    for loss in losses:
        watch.saw(torch.tensor(loss))
    return watch.noticed


LEVEL = math.log(20)


def test_a_loss_that_stays_at_the_even_answers_is_a_collapse():
    assert noticed([LEVEL] * LONG)
    assert noticed([LEVEL + 0.3 * (-1) ** at for at in range(LONG)])  # each batch differs, their mean does not


def test_one_that_passes_by_or_stays_elsewhere_is_none():
    assert not noticed([LEVEL] * (LONG - WINDOW))
    assert not noticed([LEVEL] * (LONG - WINDOW) + [2.0] * WINDOW + [LEVEL] * (LONG - WINDOW))
    assert not noticed([4.0 - at / 100 for at in range(400)])
    assert not noticed([2.7] * 1000)
    assert not noticed([LEVEL + 0.2 - at / 1000 for at in range(400)])  # a slow start


def test_a_long_trial_that_passes_slowly_by_is_none():
    """As one of 800 steps falls, from 3.33 to 2.71 in 400, stretched."""
    for steps in (3200, 5001, 10_000, 15_001):
        losses = [3.33 - 0.62 * at / (steps / 2) for at in range(steps // 2)]
        assert not any(noticed([3.5] * shift + losses, steps=steps) for shift in range(0, WINDOW, 20))
    assert noticed([LEVEL] * 800, steps=15_001)


def test_a_short_trial_is_watched_over_all_whole_windows_that_it_has():
    """As the default job's: 126 of 250 steps select. Of fewer than two windows nothing can be said."""
    assert noticed([LEVEL] * 126, steps=250, selecting=126)
    assert not noticed([2.7] * WINDOW + [LEVEL] * 76, steps=250, selecting=126)
    assert not noticed([LEVEL] * 90, steps=200, selecting=90)


def test_it_stays_noticed_when_the_whole_batches_at_the_end_mend_it():
    assert noticed([LEVEL] * LONG + [0.5] * 500)


@pytest.fixture
def quick(monkeypatch):
    for name, value in (("WINDOW", 2), ("LONG", 4), ("LEAST", 4), ("NEAR", 0.5)):
        monkeypatch.setattr(collapse, name, value)


@pytest.mark.usefixtures("quick")
def test_a_trial_says_so_once_and_its_metrics_carry_it(capsys):
    trial = run("scmd", steps=12, every=2)
    assert trial.collapse.noticed
    said = capsys.readouterr().err
    assert said.count("the selected samples' cross-entropy has stayed at ln C = 1.10") == 1
    assert "`select_from: 0.25`" in said


@pytest.mark.usefixtures("quick")
def test_a_trial_that_goes_on_says_it_no_second_time(tmp_path, capsys):
    trial = started("scmd", steps=12, every=2)
    training.advance(trial, data_of(judged(), "scmd"), judged(), 8)
    assert "has stayed at ln C" in capsys.readouterr().err
    snapshot.write(trial, tmp_path / "trial", {})
    again = started("scmd", steps=12, every=2)
    snapshot.read_into(again, tmp_path / "trial", {})
    training.train(again, data_of(judged(), "scmd"), judged())
    assert "has stayed at ln C" not in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_whole_batches_are_not_watched():
    assert not run("scmd", steps=12, hard_fraction=1.0).collapse.noticed
    trial = started("scmd", steps=12, select_from=0.9)
    training.advance(trial, data_of(judged(), "scmd"), judged(), 10)
    assert trial.collapse.state.tolist() == [0, 0, 0, 0]


def test_a_trial_counts_its_own_selecting_updates():
    """Of 400: three quarters and one, of which six windows are whole; with whole batches first, a hundred and one fewer."""
    assert started("scmd", steps=400).collapse.long == LONG
    assert started("scmd", steps=180).collapse.long == 100  # 136 select
    assert started("scmd", steps=400, select_from=0.45).collapse.long == 100  # 121 do
    assert started("scmd", steps=5000).collapse.long == 250
