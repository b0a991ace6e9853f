"""Adapters and label agreement against their definitions in NumPy, and at their edges."""

import numpy as np
import pytest

from pipeline.adapters import choosing, probe
from pipeline.adapters.agreement import agreement, tally
from pipeline.adapters.labelled import Labelled
from pipeline.adapters.probe import FOLDS
from pipeline.adapters.tip_adapter import KEYS, TipAdapter
from pipeline.adapters.zero_shot import ZeroShot

CLASSES, WIDTH, SCALE = 4, 6, 12.0


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def made(count=60, seed=0, classes=CLASSES, domains=3, apart=1.0) -> Labelled:
    """Clusters a class, `apart` from one another, under noise; rows of the cache from 0."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = unit(random.standard_normal((count, WIDTH)) + apart * 2 * np.eye(WIDTH)[labels])
    return Labelled(features, np.arange(count), labels, np.arange(count) // classes % domains)


def start(seed=9) -> ZeroShot:
    return ZeroShot(unit(np.random.default_rng(seed).standard_normal((CLASSES, WIDTH))), SCALE)


def folds(count):
    return np.random.default_rng(2).integers(0, FOLDS, count)


def softmax(rows):
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_the_probe_is_where_its_objective_has_no_slope(strength):
    """mean CE(s W x) + strength · |W − E|², differentiated by hand."""
    inside, text = made(), start()
    weights = probe.fit(inside, text, folds(60), strength).weights[FOLDS]
    answers = softmax(SCALE * inside.features @ weights.T) - np.eye(CLASSES)[inside.labels]
    slope = SCALE * answers.T @ inside.features / 60 + 2 * strength * (weights - text.text)
    assert np.abs(slope).max() < 1e-4
    assert np.abs(weights - text.text).max() > 0.1


def test_with_all_strength_the_probe_is_zero_shot():
    inside, text = made(), start()
    found = probe.fit(inside, text, folds(60), 1e9).logits(inside.features, inside.rows)
    assert found == pytest.approx(text.logits(inside.features, inside.rows), abs=1e-5)


def test_of_a_sample_that_it_was_fitted_to_another_probe_answers():
    inside, text, fold = made(), start(), folds(70)
    both = probe.fit(inside, text, fold, 0.1)
    view = unit(inside.features + 0.1)  # of another view of it, too
    for row in (0, 17, 59):
        without = fold[:60] != fold[row]
        alone = probe.weights(inside.part(without), text, 0.1)
        expected = SCALE * view[row] @ alone.T
        assert both.logits(view[[row]], np.array([row]))[0] == pytest.approx(expected, abs=1e-5)
    # What none was fitted to gets the answer of the one of all, whatever fold its picture is of.
    assert both.logits(view[:1], np.array([65]))[0] == pytest.approx(SCALE * view[0] @ both.weights[FOLDS].T)


def test_a_label_does_not_leak_into_its_own_samples_logits():
    inside, text, fold = made(), start(), folds(60)
    other = Labelled(inside.features, inside.rows, inside.labels.copy(), inside.domains)
    other.labels[5] = (other.labels[5] + 1) % CLASSES
    row = np.array([5])
    for one, two in (
        (probe.fit(inside, text, fold, 0.01), probe.fit(other, text, fold, 0.01)),
        (TipAdapter(inside, text, 3.0, 1.0), TipAdapter(other, text, 3.0, 1.0)),
    ):
        assert np.array_equal(one.logits(inside.features[row], row), two.logits(inside.features[row], row))
        assert not np.array_equal(one.logits(inside.features, inside.rows), two.logits(inside.features, inside.rows))


def test_tip_adapter_is_its_formula_over_the_nearest_keys():
    inside, text = made(), start()
    asked = made(10, seed=4)
    rows = np.array([0, 1, 2, 3, 4, 5, 6, 7, 100, 101])  # the last two are no keys
    found = TipAdapter(inside, text, 3.0, 5.5).logits(asked.features, rows)
    cosines = asked.features @ inside.features.T
    for at, row in enumerate(rows):
        expected = SCALE * asked.features[at] @ text.text.T
        others = [key for key in np.argsort(-cosines[at]) if inside.rows[key] != row][:KEYS]
        for key in others:
            expected[inside.labels[key]] += 3.0 * np.exp(-5.5 * (1 - cosines[at, key]))
        assert found[at] == pytest.approx(expected, rel=1e-5)


def test_a_picture_that_stands_twice_is_no_key_of_itself():
    once = made()
    twice = Labelled(*(np.concatenate([values, values[:1]]) for values in vars(once).values()))
    twice.labels[-1] = 3  # under another label
    row = np.array([0])
    one, two = (TipAdapter(keys, start(), 3.0, 1.0).logits(once.features[row], row) for keys in (once, twice))
    assert np.array_equal(one, two)


def test_what_names_the_out_splits_best_is_chosen():
    inside, outside = made(seed=0, apart=3.0), made(seed=1, apart=3.0)
    outside = Labelled(outside.features, outside.rows + 60, outside.labels, outside.domains)
    chosen = choosing.choose(inside, outside, start(), folds(120))
    assert chosen.adapter.name != "zero_shot"
    assert max(chosen.validation.values()) == chosen.validation[chosen.adapter.name] > chosen.validation["zero_shot"]
    assert chosen.validation.keys() == {"zero_shot", "linear_probe", "tip_adapter"}
    told = outside.accuracy(chosen.adapter.logits(outside.features, outside.rows))
    assert told == chosen.validation[chosen.adapter.name]


def test_of_equals_zero_shot_is_chosen():
    text = ZeroShot(np.eye(WIDTH)[:CLASSES], SCALE)
    sure = made(apart=9.0)
    assert choosing.choose(sure, sure, text, folds(60)).adapter is text


def test_a_picture_that_stands_in_both_splits_chooses_nothing():
    inside = made(apart=0.1)  # nothing but noise: only who has learnt the labels by heart knows them
    both = choosing.choose(inside, inside.part(inside.rows < 50), start(), folds(60))
    strangers = made(20, seed=5, apart=0.1)
    strangers = Labelled(strangers.features, strangers.rows + 60, strangers.labels, strangers.domains)
    joined = Labelled(
        *(np.concatenate(pair) for pair in zip(vars(strangers).values(), vars(inside).values(), strict=True))
    )
    assert (
        choosing.choose(inside, joined, start(), folds(80)).validation
        == choosing.choose(inside, strangers, start(), folds(80)).validation
    )
    assert both.validation.keys() == {"zero_shot", "linear_probe", "tip_adapter"}


def test_accuracy_is_the_mean_over_domains():
    labelled = Labelled(np.zeros((4, 1)), np.arange(4), np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1]))
    assert labelled.accuracy(np.array([[1, 0], [1, 0], [0, 1], [1, 0]])) == pytest.approx((2 / 3 + 0) / 2)


def test_one_domain_an_absent_class_and_folds_without_samples():
    inside = made(6, classes=2, domains=1)
    chosen = choosing.choose(inside, inside, start(), np.zeros(6, int))
    found = chosen.adapter.logits(inside.features[:1], np.array([0]))
    assert found.shape == (1, CLASSES)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("k", [1, 7, 500])
def test_agreement_is_the_share_of_the_nearest_others_that_could_have_the_label(k):
    labelled = made(40, apart=0.5)
    labelled.rows[-1] = labelled.rows[0]  # one picture in two places
    cosines = labelled.features @ labelled.features.T
    for at, (share, said) in enumerate(zip(agreement(labelled, k), tally(labelled, k), strict=True)):
        others = [key for key in np.argsort(-cosines[at]) if labelled.rows[key] != labelled.rows[at]]
        alike = sum(labelled.labels[key] == labelled.labels[at] for key in others)
        found = sum(labelled.labels[key] == labelled.labels[at] for key in others[:k])
        assert share == pytest.approx(found / min(k, alike))
        assert said.tolist() == np.bincount(labelled.labels[others[:k]], minlength=CLASSES).tolist()


def test_a_rare_label_is_borne_out_by_as_many_as_there_are_and_one_alone_is_not_in_doubt():
    many = made(60, classes=2, apart=9.0)
    rare = np.array([[0, 0, 0, 0, 1, 0.0], [0, 0, 0, 0, 1, 0.1], [0, 0, 0, 0, 0, 1.0]])
    labelled = Labelled(
        np.concatenate([many.features, unit(rare)]),
        np.arange(63),
        np.concatenate([many.labels, [2, 2, 3]]),
        np.zeros(63, int),
    )
    assert agreement(labelled)[-3:].tolist() == [1, 1, 1]
    assert agreement(made(1)).tolist() == [1]
