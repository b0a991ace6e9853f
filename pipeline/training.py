"""One trial: loop and step, optimiser, and the choice of the checkpoint on the way."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipeline.averaging import RunningMean
from pipeline.batches import Batch, Steps, stream
from pipeline.config import Section
from pipeline.errors import InputError
from pipeline.evaluation import Exam, accuracies, predict
from pipeline.methods import Terms
from pipeline.methods.settings import MethodSettings
from pipeline.progress import track
from pipeline.results import Evaluation, is_better
from pipeline.selector import hardest, is_selecting
from pipeline.student import Student

# Enough for the statistics of some thousand pictures; drawn from steps after the last, which no update used.
STATISTICS_BATCHES = 20


class OptimiserSettings(Section):
    """Defaults are the paper's. `warmup` steps rise linearly; `cosine` then falls to zero at the last step."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = Field(5e-5, gt=0)
    scale_lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = Field(0, ge=0)


OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class Outcome:
    """The chosen evaluation with the averaged weights of that moment, and everything that was measured."""

    chosen: Evaluation
    weights: dict[str, Tensor]
    history: list[Evaluation]


def optimiser(student: Student, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """One optimiser; the logit scale is a group with a rate of its own."""
    others = [parameter for name, parameter in student.named_parameters() if name != "log_scale"]
    groups = [{"params": others, "lr": settings.lr}, {"params": [student.log_scale], "lr": settings.scale_lr}]
    return OPTIMISERS[settings.name](groups, weight_decay=settings.weight_decay)


def schedule(optimizer: torch.optim.Optimizer, settings: OptimiserSettings, steps: int):
    shape = SCHEDULES[settings.schedule]
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / max(1, settings.warmup)) * shape(step / steps)
    )


@contextmanager
def untouched_buffers(model: nn.Module) -> Iterator[None]:
    """Whatever the block does to running statistics is undone after it."""
    saved = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, before in zip(model.buffers(), saved, strict=True):
            buffer.copy_(before)


@torch.no_grad()
def select(student: Student, batch: Batch, hard_fraction: float) -> Batch:
    """The hardest part of a batch by the current student's cross-entropy, normalised as a training pass is."""
    with untouched_buffers(student.predictor):
        losses = F.cross_entropy(student.predictor(batch.images), batch.labels, reduction="none")
    return batch.part(hardest(losses, hard_fraction))


def step(
    student: Student,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    terms: Terms,
    settings: MethodSettings,
    selecting: bool,
) -> dict[str, Tensor]:
    """One update; returns the detached loss terms."""
    student.train()
    if selecting:
        batch = select(student, batch, settings.hard_fraction)
    losses = terms(student(batch.images), batch, settings)
    optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    student.clamp_scale()
    return {name: loss.detach() for name, loss in losses.items()}


def train(
    student: Student,
    steps: Steps,
    exam: Exam,
    *,
    terms: Terms,
    method: MethodSettings,
    optimiser_settings: OptimiserSettings,
    count: int,
    average_from: int,
    evaluate_every: int,
    sources: list[str],
    workers: int,
    device: torch.device,
) -> Outcome:
    """Trains for `count` steps. Evaluates the average at every `evaluate_every`-th step and the last (DomainBed's times)."""
    student.to(device)
    optimizer = optimiser(student, optimiser_settings)
    rate = schedule(optimizer, optimiser_settings, count)
    average = RunningMean(student.predictor, average_from)
    history: list[Evaluation] = []
    best: Evaluation | None = None
    weights: dict[str, Tensor] = {}
    sums: dict[str, list[Tensor]] = defaultdict(list)
    for number, batch in enumerate(track(stream(steps, 0, count, workers, device), count, "training")):
        selecting = method.hard_fraction < 1 and is_selecting(number, count, method.full_batch_fraction)
        for name, loss in step(student, optimizer, batch, terms, method, selecting).items():
            sums[name].append(loss)
        rate.step()
        average.update(student.predictor)
        if number % evaluate_every == 0 or number == count - 1:
            evaluation = evaluate(average, student, steps, exam, number, count, sums, device)
            sums.clear()
            require_finite(evaluation)
            history.append(evaluation)
            if is_better(evaluation, best, sources):
                best = evaluation
                weights = {name: tensor.clone() for name, tensor in average.model.state_dict().items()}
    assert best is not None
    return Outcome(best, weights, history)


def require_finite(evaluation: Evaluation) -> None:
    """Raises InputError where training has diverged: its student would be no result."""
    if lost := [name for name, mean in evaluation.terms.items() if not math.isfinite(mean)]:
        raise InputError(
            f"the loss `{lost[0]}` is no finite number by step {evaluation.step}: training has diverged; "
            "set a smaller `optimiser.lr` in the student's configuration"
        )


def evaluate(
    average: RunningMean,
    student: Student,
    steps: Steps,
    exam: Exam,
    number: int,
    count: int,
    sums: dict[str, list[Tensor]],
    device: torch.device,
) -> Evaluation:
    """The averaged student on every domain and split, its batch-norm statistics its own."""
    if not student.freeze_statistics:
        fresh = stream(steps, count, count + STATISTICS_BATCHES, 0, device)
        average.renew_statistics((batch.images for batch in fresh), device)
    right = predict(average.model, exam, device) == exam.labels
    means = {name: float(torch.stack(losses).mean()) for name, losses in sums.items()}
    return Evaluation(number, accuracies(right, exam), means)
