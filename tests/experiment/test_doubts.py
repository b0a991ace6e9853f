"""What is said of a trial's settings before the first step."""

import pytest

from pipeline import config, methods
from pipeline.averaging.settings import AveragingSettings
from pipeline.experiment.doubts import doubts
from pipeline.methods import METHODS
from pipeline.optimiser import OptimiserSettings
from pipeline.trials.settings import StudentSettings
from tests.conftest import ROOT
from tests.small_trials import started

STUDENT = config.load(ROOT / "configs/students/resnet10t-800.yaml", StudentSettings)


def told(name: str, *, steps: int = 800, sources: int = 4, student: StudentSettings = STUDENT, **values) -> list[str]:
    method, settings = methods.named(name, values)
    changed = student.model_copy(update={"steps": steps})
    return list(doubts(method, methods.parse(method, settings, "here"), changed, sources))


@pytest.mark.parametrize(
    ("steps", "settings", "said"),
    [
        (800, {"hard_fraction": 1.0}, None),
        (400, {"hard_fraction": 0.5}, None),
        (
            399,
            {"hard_fraction": 0.5},
            "keeps 40 of 80 images for 399 steps; on icons so small a share learnt less",
        ),
        (1600, {"hard_fraction": 0.35}, None),
        (1599, {"hard_fraction": 0.35}, "did at up to 800 steps, unless 200 or more were on whole"),
        (400, {"hard_fraction": 0.1, "floor": 40}, None),
        (5001, {"hard_fraction": 0.2}, None),
        (5000, {"hard_fraction": 0.2}, "keeps 16 of 80 images for 5000 steps; on icons"),
        (800, {"hard_fraction": 0.2, "select_from": 0.25}, None),
        (796, {"hard_fraction": 0.2, "select_from": 0.25}, "raise `steps`, `select_from` or `hard_fraction`"),
        (800, {"hard_fraction": 0.19}, "keeps 15 of 80 images for 800 steps; below 16"),
        (400, {"hard_fraction": 0.1, "select_from": 0.25}, "keeps 8 of 80 images"),
        (
            400,
            {"hard_fraction": 0.1, "floor": 80},
            "`floor: 80` keeps all of a batch of 80, so that nothing is selected",
        ),
        (400, {"hard_fraction": 0.2, "select_from": 0.6, "full_batch_fraction": 0.5}, "no step selects"),
        (800, {"hard_fraction": 0.2, "select_from": 0.5, "anneal": 0.5}, "no step keeps fewer than 47"),
    ],
)
def test_a_schedule_that_starves_is_told(steps, settings, said):
    found = told("scmd", steps=steps, **settings)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "kd",
            {"select": "random"},
            "`select: random` has no effect: all of a batch is learnt from, as `hard_fraction` is 1",
        ),
        ("erm", {"floor": 16}, "`floor: 16` has no effect"),
        ("scmd", {"hard_fraction": 1.0, "scoring": "bfloat16"}, "`scoring: bfloat16` has no effect"),
    ],
)
def test_settings_of_a_selection_that_there_is_not_are_told(name, values, said):
    (found,) = told(name, **values)
    assert said in found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scmd", {"select": "random"}),
        ("scmd", {"random_fraction": 1.0}),
        ("scmd", {"select": "hard_without_doubt"}),
        ("scmd", {"hard_fraction": 0.75}),
        ("scmd", {"full_batch_fraction": 0.75}),
        ("importance_sampling", {}),
    ],
)
def test_nothing_is_said_of_rules_and_shares_that_were_not_measured(name, values):
    assert told(name, steps=400, **values) == []


def test_a_warmup_longer_than_a_run_is_told():
    slow = STUDENT.model_copy(update={"optimiser": OptimiserSettings(warmup=300)})
    assert told("erm", student=slow) == []
    assert told("vl2v_adip", steps=500, student=slow) == [
        "`optimiser.warmup: 300` is longer than 250 steps, so that the rate never comes to `lr`; lower it"
    ]


def test_an_average_that_never_begins_or_never_leaves_its_beginning_is_told():
    official = told("scmd_official", steps=250, hard_fraction=1.0)
    assert official == [
        "`averaging.start: 300` lies behind the last of 250 steps, so that nothing is averaged; lower it, or set `start_fraction`"
    ]
    (ema,) = told("erm", steps=250, averaging={"rule": "ema"})
    assert ema.startswith("`averaging.decay: 0.999` leaves, after 250 steps, 78% of the average")
    assert told("erm", steps=5001, averaging={"rule": "ema"}) == []
    assert len(told("erm", steps=2990, averaging={"rule": "ema"})) == 1  # 0.999²⁹⁸⁹ is 0.0503
    assert told("erm", steps=3000, averaging={"rule": "ema"}) == []


def test_each_run_of_a_method_that_trains_in_runs_has_an_average_of_its_own():
    for fraction in (0.5, 0.75, 0.001):
        trial = started("vl2v_adip", steps=20, align_fraction=fraction)
        runs = {trial.stretch_of(step) for step in range(20)}
        assert METHODS["vl2v_adip"].shortest_run(trial.method.settings, 20) == min(length for _, length in runs)
    (late,) = told("vl2v_adip", steps=500, averaging={"rule": "sma", "start": 300})
    assert "`averaging.start: 300` lies behind the last of 250 steps" in late
    assert told("swad", steps=250, student=STUDENT.model_copy(update={"averaging": AveragingSettings(start=300)})) == []


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if one.compares_domains])
def test_what_compares_domains_says_so_of_one(name):
    assert f"`{name}` compares source domains, and there is one" in told(name, sources=1, **_short(name))
    assert f"`{name}` compares source domains, and there is one" in told("kd", sources=1, beside={name: _short(name)})
    assert told(name, sources=2, **_short(name)) == []


def _short(name: str) -> dict:
    return {"anneal_steps": 10} if name == "vrex" else {}


@pytest.mark.parametrize("name", ["irm", "vrex"])
def test_a_penalty_whose_weight_never_comes_into_force_is_told(name):
    (found,) = told(name, steps=250)
    assert found == f"`{name}` takes its `weight` from step 500 on, of 250: it is 1 throughout; lower `anneal_steps`"
    assert told(name, steps=501) == []
    assert told(name, steps=250, weight=1.0) == []
