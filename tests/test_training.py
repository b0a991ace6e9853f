"""One step and one trial on a real, small student."""

import copy
import math

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
    """Pictures that are a function of row and view; those of the held-out domain (rows from 16) also of `seed`."""

    size = 16

    def __init__(self, seed=0):
        self.seed = seed

    def take(self, rows, views):
        return np.stack(
            [
                np.random.default_rng([row, view, self.seed if row >= 16 else 0]).integers(
                    0, 256, (16, 16, 3), np.uint8
                )
                for row, view in zip(rows, views, strict=True)
            ]
        )


def exam(labels=None, seed=0) -> Exam:
    numbers = np.arange(SAMPLES)
    return Exam(
        pictures=Noise(seed),
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
    return Steps(Lessons(of.pictures, logits, text, of.rows, of.labels, sources), 4, 5, MEAN, STD)


def fresh(batch_norm="trained"):
    return students.build(
        backbone="resnet10t",
        pretrained=False,
        batch_norm=batch_norm,
        dropout=0.0,
        projector="linear",
        classes=CLASSES,
        embedding=8,
        size=16,
        seed=0,
    )


def train(of: Exam, method="scmd", count=5, optimiser_settings=None):
    return training.train(
        fresh(),
        steps(of),
        of,
        terms=METHODS[method].terms,
        method=METHODS[method].settings(hard_fraction=0.5),
        optimiser_settings=optimiser_settings or OptimiserSettings(lr=1e-3),
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


def test_labels_and_pictures_of_the_held_out_domain_change_neither_weights_nor_choice():
    labels = exam().labels.copy()
    labels[16:] = 0
    one, two = train(exam()), train(exam(labels, seed=1))
    assert one.chosen.step == two.chosen.step
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert one.chosen.accuracies["h_in"] != two.chosen.accuracies["h_in"]


def kl(teacher, logits):
    """T² · KL(teacher ‖ student) at T = 3, written out."""
    p, q = (teacher / 3).softmax(1), (logits / 3).softmax(1)
    return 9 * (p * (p / q).log()).sum(1).mean()


def by_hand(of: Exam, count: int, averaged_from: int) -> dict[str, torch.Tensor]:
    """SCMD's loop as the paper tells it, with none of `training`'s functions: weights after the last update."""
    model, data, kept = fresh(), steps(of), []
    others = [p for name, p in model.named_parameters() if name != "log_scale"]
    groups = [{"params": others, "lr": 1e-4}, {"params": [model.log_scale], "lr": 500.0}]
    optimizer = torch.optim.SGD(groups)
    for number in range(count):
        for group, base in zip(optimizer.param_groups, (1e-4, 500.0), strict=True):
            group["lr"] = base * min(1.0, (number + 1) / 2) * 0.5 * (1 + math.cos(math.pi * number / count))
        batch = data[number]
        model.train()
        if number <= math.floor(count * 0.75):
            scorer = copy.deepcopy(model.predictor)
            with torch.no_grad():
                losses = F.cross_entropy(scorer(batch.images), batch.labels, reduction="none")
            batch = batch.part(losses.argsort(descending=True)[: len(losses) // 2])
        out = model(batch.images)
        cross = out.log_scale.exp() * F.normalize(out.embeddings, dim=1) @ batch.text.T
        loss = F.cross_entropy(out.logits, batch.labels)
        loss = loss + 0.5 * kl(batch.teacher_logits, out.logits) + 0.5 * kl(batch.teacher_logits, cross)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.log_scale.clamp_(0, math.log(100))
        if number + 1 >= averaged_from:
            kept.append({name: tensor.clone() for name, tensor in model.predictor.state_dict().items()})
    mean = {
        name: torch.stack([state[name] for state in kept]).mean(0) if first.is_floating_point() else first
        for name, first in kept[0].items()
    }
    model.predictor.load_state_dict(mean)
    torch.optim.swa_utils.update_bn(
        (data[count + n].images for n in range(training.STATISTICS_BATCHES)), model.predictor
    )
    return model.predictor.state_dict()


@pytest.mark.parametrize("count", [4, 7])
def test_a_trial_is_the_papers_loop_written_out(monkeypatch, count):
    """Selection and its end, the terms, the schedule, the clamp, the average and its statistics, all at once."""
    monkeypatch.setattr(training, "is_better", lambda *_: True)  # the last evaluation's weights
    # Adam would blow rounding up wherever a gradient is nearly nothing.
    monkeypatch.setitem(training.OPTIMISERS, "adamw", torch.optim.SGD)
    settings = OptimiserSettings(name="adamw", lr=1e-4, scale_lr=500.0, schedule="cosine", warmup=2)
    outcome = train(exam(), count=count, optimiser_settings=settings)
    expected = by_hand(exam(), count, averaged_from=2)
    for name, tensor in outcome.weights.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, expected[name], rtol=1e-4, atol=1e-6), name


def test_every_method_begins_with_the_same_weights_and_sees_the_same_images(monkeypatch):
    seen = {}

    def first_step(student, optimizer, batch, terms, settings, selecting):
        seen.setdefault(name, ([p.clone() for p in student.parameters()], batch.images))
        return real(student, optimizer, batch, terms, settings, selecting)

    real = training.step
    monkeypatch.setattr(training, "step", first_step)
    for name in METHODS:
        train(exam(), method=name, count=2)
    assert len(seen) >= 3
    weights, images = seen["erm"]
    for others, same_images in seen.values():
        assert all(torch.equal(one, other) for one, other in zip(weights, others, strict=True))
        assert torch.equal(images, same_images)


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
