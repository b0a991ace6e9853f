"""What a trial will cost, from a few of its own steps and answers, timed here and now."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline import training
from pipeline.batches import Batch
from pipeline.engine.workers import in_order
from pipeline.evaluation import BATCH, EvaluationSet, predict
from pipeline.stage_two import data, running
from pipeline.stage_two.materials import Assignment, Materials
from pipeline.trials.trial import Trial
from pipeline.views.pictures import Pictures

# Steps of a kind that are timed, after one that is not: the first pays for what the others keep.
STEPS = 3


@dataclass(frozen=True)
class Cost:
    """Of a trial: seconds of a selecting and of a whole step, how many there are of each, seconds of its evaluations in all."""

    selecting: float
    whole: float
    selecting_steps: int
    steps: int
    evaluating: float

    @property
    def seconds(self) -> float:
        """Of the trial, without starting it and writing it down."""
        return (
            self.selecting_steps * self.selecting + (self.steps - self.selecting_steps) * self.whole + self.evaluating
        )


def cost(materials: Materials, one: Assignment, pictures: Pictures) -> Cost:
    """Trains a student that is thrown away. Raises what a trial raises before its first step."""
    sources = running.sources_of(materials, one)
    judged = data.evaluation_set(materials, one, pictures)
    answers = data.answers(materials, judged, one.needs)
    learnt_from = data.training_set(materials, one, answers, judged, sources)
    trial = running.started(materials, one, answers.text, sources)
    selecting = [trial.method.selector.selects(step) for step in range(one.student.steps)]

    def of_step(step: int) -> float:
        trial.step = step
        batches = learnt_from.stream(0, STEPS + 1, 0, trial.device)
        training.learn(trial, next(batches))
        return _timed(lambda: _learn_all(trial, batches), trial.device) / STEPS

    whole = of_step(selecting.index(False)) if False in selecting else 0.0
    return Cost(
        selecting=of_step(selecting.index(True)) if True in selecting else 0.0,
        whole=whole,
        selecting_steps=sum(selecting),
        steps=one.student.steps,
        evaluating=_pictures_judged(one, judged, sources)
        * _seconds_of_an_answer(trial.predictor, judged, trial.device),
    )


def _learn_all(trial: Trial, batches: Iterator[Batch]) -> None:
    for batch in batches:
        training.learn(trial, batch)


def _pictures_judged(one: Assignment, judged: EvaluationSet, sources: list[str]) -> int:
    """Over all evaluations and the last look at everything."""
    times = -(-one.student.steps // one.student.evaluate_every) + 1
    looked_at = judged if one.student.evaluate == "all" else judged.deciding(sources)
    return times * len(looked_at.rows) + len(judged.rows)


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
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun
