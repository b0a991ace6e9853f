"""The loop and the step, over a trial. Knows no method by name."""

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import optimiser
from pipeline.batches import Batch
from pipeline.engine.workers import exhaust, in_order
from pipeline.errors import InputError
from pipeline.evaluation import EvaluationSet, Predictions, accuracies, counted, predict, validation_loss
from pipeline.losses import CROSS_ENTROPY
from pipeline.progress import detail, track, warn
from pipeline.results import Evaluation, is_better, validation
from pipeline.training_set import TrainingSet
from pipeline.trials.settings import StudentSettings
from pipeline.trials.trial import Chosen, Trial, exchange_random_state

# Writes a trial down, or does not.
Keep = Callable[[Trial], None]
# Enough for the statistics of some thousand pictures; drawn from steps after the last, which no update used.
STATISTICS_BATCHES = 20


def train(trial: Trial, data: TrainingSet, judged: EvaluationSet, keep: Keep = lambda _: None) -> Predictions:
    """Takes a trial from its step to its end, and returns what its chosen weights answer to all of `judged`; `keep` is told as in
    `advance`. Raises InputError where training diverges."""
    advance(trial, data, judged, trial.settings.steps, keep)
    begun = time.monotonic()
    if trial.averaging.conclude():
        pictures = in_order(data.pictures.maker, orders_of_evaluation(trial, data, judged), trial.settings.workers)
        choose(trial, evaluate(trial, data, judged, trial.settings.steps - 1, pictures))
        exhaust(pictures)
    predictions = answer(trial, judged)
    trial.seconds += time.monotonic() - begun
    return predictions


def advance(trial: Trial, data: TrainingSet, judged: EvaluationSet, end: int, keep: Keep = lambda _: None) -> None:
    """Until before step `end`. Evaluates at every `evaluate_every`-th step and the last (DomainBed's times); hands the trial to
    `keep` before every `checkpoint_every`-th step."""
    settings, steps = trial.settings, range(trial.step, end)
    pictures = in_order(data.pictures.maker, _orders(trial, data, judged, steps), settings.workers)
    batches = data.batches(steps, pictures, trial.device)
    begun = time.monotonic()
    for batch in track(batches, len(steps), "training", lambda: state(trial)):
        _advance_one(trial, batch, data, judged, pictures)
        if trial.step % settings.checkpoint_every == 0 and trial.step < settings.steps:
            now = time.monotonic()
            trial.seconds, begun = trial.seconds + now - begun, now
            keep(trial)
    trial.seconds += time.monotonic() - begun


def _orders(trial: Trial, data: TrainingSet, judged: EvaluationSet, steps: range) -> Iterator[Any]:
    """Of all pictures in the order in which they are asked for, so that workers go on with an evaluation's while the step before
    it trains."""
    for step in steps:
        yield data.order(step)
        if _is_evaluated(trial.settings, step):
            yield from orders_of_evaluation(trial, data, judged)


def orders_of_evaluation(trial: Trial, data: TrainingSet, judged: EvaluationSet) -> Iterator[Any]:
    """Of the pictures that `evaluate` takes, in their order."""
    yield from map(data.order, steps_of_statistics(trial))
    yield from _evaluated(trial, judged).orders()


def _is_evaluated(settings: StudentSettings, step: int) -> bool:
    return step % settings.evaluate_every == 0 or step == settings.steps - 1


def steps_of_statistics(trial: Trial) -> range:
    """Whose batches renew the average's batch norms at an evaluation, where those are trained and it is a mean."""
    steps, renewed = trial.settings.steps, trial.averaging.renews_statistics and not trial.student.freeze_statistics
    return range(steps, steps + STATISTICS_BATCHES if renewed else steps)


def _evaluated(trial: Trial, judged: EvaluationSet) -> EvaluationSet:
    return judged if trial.settings.evaluate == "all" else judged.deciding(trial.sources)


def _advance_one(
    trial: Trial, batch: Batch, data: TrainingSet, judged: EvaluationSet, pictures: Iterator[np.ndarray]
) -> None:
    number = trial.step
    learn(trial, batch)
    trial.step += 1
    np.add.at(trial.drawn, data.drawn(number)[0], 1)
    if _is_evaluated(trial.settings, number):
        before = trial.seconds_evaluating
        say_of_collapse(trial)
        evaluation = evaluate(trial, data, judged, number, pictures)
        if is_better(evaluation, trial.chosen.evaluation if trial.chosen else None, trial.sources):
            choose(trial, evaluation)
        trial.averaging.observe(evaluation.validation_loss)
        detail(f"step {number}: {state(trial)}; evaluated in {trial.seconds_evaluating - before:.1f} s")


