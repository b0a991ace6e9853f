"""One step and one trial on a real, small student."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline import student as students
from pipeline import training
from pipeline.batches import Lessons, Steps
from pipeline.evaluation import Exam, accuracies
from pipeline.methods import METHODS
from pipeline.training import OptimiserSettings

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CLASSES, SAMPLES, VIEWS = 3, 24, 3


class Noise:
    """Pictures that are a function of row and view."""

    size = 16

    def take(self, rows, views):
        return np.stack(
            [
                np.random.default_rng([row, view]).integers(0, 256, (16, 16, 3), np.uint8)
                for row, view in zip(rows, views, strict=True)
            ]
        )


def exam(labels=None) -> Exam:
    numbers = np.arange(SAMPLES)
    return Exam(
        pictures=Noise(),
        rows=numbers,
        labels=numbers % CLASSES if labels is None else labels,
        domains=numbers // 8,
        out=numbers % 4 == 0,
        names=["a", "b", "h"],
        mean=MEAN,
        std=STD,
    )


def steps(of: Exam) -> Steps:
    random = np.random.default_rng(1)
    sources = tuple(np.flatnonzero((of.domains == d) & ~of.out) for d in (0, 1))
    logits = random.standard_normal((SAMPLES, VIEWS, CLASSES)).astype(np.float16)
    text = F.normalize(torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    return Steps(Lessons(of.pictures, logits, text, of.rows, of.labels, of.domains, sources), 4, 5, MEAN, STD)


def fresh(batch_norm="trained"):
    return students.build(
        backbone="resnet10t",
        pretrained=False,
        batch_norm=batch_norm,
        dropout=0.0,
        projector="linear",
        classes=CLASSES,
        embedding=8,
        seed=0,
    )


def train(of: Exam, method="scmd", count=5):
    return training.train(
        fresh(),
        steps(of),
        of,
        terms=METHODS[method].terms,
        method=METHODS[method].settings(hard_fraction=0.5),
        optimiser_settings=OptimiserSettings(lr=1e-3),
        count=count,
        average_from=2,
        evaluate_every=2,
        sources=["a", "b"],
        workers=0,
        device=CPU,
    )


def test_selection_keeps_the_samples_of_largest_loss_and_leaves_every_buffer():
    model = fresh().train()
    batch = steps(exam())[0]
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    kept = training.select(model, batch, 0.5)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    # Scored as a training pass normalises: with the statistics of this batch.
    with torch.no_grad():
        losses = F.cross_entropy(model.predictor(batch.images), batch.labels, reduction="none")
    assert torch.equal(kept.images, batch.images[losses.argsort(descending=True)[:4]])


def test_a_step_changes_weights_by_the_sum_of_its_terms():
    model, reference = fresh(), fresh()
    batch = steps(exam())[0]
    method = METHODS["scmd"].settings(hard_fraction=1.0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = training.step(model, optimizer, batch, METHODS["scmd"].terms, method, selecting=False)
    assert list(losses) == ["cross_entropy", "distillation", "cross_modality"]
    sum(METHODS["scmd"].terms(reference.train()(batch.images), batch, method).values()).backward()
    for (name, after), before in zip(model.named_parameters(), reference.parameters(), strict=True):
        if name != "log_scale":
            assert torch.allclose(after, before - 0.1 * before.grad, atol=1e-6), name


def test_evaluations_fall_on_domainbeds_steps():
    assert [entry.step for entry in train(exam()).history] == [0, 2, 4]
    assert [entry.step for entry in train(exam(), count=4).history] == [0, 2, 3]


def test_two_trials_of_one_seed_are_equal_to_the_bit():
    one, two = train(exam()), train(exam())
    assert one.history == two.history
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_labels_of_the_held_out_domain_change_neither_weights_nor_choice():
    labels = exam().labels.copy()
    labels[16:] = 0
    one, two = train(exam()), train(exam(labels))
    assert one.chosen.step == two.chosen.step
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert one.chosen.accuracies["h_in"] != two.chosen.accuracies["h_in"]


def test_every_method_trains_from_the_same_weights():
    for method in METHODS:
        outcome = train(exam(), method=method, count=2)
        assert outcome.weights.keys() == fresh().predictor.state_dict().keys()
        assert all(torch.isfinite(w).all() for w in outcome.weights.values())


def test_the_logit_scale_has_its_own_rate_and_no_other_group():
    model = fresh()
    groups = training.optimiser(model, OptimiserSettings(lr=1e-3)).param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-4]
    assert groups[1]["params"] == [model.log_scale]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_warmup_rises_and_cosine_falls_to_zero():
    settings = OptimiserSettings(lr=1.0, schedule="cosine", warmup=4)
    optimizer = training.optimiser(fresh(), settings)
    rate = training.schedule(optimizer, settings, 100)
    seen = []
    for _ in range(100):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rate.step()
    assert seen[0] == pytest.approx(0.25)
    assert seen[50] == pytest.approx(0.5)
    assert seen[99] < 1e-3


def test_accuracies_are_by_domain_and_split():
    right = np.zeros(SAMPLES, bool)
    right[[0, 1, 2]] = True  # domain a: out are 0 and 4; in are 1, 2, 3, 5, 6, 7
    shares = accuracies(right, exam())
    assert shares["a_out"] == 0.5
    assert shares["a_in"] == pytest.approx(2 / 6)
    assert shares["b_in"] == shares["h_out"] == 0
