"""Methods that weigh or draw samples against their definitions in NumPy, and at their edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Batch
from pipeline.methods.focal import focal
from pipeline.methods.importance_sampling import gain, importance
from tests.small_outputs import CLASSES, LABELS, cross_entropies, made, numbers, said, softmax
from tests.small_trials import CPU, data_of, judged, run, started


def test_the_focal_loss_written_out():
    method, outputs = made("focal", alpha=0.25, gamma=2.0), said()
    p = np.exp(-cross_entropies(outputs.logits, LABELS))
    expected = (-0.25 * (1 - p) ** 2 * np.log(p)).mean()
    assert method.terms(outputs, Batch(labels=LABELS))["focal"].item() == pytest.approx(expected, rel=1e-5)


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=40), st.floats(0, 5))
def test_the_focal_loss_orders_samples_as_the_cross_entropy_does(values, gamma):
    """So that SCMD_focal selects what SCMD does."""
    logits = torch.tensor([[value, 0.0] for value in values], dtype=torch.float64)
    labels = torch.zeros(len(values), dtype=torch.int64)
    order = np.argsort(-numbers(logits)[:, 0], kind="stable")
    losses = numbers(focal(logits, labels, 0.25, gamma))[order]
    assert (np.diff(losses) >= -1e-12).all()


def test_a_sample_that_is_certain_has_a_finite_gradient():
    logits = torch.tensor([[90.0, 0.0], [0.0, 90.0]], requires_grad=True)
    focal(logits, torch.tensor([0, 0]), 0.25, 0.5).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_importance_is_the_distance_of_answers_from_the_label():
    outputs = said()
    norms = np.linalg.norm(softmax(numbers(outputs.logits)) - np.eye(CLASSES)[LABELS.numpy()], axis=1)
    found = numbers(importance(outputs.logits, LABELS))
    assert found == pytest.approx(norms / norms.sum(), rel=1e-5)
    away = ((found - 1 / 8) ** 2).sum() / (found**2).sum()
    assert gain(torch.tensor(found)) == pytest.approx((1 - away) ** -0.5)
    certain = 500 * torch.eye(CLASSES)[LABELS]
    assert importance(certain, LABELS).tolist() == [1 / 8] * 8
    assert gain(importance(certain, LABELS)) == 1


def test_what_is_drawn_by_importance_weighs_so_that_its_mean_is_the_batchs():
    """Over many draws, of the very logits."""
    trial = started("importance_sampling", hard_fraction=0.5, threshold=0.0, steps=100, batch_norm="frozen")
    trial.method.gain.fill_(1.0)
    batch = next(data_of(judged(), "importance_sampling").stream(0, 1, 0, CPU))
    predictor = trial.predictor.train()
    with torch.no_grad():
        losses = torch.tensor(cross_entropies(predictor(batch.images), batch.labels))
    numbered = Batch(images=batch.images, labels=batch.labels, rows=torch.arange(len(batch)))
    torch.manual_seed(0)
    means = []
    for _ in range(400):
        part = trial.method.selector.part(0, predictor, numbered)
        assert len(part) == 4
        means.append((part.weights * losses[part.rows]).mean().item())
    assert np.mean(means) == pytest.approx(losses.mean().item(), abs=4 * np.std(means) / 20)


def test_importance_pays_by_the_gains_of_the_updates_before():
    """With gains of √8 = 2.83, τ is 0, 0.28, 0.54, … and passes the paper's 5/3 (4 of 8 drawn) at the tenth."""
    method = started("importance_sampling", hard_fraction=0.5, threshold=5 / 3).method
    sure = torch.zeros(8)
    sure[0] = 1.0  # ‖p − u‖² / ‖p‖² is 7/8
    found = []
    for _ in range(12):
        found.append(method.pays)
        method.remember(sure)
    assert found == [8**0.5 * (1 - 0.9**n) > 5 / 3 for n in range(12)]
    assert found == [False] * 9 + [True] * 3
    assert method.gain.item() == pytest.approx(8**0.5 * (1 - 0.9**12))


def test_by_default_all_but_the_first_update_draw_by_importance():
    trial = started("importance_sampling", hard_fraction=0.5, steps=100)
    batches = data_of(judged(), "importance_sampling").stream(0, 3, 0, CPU)
    parts = [trial.method.selector.part(step, trial.predictor.train(), batch) for step, batch in enumerate(batches)]
    assert [hasattr(part, "weights") for part in parts] == [False, True, True]


def test_where_importance_does_not_pay_only_what_is_drawn_is_scored():
    trial = started("importance_sampling", hard_fraction=0.5, steps=100)
    batch = next(data_of(judged(), "importance_sampling").stream(0, 1, 0, CPU))
    seen = []
    predictor = trial.predictor.train()
    predictor.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    part = trial.method.selector.part(0, predictor, batch)
    assert seen == [len(part)] == [4]
    assert trial.method.gain > 0
    trial.method.gain.fill_(9.0)
    trial.method.selector.part(1, predictor, batch)
    assert seen == [4, len(batch)]


def test_below_the_threshold_samples_are_drawn_evenly_and_weigh_the_same():
    trial = started("importance_sampling", hard_fraction=0.5, threshold=50.0, steps=100)
    batch = next(data_of(judged(), "importance_sampling").stream(0, 1, 0, CPU))
    part = trial.method.selector.part(0, trial.predictor.train(), batch)
    assert not hasattr(part, "weights")
    assert len(part) == 4


def test_the_weighed_mean_and_the_plain_one_where_nothing_was_drawn():
    method, outputs = made("importance_sampling"), said()
    weights = torch.linspace(0.5, 2, 8)
    losses = cross_entropies(outputs.logits, LABELS)
    found = method.terms(outputs, Batch(labels=LABELS, weights=weights))["weighted"]
    assert found.item() == pytest.approx((numbers(weights) * losses).mean(), rel=1e-5)
    assert method.terms(outputs, Batch(labels=LABELS))["weighted"].item() == pytest.approx(losses.mean(), rel=1e-5)


def test_classes_weigh_the_same_by_how_often_they_were_learnt_from():
    method, outputs = made("importance_weighting"), said()
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    method.terms(outputs, Batch(labels=labels))
    found = method.terms(outputs, Batch(labels=labels))["weighted"]
    weights = 1 / np.array([10] * 5 + [4] * 2 + [2])
    losses = cross_entropies(outputs.logits, labels)
    assert found.item() == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-5)
    assert method.seen.tolist() == [10, 4, 2, 0]


def test_only_what_was_learnt_from_is_counted():
    trial = run("importance_weighting", hard_fraction=0.5)
    assert int(trial.method.seen.sum()) == int(trial.selected.sum()) < int(trial.drawn.sum())
