"""Hyperparameter draws: those of DomainBed's and of the SCMD code, digit by digit.

facebookresearch/DomainBed at 22002eaa, hparams_registry.py, run for hyperparameter seed 1 and trial 0.
"""

import pytest

from pipeline import methods
from pipeline.experiment.draws import drawn
from pipeline.methods import METHODS
from pipeline.methods.ranges import DOMAINBED
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings


def settings_of(name: str, seed: int, trial: int = 0, dataset: str = "pacs", **values):
    key, written = TrialKey("s", "sketch", name, seed, trial), methods.parse(name, values, "here")
    return drawn(key, METHODS[name], written, StudentSettings(), dataset)


# `lr_g` and `weight_decay_g`; the SCMD code's `gamma`, U(1, 5).
GENERATOR, GAMMA = (0.000189272275844, 0.00371649019166), 4.04237409171


# λ1, λ2, k, p, T, learning rate, weight decay of trial 0, as the SCMD code draws them.
OFFICIAL = {
    1: (0.688043, 0.984035, 0.336482, 0.25, 3.599418, 5e-5, 1e-4),
    2: (0.741910, 0.521538, 0.237625, 0.3, 2.974846, 3e-5, 1e-6),
    3: (0.701017, 0.626901, 0.388520, 0.3, 2.131347, 5e-5, 1e-6),
    4: (0.800116, 0.734046, 0.314950, 0.2, 2.828446, 3e-5, 1e-6),
}


@pytest.mark.parametrize("seed", OFFICIAL)
def test_the_four_draws_of_the_official_sweep(seed):
    method, student = settings_of("scmd", seed)
    found = (method.lambda1, method.lambda2, method.full_batch_fraction, method.hard_fraction, method.temperature)
    assert (*found, student.optimiser.lr, student.optimiser.weight_decay) == pytest.approx(OFFICIAL[seed], rel=2e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("erm", {}),
        ("irm", {"weight": 65030.5221276, "anneal_steps": 2}),
        ("group_dro", {"eta": 0.0129760687269}),
        ("mixup", {"alpha": 0.631349198079}),
        ("dann", {"weight": 3.50034756834, "hidden": 255, "discriminator_lr": 1.75627935458e-05}),
        ("cdann", {"weight": 3.50034756834, "hidden": 255, "discriminator_lr": 1.75627935458e-05}),
        ("rsc", {"feature_drop": 0.404124859108, "batch_drop": 0.25815553395}),
        ("coral", {"weight": 1.42275702993}),
        ("mmd", {"weight": 1.42275702993}),
        ("mldg", {"beta": 5.42114558114}),
        ("vrex", {"weight": 3307.19780493, "anneal_steps": 47}),
    ],
)
def test_domainbeds_draws(name, expected):
    """Its adversarial methods draw the generator's own rate and weight decay, by names of their own."""
    method, student = settings_of(name, 1)
    assert {key: getattr(method, key) for key in expected} == pytest.approx(expected, rel=1e-9)
    rates = (student.optimiser.lr, student.optimiser.weight_decay, student.model.dropout, student.batch)
    drawn = GENERATOR if name in ("dann", "cdann") else (2.70289307421e-05, 0.000448328838816)
    assert rates == pytest.approx((*drawn, 0.5, 39), rel=1e-9)


def test_the_focal_variant_draws_its_gamma_too():
    assert settings_of("focal", 1)[0].gamma == pytest.approx(GAMMA, rel=1e-9)
    assert settings_of("scmd", 1, beside={"focal": {}})[0].beside["focal"]["gamma"] == pytest.approx(GAMMA, rel=1e-9)
    assert settings_of("scmd", 1, beside={"focal": {"gamma": 3.0}})[0].beside["focal"]["gamma"] == 3.0


@pytest.mark.parametrize("dataset", ["DomainNet", "domain_net"])
def test_domainnet_has_smaller_batches(dataset):
    assert settings_of("erm", 1, dataset=dataset)[1].batch == 28


def test_seed_0_is_what_is_written_and_other_trials_of_a_seed_draw_others():
    written = methods.parse("kd", {"lambda1": 0.9}, "here")
    assert settings_of("kd", 0, lambda1=0.9) == (written, StudentSettings())
    assert settings_of("kd", 1) != settings_of("kd", 1, trial=1)
    assert settings_of("scmd", 1, hard_fraction=1.0)[0].hard_fraction == 1.0  # so that an ablation stays one
    assert settings_of("kd", 1) == settings_of("kd", 1)


def test_what_has_no_range_stays_as_it_is_written():
    method, student = settings_of("scmd", 1, select_from=0.25, beside={"darkrank": {}})
    assert method.select_from == 0.25
    assert method.beside == methods.parse("scmd", {"beside": {"darkrank": {}}}, "here").beside
    assert student.steps == StudentSettings().steps


@pytest.mark.parametrize("name", METHODS)
def test_every_range_is_of_a_setting_that_there_is_and_its_draws_are_valid(name):
    method = METHODS[name]
    assert method.ranges.keys() <= method.Settings.model_fields.keys()
    assert method.student_ranges.keys() == DOMAINBED.keys()
    for seed in range(1, 6):
        settings_of(name, seed)
