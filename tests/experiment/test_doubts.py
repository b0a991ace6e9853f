"""What is said of a schedule before the first step."""

import pytest

from pipeline import config
from pipeline.experiment.doubts import schedule_warning
from pipeline.methods import METHODS
from pipeline.trials.settings import StudentSettings
from tests.conftest import ROOT

STUDENT = config.load(ROOT / "configs/students/resnet10t-800.yaml", StudentSettings)


@pytest.mark.parametrize(
    ("steps", "settings", "said"),
    [
        (800, {"hard_fraction": 1.0}, None),
        (1600, {"hard_fraction": 0.2}, None),
        (1599, {"hard_fraction": 0.2}, "keeps 16 of 80 images for 1599 steps; with fewer"),
        (400, {"hard_fraction": 0.2, "select_from": 0.25}, None),
        (396, {"hard_fraction": 0.2, "select_from": 0.25}, "raise `steps`, or begin with whole batches"),
        (800, {"hard_fraction": 0.19}, "keeps 15 of 80 images for 800 steps; below 16"),
        (400, {"hard_fraction": 0.1, "select_from": 0.25}, "keeps 8 of 80 images"),
        (400, {"hard_fraction": 0.1, "floor": 80}, None),
        (400, {"hard_fraction": 0.2, "select_from": 0.6, "full_batch_fraction": 0.5}, "no step selects"),
        (800, {"hard_fraction": 0.2, "select_from": 0.5, "anneal": 0.5}, "no step keeps fewer than 47"),
    ],
)
def test_a_schedule_that_starves_is_told(steps, settings, said):
    student = STUDENT.model_copy(update={"steps": steps})
    warning = schedule_warning(student, METHODS["scmd"].Settings(**settings), sources=4)
    assert (warning is None) is (said is None)
    assert said is None or said in warning
