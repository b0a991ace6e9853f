"""When it selects, and what it keeps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import Batch
from pipeline.selection.schedule import is_selecting, kept
from pipeline.selection.scoring import at_half_size, exactly, in_bfloat16
from pipeline.selection.selector import by_settings, ranked
from pipeline.selection.settings import SelectionSettings
from tests.small_trials import CPU, data_of, judged, started


@pytest.mark.parametrize(
    ("step", "steps", "k", "expected"),
    [
        (0, 5001, 0.25, True),
        (3750, 5001, 0.25, True),  # the official int(5000 · 0.75)
        (3751, 5001, 0.25, False),
        (5000, 5001, 0.25, False),
        (11250, 15001, 0.25, True),  # with DomainNet's steps, not the code's literal 5000
        (11251, 15001, 0.25, False),
        (0, 100, 1.0, True),  # ⌊0⌋ = 0: one step still selects
        (1, 100, 1.0, False),
        (99, 100, 0.0, True),
    ],
)
def test_the_schedule_at_its_edges(step, steps, k, expected):
    assert is_selecting(step, steps, k) is expected


def test_the_papers_batches_keep_19_and_32():
    assert kept(96, 0.2) == 19
    assert kept(160, 0.2) == 32


def test_at_least_one_sample_is_kept():
    assert kept(3, 0.1) == 1


losses = st.lists(st.floats(0, 100, width=32), min_size=1, max_size=60)


@given(losses, st.floats(0.01, 1))
def test_it_keeps_what_sorting_by_hand_keeps(values, fraction):
    chosen = ranked(torch.tensor(values))[: kept(len(values), fraction)].tolist()
    by_hand = sorted(range(len(values)), key=lambda at: (-np.float32(values[at]), at))[
        : max(1, int(fraction * len(values)))
    ]
    assert chosen == by_hand


def test_scoring_is_by_the_loss_of_a_training_pass_and_leaves_every_buffer():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 3)
    )
    batch = Batch(images=torch.randn(8, 3, 2, 2) * 3, labels=torch.arange(8) % 3)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    part = by_settings(SelectionSettings(hard_fraction=0.5), 100).part(0, model.train(), batch)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    # Normalised with the statistics of this batch, as a training pass is.
    with torch.no_grad():
        losses = F.cross_entropy(model(batch.images), batch.labels, reduction="none")
    assert torch.equal(part.images, batch.images[losses.argsort(descending=True)[:4]])


def test_nothing_is_scored_where_everything_is_kept():
    batch = Batch(labels=torch.arange(8))
    for fraction, step in ((1.0, 0), (0.5, 76)):
        assert by_settings(SelectionSettings(hard_fraction=fraction), 100).part(step, None, batch) is batch


def test_half_the_size_is_a_pass_of_pictures_of_means():
    trial = started("scmd")
    batch = next(data_of(judged(), "scmd").stream(0, 1, 0, CPU))
    means = batch.images.unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5))
    with torch.no_grad():
        expected = trial.predictor(means)
    assert torch.allclose(at_half_size(trial.predictor, batch.images), expected, atol=1e-5)


def test_bfloat16_is_of_the_scoring_pass_alone():
    trial = started("scmd")
    batch = next(data_of(judged(), "scmd").stream(0, 1, 0, CPU))
    with torch.no_grad():
        exact, rough = exactly(trial.predictor, batch.images), in_bfloat16(trial.predictor, batch.images)
        again = exactly(trial.predictor, batch.images)
    assert torch.equal(exact, again)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1
