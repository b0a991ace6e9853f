"""The running mean against the plain mean of stored weights."""

import copy

import pytest
import torch
from torch import nn

from pipeline.averaging.building import build
from pipeline.averaging.latest import Latest
from pipeline.averaging.running_mean import RunningMean
from pipeline.averaging.settings import AveragingSettings, first_averaged
from pipeline.averaging.valley import ValleyMean
from pipeline.errors import ConfigError
from pipeline.student.model import Shipped
from tests.small_trials import started


def updates(model: nn.Module, count: int):
    """Random weights after each of `count` updates."""
    torch.manual_seed(0)
    for _ in range(count):
        with torch.no_grad():
            for tensor in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
                tensor.copy_(torch.randn_like(tensor))
        yield copy.deepcopy(model.state_dict())


@pytest.mark.parametrize("first", [1, 4])
def test_it_is_the_plain_mean_of_weights_and_buffers_from_the_first_averaged_update(first):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = RunningMean(model, first)
    stored = []
    for number, state in enumerate(updates(model, 9), 1):
        average.update()
        stored.append(state)
        expected = stored[first - 1 :] if number >= first else [state]
        for name, tensor in average.model.state_dict().items():
            if tensor.is_floating_point():
                mean = torch.stack([s[name].double() for s in expected]).mean(0)
                assert torch.allclose(tensor.double(), mean, atol=1e-6), (number, name)


def test_eoas_start_of_300_averages_from_update_299():
    # g < 300: the current weights; g = 300: the mean of θ299 and θ300.
    assert first_averaged(5001, 300, None) == 299
    model = nn.Linear(1, 1)
    average = RunningMean(model, 299)
    stored = []
    for number, state in enumerate(updates(model, 301), 1):
        average.update()
        stored.append(state["weight"].item())
        if number in (298, 299):
            assert average.model.weight.item() == stored[-1]
        if number == 300:
            assert average.model.weight.item() == pytest.approx((stored[298] + stored[299]) / 2, rel=1e-5)


def test_a_share_of_a_short_run():
    assert first_averaged(800, None, 0.5) == 400
    assert first_averaged(1, None, 0.5) == 1
    with pytest.raises(ConfigError, match="start"):
        first_averaged(10, None, None)


def test_renewed_statistics_are_those_of_the_pictures():
    model = nn.BatchNorm2d(3)
    average = RunningMean(model, 1)
    average.update()
    images = [torch.randn(8, 3, 4, 4) * 2 + 5 for _ in range(3)]
    average.renew_statistics(images, torch.device("cpu"))
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in images]).mean(0)
    assert torch.allclose(average.model.running_mean, expected, atol=1e-5)


# Other rules, by a student's configuration or a method's.


def network() -> Shipped:
    return Shipped(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), None)


def test_no_average_is_the_latest_weights():
    model = network()
    latest = build(AveragingSettings(rule="none"), model, 10)
    for state in updates(model, 3):
        latest.update()
        assert all(torch.equal(latest.model.state_dict()[name], value) for name, value in state.items())
    assert not latest.renews_statistics


def test_an_exponential_average_keeps_a_share_of_itself():
    model = network()
    average, expected = build(AveragingSettings(rule="ema", decay=0.8), model, 10), None
    for state in updates(model, 5):
        average.update()
        now = state["predictor.0.weight"]
        expected = now if expected is None else 0.8 * expected + 0.2 * now
        assert torch.allclose(average.model.state_dict()["predictor.0.weight"], expected, atol=1e-6)


def test_a_methods_own_rule_goes_before_the_students():
    assert isinstance(started("kd", averaging={"rule": "swad"}).averaging, ValleyMean)
    assert isinstance(started("kd", averaging={"rule": "none"}).averaging, Latest)
    assert isinstance(started("kd").averaging, RunningMean)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "set either `start` or `start_fraction`"),
        ({"start": 3, "start_fraction": 0.5}, "set either `start` or `start_fraction`"),
        ({"rule": "ema", "start": 3}, "`start` is none of `rule: ema`"),
        ({"rule": "none", "decay": 0.5}, "`decay` is none of `rule: none`"),
    ],
)
def test_a_rule_takes_its_own_numbers_and_no_others(values, fault):
    with pytest.raises(ValueError, match=fault):
        AveragingSettings(**values)
