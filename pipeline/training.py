"""The loop and the step, over a trial. Knows no method by name."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline import optimiser
from pipeline.batches import Batch
from pipeline.errors import InputError
from pipeline.evaluation import EvaluationSet, Predictions, accuracies, counted, predict, validation_loss
from pipeline.progress import detail, track
from pipeline.results import Evaluation, is_better, validation
from pipeline.training_set import TrainingSet
from pipeline.trials.trial import Chosen, Trial, exchange_random_state

# Writes a trial down, or does not.
Keep = Callable[[Trial], None]
# Enough for the statistics of some thousand pictures; drawn from steps after the last, which no update used.
STATISTICS_BATCHES = 20


def train(trial: Trial, data: TrainingSet, judged: EvaluationSet, keep: Keep = lambda _: None) -> None:
    """Takes a trial from its step to its end; `keep` is told as in `advance`. Raises InputError where training diverges."""
    advance(trial, data, judged, trial.settings.steps, keep)
    begun = time.monotonic()
    if trial.averaging.conclude():
        choose(trial, *evaluate(trial, data, judged, trial.settings.steps - 1))
    trial.seconds += time.monotonic() - begun


def advance(trial: Trial, data: TrainingSet, judged: EvaluationSet, end: int, keep: Keep = lambda _: None) -> None:
    """Until before step `end`. Evaluates at every `evaluate_every`-th step and the last (DomainBed's times); hands the trial to
    `keep` before every `checkpoint_every`-th step."""
    settings = trial.settings
    batches = data.stream(trial.step, end, settings.workers, trial.device)
    begun = time.monotonic()
    for batch in track(batches, end - trial.step, "training", lambda: state(trial)):
        _advance_one(trial, batch, data, judged)
        if trial.step % settings.checkpoint_every == 0 and trial.step < settings.steps:
            now = time.monotonic()
            trial.seconds, begun = trial.seconds + now - begun, now
            keep(trial)
    trial.seconds += time.monotonic() - begun


def _advance_one(trial: Trial, batch: Batch, data: TrainingSet, judged: EvaluationSet) -> None:
    settings, number = trial.settings, trial.step
    learn(trial, batch)
    trial.step += 1
    np.add.at(trial.drawn, data.drawn(number)[0], 1)
    if number % settings.evaluate_every == 0 or number == settings.steps - 1:
        evaluation, predictions = evaluate(trial, data, judged, number)
        if is_better(evaluation, trial.chosen.evaluation if trial.chosen else None, trial.sources):
            choose(trial, evaluation, predictions)
        trial.averaging.observe(evaluation.validation_loss)
        detail(f"step {number}: {state(trial)}")


def state(trial: Trial) -> str:
    """The loss terms since the last evaluation, or at it, and its validation accuracy, for who watches."""
    means = _means(trial) or (dict(trial.history[-1].terms) if trial.history else {})
    told = [f"{name.replace('_', ' ')} {mean:.3f}" for name, mean in means.items()]
    if trial.history:
        told.append(f"validation {validation(trial.history[-1], trial.sources):.1%}")
    return ", ".join(told)


def _means(trial: Trial) -> dict[str, float]:
    return {name: float(total / count) for name, (total, count) in trial.sums.items()}


def learn(trial: Trial, batch: Batch) -> None:
    """One update on a batch, or on the part of it that the method selects. Asks a GPU nothing, and so never waits for it."""
    phase = trial.phase_of(trial.step)
    if trial.step and trial.step == phase.first:
        trial.go_on_from_average()
        trial.enter(phase)
    before = exchange_random_state(trial, trial.random)
    try:
        part = trial.method.selector.chosen(trial.step, trial.predictor, batch)
        learnt = batch if part is None else batch.part(part)
        losses = update(trial, learnt)
    finally:
        trial.random = exchange_random_state(trial, before)
    trial.selected.index_add_(0, learnt.rows, torch.ones_like(learnt.rows))
    for name, loss in losses.items():
        one_more = torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])
        trial.sums[name] = trial.sums.get(name, torch.zeros_like(one_more)) + one_more
    trial.averaging.update()


def update(trial: Trial, batch: Batch) -> dict[str, Tensor]:
    """One step of the optimiser on all of a batch; returns the detached loss terms."""
    optimiser.set_rate(trial.optimizer, trial.settings.optimiser, trial.step, trial.settings.steps)
    losses = trial.method.losses(trial.student, batch)
    trial.optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    trial.optimizer.step()
    trial.student.clamp_scale()
    return {name: loss.detach() for name, loss in losses.items()}


def evaluate(trial: Trial, data: TrainingSet, judged: EvaluationSet, number: int) -> tuple[Evaluation, Predictions]:
    """The averaged student on every domain and split, its batch-norm statistics its own; joins the trial's history."""
    begun = time.monotonic()
    if not trial.student.freeze_statistics:
        steps = trial.settings.steps
        fresh = data.stream(steps, steps + STATISTICS_BATCHES, 0, trial.device)
        # What a network draws while it measures follows from the step, and takes nothing from what training draws.
        with torch.random.fork_rng(devices=[trial.device] if trial.device.type == "cuda" else []):
            torch.manual_seed(number)
            trial.averaging.renew_statistics((batch.images for batch in fresh), trial.device)
    predictions = predict(trial.averaging.model, judged, trial.device)
    right = predictions.answers == judged.labels
    means = _means(trial)
    loss, scale = (
        validation_loss(predictions.losses, judged, trial.sources),
        float(trial.student.log_scale.detach().exp()),
    )
    learnt = counted(trial.selected.cpu().numpy(), judged, predictions.probabilities.shape[1])
    evaluation = Evaluation(number, accuracies(right, judged), means, loss, scale, *learnt)
    require_finite(evaluation)
    trial.history.append(evaluation)
    trial.sums = {}
    trial.seconds_evaluating += time.monotonic() - begun
    return evaluation, predictions


def choose(trial: Trial, evaluation: Evaluation, predictions: Predictions) -> None:
    """What was just evaluated becomes the trial's result so far."""
    trial.chosen = Chosen(evaluation, *trial.averaging.model.parts(), predictions)


def require_finite(evaluation: Evaluation) -> None:
    """Raises InputError where training has diverged: its student would be no result."""
    if lost := [name for name, mean in evaluation.terms.items() if not math.isfinite(mean)]:
        raise InputError(
            f"the loss `{lost[0]}` is no finite number by step {evaluation.step}: training has diverged; "
            "set a smaller `optimiser.lr` in the student's configuration"
        )