def say_of_collapse(trial: Trial) -> None:
    """Warns once, at the first evaluation after it was noticed."""
    if trial.collapse.noticed and not trial.said_of_collapse:
        trial.said_of_collapse = True
        warn(
            f"the selected samples' cross-entropy has stayed at ln C = {trial.collapse.level:.2f} for {trial.collapse.long} "
            "steps: the student gives every class the same probability, and does not learn; set `select_from: 0.25` or a "
            "larger `hard_fraction` in the method's settings (docs/selection.md)"
        )


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
    """One update on a batch, or on the part of it that the method selects. Asks a GPU nothing itself, and so does
    not wait for it; a method may (those that take domains apart do)."""
    phase = trial.phase_of(trial.step)
    if trial.step and trial.step == phase.first:
        if phase.begins_with == "average":
            trial.go_on_from_average()
        trial.enter(phase)
    before = exchange_random_state(trial, trial.random)
    try:
        learnt = trial.method.selector.part(trial.step, trial.predictor, batch)
        losses = update(trial, learnt)
    finally:
        trial.random = exchange_random_state(trial, before)
    trial.selected.index_add_(0, learnt.rows, torch.ones_like(learnt.rows))
    for name, loss in losses.items():
        one_more = torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])
        trial.sums[name] = trial.sums.get(name, torch.zeros_like(one_more)) + one_more
    if learnt is not batch and CROSS_ENTROPY in losses:
        trial.collapse.saw(losses[CROSS_ENTROPY])
    trial.averaging.update()


def update(trial: Trial, batch: Batch) -> dict[str, Tensor]:
    """One step of the optimiser on all of a batch; returns the detached loss terms."""
    first, steps = trial.stretch_of(trial.step)
    optimiser.set_rate(trial.optimizer, trial.settings.optimiser, trial.step - first, steps)
    losses = trial.method.losses(trial.student, batch)
    trial.optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    trial.optimizer.step()
    trial.student.clamp_scale()
    return {name: loss.detach() for name, loss in losses.items()}


def evaluate(
    trial: Trial, data: TrainingSet, judged: EvaluationSet, number: int, pictures: Iterator[np.ndarray]
) -> Evaluation:
    """The averaged student on the domains and splits that its settings name, its batch-norm statistics its own; joins the trial's
    history. `pictures` are those of `orders_of_evaluation`, as they come."""
    begun, evaluated = time.monotonic(), _evaluated(trial, judged)
    if steps := steps_of_statistics(trial):
        fresh = data.batches(steps, itertools.islice(pictures, len(steps)), trial.device)
        # What a network draws while it measures follows from the step, and takes nothing from what training draws.
        with torch.random.fork_rng(devices=[trial.device] if trial.device.type == "cuda" else []):
            torch.manual_seed(number)
            trial.averaging.renew_statistics((batch.images for batch in fresh), trial.device)
    predictions = predict(trial.averaging.model, evaluated, pictures, trial.device)
    right = predictions.answers == evaluated.labels
    learnt = counted(trial.selected.cpu().numpy(), judged, predictions.log_probabilities.shape[1])
    evaluation = Evaluation(
        step=number,
        accuracies=accuracies(right, evaluated),
        terms=_means(trial),
        validation_loss=validation_loss(predictions.losses, evaluated, trial.sources),
        logit_scale=float(trial.student.log_scale.detach().exp()),
        learnt_domains=learnt[0],
        learnt_classes=learnt[1],
    )
    require_finite(evaluation)
    trial.history.append(evaluation)
    trial.sums = {}
    trial.seconds_evaluating += time.monotonic() - begun
    return evaluation


def choose(trial: Trial, evaluation: Evaluation) -> None:
    """What was just evaluated becomes the trial's result so far."""
    trial.chosen = Chosen(evaluation, *trial.averaging.model.parts())


def answer(trial: Trial, judged: EvaluationSet) -> Predictions:
    """Of the chosen weights, to all of `judged`; what its evaluation did not yet say of a split joins the history."""
    begun = time.monotonic()
    assert trial.chosen is not None
    model = copy.deepcopy(trial.averaging.model.predictor)
    model.load_state_dict(trial.chosen.weights)
    pictures = in_order(judged.pictures.maker, judged.orders(), trial.settings.workers)
    predictions = predict(model, judged, pictures, trial.device)
    exhaust(pictures)
    shares, before = accuracies(predictions.answers == judged.labels, judged), trial.chosen.evaluation
    now = replace(before, accuracies={**shares, **before.accuracies})
    trial.chosen = replace(trial.chosen, evaluation=now)
    trial.history = [now if one == before else one for one in trial.history]
    trial.seconds_evaluating += time.monotonic() - begun
    return predictions


def require_finite(evaluation: Evaluation) -> None:
    """Raises InputError where training has diverged: its student would be no result."""
    losses = {**evaluation.terms, "validation": evaluation.validation_loss}
    if lost := [name for name, mean in losses.items() if not math.isfinite(mean)]:
        # After one update little but an overflow can have happened.
        other = "" if evaluation.step else ", or a weight or temperature of the method that is of use"
        raise InputError(
            f"the loss `{lost[0]}` is no finite number by step {evaluation.step}: training has diverged; set a smaller "
            f"`optimiser.lr` in the student's configuration{other}"
        )
