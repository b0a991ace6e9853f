"""What a trial will cost, from a few of its own steps and answers, timed here and now."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from pipeline import training
from pipeline.batches import Batch
from pipeline.engine.workers import in_order
from pipeline.evaluation import BATCH, EvaluationSet, predict
from pipeline.stage_two import data, running, teaching
from pipeline.stage_two.materials import Assignment, Materials
from pipeline.training_set import TrainingSet
from pipeline.trials.trial import Trial
from pipeline.views.pictures import Pictures

# Steps of a kind that are timed, after one that is not: the first pays for what the others keep.
STEPS = 3


@dataclass(frozen=True)
class Cost:
    """Of a trial: how many steps there are of each kind (`selecting`, `whole`) and the mean seconds of one, and the seconds of
    all its evaluations, and of adapting the teacher's logits."""

    steps: Mapping[str, tuple[int, float]]
    evaluating: float
    adapting: float

    @property
    def seconds(self) -> float:
        """Of the trial, without starting it and writing it down."""
        return self.adapting + self.evaluating + sum(count * seconds for count, seconds in self.steps.values())


def cost(materials: Materials, one: Assignment, pictures: Pictures) -> Cost:
    """Trains a student that is thrown away. Raises what a trial raises before its first step."""
    sources = running.sources_of(materials, one)
    judged = data.evaluation_set(materials, one, pictures)
    answers, begun = data.answers(materials, judged, one.needs), time.perf_counter()
    answers = teaching.taught(materials, one, answers, judged, sources)
    adapting = time.perf_counter() - begun
    learnt_from = data.training_set(materials, one, answers, judged, sources)
    trial = running.started(materials, one, answers.text, sources)
    return Cost(
        adapting=adapting,
        steps=_by_kind(trial, learnt_from, one.student.batch * len(sources)),
        evaluating=_pictures_judged(trial, judged, one.student.batch * len(sources))
        * _seconds_of_an_answer(trial.predictor, judged, trial.device),
    )


def _by_kind(trial: Trial, learnt_from: TrainingSet, batch: int) -> dict[str, tuple[int, float]]:
    """One whole step of each phase of the method is timed, and selecting ones at a quarter and three quarters of theirs, as what
    they keep falls over a part of the run; they stand for all that are like them."""
    alike: dict[tuple[int, bool], list[int]] = {}
    for step in range(trial.settings.steps):
        kind = trial.phase_of(step).first, trial.method.selector.selects(step, batch)
        alike.setdefault(kind, []).append(step)
    found: dict[str, tuple[int, float]] = {}
    for (_, selecting), steps in alike.items():
        name = "selecting" if selecting else "whole"
        count, mean = found.get(name, (0, 0.0))
        timed = {steps[len(steps) // 4], steps[3 * len(steps) // 4]} if selecting else {steps[0]}
        each = sum(_seconds_of_a_step(trial, learnt_from, step) for step in timed) / len(timed)
        total = count * mean + len(steps) * each
        found[name] = count + len(steps), total / (count + len(steps))
    return found


def _seconds_of_a_step(trial: Trial, learnt_from: TrainingSet, step: int) -> float:
    trial.enter(trial.phase_of(step))
    # That of a phase's first would enter it once more.
    trial.step = step + 1 if step + 1 < trial.settings.steps else step
    batches = learnt_from.stream(0, STEPS + 1, 0, trial.device)
    training.learn(trial, next(batches))
    return _timed(lambda: _learn_all(trial, batches), trial.device) / STEPS


def _learn_all(trial: Trial, batches: Iterator[Batch]) -> None:
    for batch in batches:
        training.learn(trial, batch)


def _pictures_judged(trial: Trial, judged: EvaluationSet, batch: int) -> int:
    """Over all evaluations, each with the batches by which batch norms are measured anew, and the last look at everything."""
    settings = trial.settings
    times = len({*range(0, settings.steps, settings.evaluate_every), settings.steps - 1})
    looked_at = judged if settings.evaluate == "all" else judged.deciding(trial.sources)
    return times * (len(looked_at.rows) + batch * len(training.steps_of_statistics(trial))) + len(judged.rows)


def _seconds_of_an_answer(predictor: torch.nn.Module, judged: EvaluationSet, device: torch.device) -> float:
    some = slice(0, BATCH)
    part = replace(
        judged, rows=judged.rows[some], labels=judged.labels[some], domains=judged.domains[some], out=judged.out[some]
    )

    def answer() -> None:
        predict(predictor, part, in_order(part.pictures.maker, part.orders(), 0), device)

    answer()
    return float(np.median([_timed(answer, device) for _ in range(STEPS)])) / len(part.rows)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else int
    wait()
    begun = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - begun
