"""SWAD's average against its definition by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.averaging.valley import ValleyMean

# Updates between two evaluations.
EVERY = 2


def by_definition(weights: list[float], losses: list[float], converged: int, tolerated: int, ratio: float) -> float:
    """The mean over every step from the valley's first evaluation to the last before its end, or where there is no valley since
    the evaluation before the last; evaluation i is after update (i + 1) · EVERY."""
    starts = [i for i in range(len(losses) - converged + 1) if losses[i] == min(losses[i : i + converged])]
    if not starts:
        return sum(weights[-EVERY:]) / EVERY
    start = starts[0]
    limit = ratio * sum(losses[start : start + converged]) / converged
    ends = [i for i in range(start + 1, len(losses)) if min(losses[i : i + tolerated]) > limit]
    last = (ends[0] if ends else len(losses)) - 1
    inside = weights[(start + 1) * EVERY - 1 : (last + 1) * EVERY]
    return sum(inside) / len(inside)


def by_class(weights: list[float], losses: list[float], converged: int, tolerated: int, ratio: float) -> float:
    model = nn.Linear(1, 1, bias=False).double()
    valley = ValleyMean(model, converged, tolerated, ratio)
    for number, weight in enumerate(weights):
        nn.init.constant_(model.weight, weight)
        valley.update()
        assert valley.model.weight.item() == weight  # until the end it is the current weights that are evaluated
        if (number + 1) % EVERY == 0:
            valley.observe(losses[number // EVERY])
    assert valley.conclude()
    return valley.model.weight.item()


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from([1.0, 1.3, 2.0]),
)
def test_it_is_the_mean_of_every_step_in_the_valley(losses, converged, tolerated, ratio):
    weights = [float(7 * number % 11) for number in range(EVERY * len(losses))]
    expected = by_definition(weights, losses, converged, tolerated, ratio)
    found = by_class(weights, losses, converged, tolerated, ratio)
    assert found == pytest.approx(expected)


def test_a_loss_that_only_falls_has_no_valley_and_leaves_the_last_weights():
    assert by_class([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 2.0, 1.0], 2, 2, 1.3) == pytest.approx(5.5)


def test_what_was_never_evaluated_stays_as_it_is():
    valley = ValleyMean(nn.Linear(1, 1), 1, 1, 1.3)
    valley.update()
    assert not valley.conclude()


# khanrc/swad as val-iisc/VL2V-ADiP has it at 58970658, domainbed/swad.py, `LossValley` with an evaluation after every update


@pytest.mark.parametrize(
    ("losses", "mean"),
    [
        ([3.0, 2.0, 1.5, 1.0, 1.1, 1.2, 1.05, 1.1, 1.2, 2.5, 2.6, 2.7, 2.8, 2.9, 3.0], -0.753103979326),
        ([3.0, 2.0, 1.0, 1.2, 1.1, 1.3, 1.2, 1.1], -0.728227059614),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 0.235568891726),
    ],
)
def test_the_official_loss_valley(losses, mean):
    """One that ends, one that does not, and none at all; Ns = Ne = 3."""
    model = nn.Linear(1, 1, bias=False).double()
    valley = ValleyMean(model, 3, 3, 1.3)
    for loss, weight in zip(losses, np.random.RandomState(15).standard_normal(len(losses)), strict=True):
        nn.init.constant_(model.weight, weight)
        valley.update()
        valley.observe(loss)
    assert valley.conclude()
    assert valley.model.weight.item() == pytest.approx(mean, rel=1e-9)


def test_statistics_are_renewed_for_the_mean_alone():
    model = nn.BatchNorm1d(2)
    valley = ValleyMean(model, 1, 1, 1.3)
    valley.update()
    images = [torch.randn(8, 2) + 5]
    assert not valley.renews_statistics
    valley.observe(1.0)
    assert valley.conclude()
    assert valley.renews_statistics
    valley.renew_statistics(images, torch.device("cpu"))
    assert torch.allclose(valley.model.running_mean, images[0].mean(0), atol=1e-5)
