"""When it selects, and what it keeps."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pipeline import training
from pipeline.batches import Batch
from pipeline.methods import METHODS
from pipeline.selection.schedule import Schedule, is_selecting, kept
from pipeline.selection.scoring import at_half_size, exactly, in_bfloat16
from pipeline.selection.selector import by_settings, ranked
from pipeline.selection.settings import SelectionSettings
from tests.small_trials import CPU, data_of, judged, run, started


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


# Schedules: whole batches first, a share that falls, a floor, whole batches at the end.


def schedule(steps: int = 100, **values) -> Schedule:
    return Schedule(SelectionSettings(**values), steps)


def test_it_starts_with_whole_batches_and_falls_to_its_end_value():
    plan = schedule(hard_fraction=0.2, select_from=0.1, anneal=0.2, full_batch_fraction=0.25)
    kept = [plan.kept(step, 100) for step in range(100)]
    assert kept[:10] == [100] * 10
    assert all(one > other for one, other in pairwise(kept[9:31]))
    assert kept[30:76] == [20] * 46
    assert kept[76:] == [100] * 24


def test_without_either_it_is_the_papers_from_the_first_step():
    plan = schedule(steps=5001, hard_fraction=0.2)
    assert [plan.kept(step, 96) for step in (0, 3750, 3751)] == [19, 19, 96]


def test_the_official_threshold_counts_by_its_own_steps():
    plan = schedule(steps=15001, hard_fraction=0.2, nominal_steps=5000)
    assert [plan.kept(step, 160) for step in (3750, 3751)] == [32, 160]


@given(st.floats(0.01, 1), st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(1, 90))
def test_what_is_kept_is_never_below_the_floor_nor_above_the_batch(p, begin, anneal, k, floor, batch):
    plan = schedule(hard_fraction=p, select_from=begin, anneal=anneal, full_batch_fraction=k, floor=floor)
    kept = [plan.kept(step, batch) for step in range(100)]
    assert all(min(floor, batch) <= one <= batch for one in kept)
    chosen = [one for step, one in enumerate(kept) if plan.selects(step, batch)]
    assert chosen == sorted(chosen, reverse=True)


# Rules.


def of_rule(trial, batch, **values):
    return by_settings(METHODS["kd"].Settings(**values), 100).part(0, trial.predictor, batch)


@pytest.fixture
def scored():
    trial = started("kd", batch_norm="frozen")
    batch = next(data_of(judged(), "kd").stream(0, 1, 0, CPU))
    numbered = Batch(**{**vars(batch), "rows": torch.arange(8)})
    with torch.no_grad():
        trial.predictor.classifier.weight *= 100  # answers of an untrained network are hardly apart
        return trial, numbered, trial.predictor(batch.images).double().numpy()


def log_softmax(z):
    return z - np.log(np.exp(z).sum(1, keepdims=True))


@pytest.mark.parametrize("rule", ["hardest", "easiest", "divergence", "distillation"])
def test_a_rule_keeps_what_its_definition_puts_first(scored, rule):
    trial, batch, z = scored
    t = batch.teacher_logits.double().numpy()
    losses = -log_softmax(z)[np.arange(8), batch.labels.numpy()]

    def divergence(temperature):
        q, p = log_softmax(z / temperature), log_softmax(t / temperature)
        return temperature**2 * (np.exp(p) * (p - q)).sum(1)

    by_definition = {
        "hardest": losses,
        "easiest": -losses,
        "divergence": divergence(1),
        "distillation": losses + 0.7 * divergence(2),
    }[rule]
    part = of_rule(trial, batch, select=rule, hard_fraction=0.5, lambda1=0.7, temperature=2.0)
    assert part.rows.tolist() == np.argsort(-by_definition, kind="stable")[:4].tolist()


def test_the_hardest_are_kept_of_those_whose_label_is_not_in_doubt(scored):
    trial, batch, z = scored
    agreement = torch.tensor([0.0, 0.3, 0.05, 0.3, 0.2, 0.1, 0.02, 0.9])
    doubted = Batch(**vars(batch), agreement=agreement)
    losses = -log_softmax(z)[np.arange(8), batch.labels.numpy()]
    sure = [at for at in np.argsort(-losses, kind="stable").tolist() if agreement[at] >= 0.1]
    unsure = [at for at in np.argsort(-losses, kind="stable").tolist() if agreement[at] < 0.1]
    for fraction, count in ((0.25, 2), (0.5, 4), (0.875, 7)):
        settings = {"select": "hard_without_doubt", "hard_fraction": fraction, "least_agreement": 0.1}
        assert of_rule(trial, doubted, **settings).rows.tolist() == [*sure, *unsure][:count]


def test_any_are_kept_by_the_random_rule_without_a_pass(scored):
    _, batch, _ = scored
    selector = by_settings(SelectionSettings(select="random", hard_fraction=0.5), 100)
    torch.manual_seed(0)
    parts = [selector.part(0, None, batch).rows.tolist() for _ in range(200)]
    assert all(len(set(part)) == 4 for part in parts)
    assert np.bincount(np.concatenate(parts)).tolist() == pytest.approx([100] * 8, abs=30)


def test_a_part_of_the_kept_is_drawn_from_what_the_rule_left_out(scored):
    trial, batch, _ = scored
    best = of_rule(trial, batch, hard_fraction=0.5).rows.tolist()
    torch.manual_seed(0)
    parts = [of_rule(trial, batch, hard_fraction=0.5, random_fraction=0.5).rows.tolist() for _ in range(200)]
    assert all(part[:2] == best[:2] for part in parts)
    others = np.concatenate([part[2:] for part in parts])
    assert set(others) == set(range(8)) - set(best[:2])
    assert np.bincount(others)[sorted(set(others))].tolist() == pytest.approx([400 / 6] * 6, abs=25)


def test_what_a_selector_draws_at_random_is_the_trials_own():
    """Two trials in one process, step by step, end as each alone does."""
    values = {"hard_fraction": 0.5, "random_fraction": 0.5, "steps": 4}
    alone = run("kd", **values)
    one, other = started("kd", **values), started("kd", **values)
    for step in range(1, 5):
        for trial in (one, other):
            training.advance(trial, data_of(judged(), "kd"), judged(), step)
    assert one.selected.tolist() == other.selected.tolist() == alone.selected.tolist()
    assert torch.equal(one.student.predictor.classifier.weight, alone.student.predictor.classifier.weight)
