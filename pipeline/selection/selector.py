"""Which part of a batch to learn from: by the paper the hard samples first, and everything at the end (section 3.1)."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.batches import Batch
from pipeline.selection.rules import RULES, Score
from pipeline.selection.schedule import Schedule
from pipeline.selection.scoring import SCORING, Answer, scoring
from pipeline.selection.settings import SelectionSettings


class Selector(Protocol):
    """A method's rule. `predictor` is the student as the method lets it answer, in training mode."""

    def part(self, step: int, predictor: nn.Module, batch: Batch) -> Batch:
        """The samples to learn from at update `step` (from 0): the very batch where it does not select."""
        ...

    def selects(self, step: int, batch: int) -> bool:
        """Whether an update leaves out a part of a batch of so many."""
        ...


@dataclass(frozen=True)
class ByScore:
    """What the schedule keeps, of the highest scores; a share of it at random from the others. Nothing is scored where all of a
    batch is kept."""

    schedule: Schedule
    score: Score | None
    answer: Answer
    random_fraction: float

    def part(self, step: int, predictor: nn.Module, batch: Batch) -> Batch:
        count = self.schedule.kept(step, len(batch))
        if count == len(batch):
            return batch
        order = ranked(self._scores(predictor, batch))
        best = count - math.floor(count * self.random_fraction)
        if best == count:
            return batch.part(order[:count])
        others = order[best:]
        drawn = torch.randperm(len(others), device=others.device)[: count - best]
        return batch.part(torch.cat([order[:best], others[drawn]]))

    def selects(self, step: int, batch: int) -> bool:
        return self.schedule.selects(step, batch)

    def _scores(self, predictor: nn.Module, batch: Batch) -> Tensor:
        if self.score is None:
            return torch.rand(len(batch), device=batch.labels.device)
        with scoring(predictor):
            return self.score(self.answer(predictor, batch.images), batch)


def by_settings(settings: SelectionSettings, steps: int) -> ByScore:
    """The selector that a method's settings describe, for a trial of `steps`."""
    rule = RULES[settings.select]
    score = rule.score(settings) if rule.score else None
    return ByScore(Schedule(settings, steps), score, SCORING[settings.scoring], settings.random_fraction)


def ranked(scores: Tensor) -> Tensor:
    """(B,) → (B,) indices, the largest first, ties in batch order."""
    return torch.argsort(scores, descending=True, stable=True)
