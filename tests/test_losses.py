"""The objective against float64 NumPy written from the formulas, and its gradients against finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, cross_modal_logits, distillation
from pipeline.methods import METHODS
from pipeline.methods.method import Problem
from tests.small_trials import predictor_of


def softmax(rows):
    raised = np.exp(rows - rows.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def kl(teacher, student, temperature):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=1))


def objective(z, labels, t, embeddings, text, s, lambda1, lambda2, temperature):
    """L = CE + λ1 · T² · KL(t ‖ z) + λ2 · T² · KL(t ‖ c), c = exp(s) · normalize(e) · Eᵀ."""
    ce = -np.mean(np.log(softmax(z)[np.arange(len(z)), labels]))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    c = np.exp(s) * unit @ text.T
    return ce + lambda1 * kl(t, z, temperature) + lambda2 * kl(t, c, temperature)


def problem(seed, batch=6, classes=4, width=5):
    random = np.random.default_rng(seed)
    text = random.standard_normal((classes, width))
    return {
        "z": random.standard_normal((batch, classes)) * 3,
        "labels": random.integers(classes, size=batch),
        "t": random.standard_normal((batch, classes)) * 8,
        "embeddings": random.standard_normal((batch, width)),
        "text": text / np.linalg.norm(text, axis=1, keepdims=True),
        "s": np.float64(2.6),
    }


def by_torch(p, lambda1, lambda2, temperature):
    tensors = {name: torch.tensor(value) for name, value in p.items()}
    for name in ("z", "embeddings", "s"):
        tensors[name].requires_grad_(True)
    batch = Batch(labels=tensors["labels"], teacher_logits=tensors["t"], text=tensors["text"])
    method = made("scmd", lambda1=lambda1, lambda2=lambda2, temperature=temperature)
    return sum(method.terms(said(tensors), batch).values()), tensors


def made(name, **values):
    method = METHODS[name]
    return method(
        method.Settings(**values),
        Problem(3, torch.zeros(4, 5), 100.0, domains=2, samples=9, steps=10, network=predictor_of(3)),
    )


def said(tensors):
    return Outputs(torch.zeros(0), tensors["z"], tensors["embeddings"], tensors["s"])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 2), st.floats(0, 2), st.floats(0.5, 8))
def test_the_objective_equals_the_formulas(seed, lambda1, lambda2, temperature):
    p = problem(seed)
    loss, _ = by_torch(p, lambda1, lambda2, temperature)
    assert loss.item() == pytest.approx(
        objective(**p, lambda1=lambda1, lambda2=lambda2, temperature=temperature), rel=1e-9
    )


@pytest.mark.parametrize("name", ["z", "embeddings", "s"])
def test_gradients_equal_finite_differences(name):
    p = problem(3)
    weights = {"lambda1": 0.5, "lambda2": 0.7, "temperature": 3.0}
    loss, tensors = by_torch(p, **weights)
    loss.backward()
    gradient = np.atleast_1d(tensors[name].grad.numpy())
    flat = np.atleast_1d(p[name]).astype(np.float64)
    step = 1e-6
    for index in np.ndindex(flat.shape):
        sides = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[index] += sign * step
            sides.append(objective(**{**p, name: moved if np.ndim(p[name]) else moved[0]}, **weights))
        assert gradient[index] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-6)


def test_distillation_by_hand():
    # Teacher (3/4, 1/4), student (1/2, 1/2), T = 1: 3/4 ln(3/2) + 1/4 ln(1/2).
    teacher = torch.log(torch.tensor([[3.0, 1.0]]))
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert distillation(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(expected, rel=1e-5)


def test_a_student_that_agrees_costs_nothing():
    logits = torch.randn(5, 3)
    assert distillation(logits, logits, 3.0).item() == pytest.approx(0, abs=1e-6)


def test_the_mean_is_over_samples_and_the_sum_over_classes():
    one, two = torch.randn(1, 4), torch.randn(1, 4)
    twice = distillation(torch.cat([one, one]), torch.cat([two, two]), 2.0)
    assert twice.item() == pytest.approx(distillation(one, two, 2.0).item(), rel=1e-5)


def test_cross_modal_logits_by_hand():
    embeddings = torch.tensor([[3.0, 4.0]])
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(cross_modal_logits(embeddings, text, torch.tensor(10.0).log()), torch.tensor([[6.0, 8.0]]))


def test_cross_entropy_by_hand():
    logits = torch.log(torch.tensor([[1.0, 3.0], [1.0, 1.0]]))
    expected = (np.log(4 / 3) + np.log(2)) / 2
    assert cross_entropy(logits, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_scmd_without_cross_modality_is_kd():
    loss, tensors = by_torch(problem(1), 0.5, 0.0, 3.0)
    kd = made("kd").terms(said(tensors), Batch(labels=tensors["labels"], teacher_logits=tensors["t"]))
    assert sum(kd.values()).item() == pytest.approx(loss.item(), rel=1e-12)


def test_erm_knows_no_teacher():
    _, tensors = by_torch(problem(1), 0.5, 0.5, 3.0)
    terms = made("erm").terms(said(tensors), Batch(labels=tensors["labels"]))
    assert list(terms) == ["cross_entropy"]
    assert torch.isfinite(terms["cross_entropy"])
