"""Which part of a batch to learn from: the hard samples first, everything at the end (paper section 3.1)."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.batches import Batch
from pipeline.selection.schedule import is_selecting, kept
from pipeline.selection.scoring import Answer, scores


class Selector(Protocol):
    """A method's rule. `predictor` is the student as the method lets it answer, in training mode."""

    def chosen(self, step: int, predictor: nn.Module, batch: Batch) -> Tensor | None:
        """(n,) indices of the samples to learn from at update `step` (from 0), or None for the whole batch."""
        ...


@dataclass(frozen=True)
class HardestFirst:
    """The ⌊p · B⌋ of largest cross-entropy while `is_selecting`; at p = 1 the whole batch, and nothing is scored."""

    hard_fraction: float
    full_batch_fraction: float
    steps: int
    answer: Answer

    def chosen(self, step: int, predictor: nn.Module, batch: Batch) -> Tensor | None:
        if self.hard_fraction == 1 or not is_selecting(step, self.steps, self.full_batch_fraction):
            return None
        return hardest(scores(predictor, batch, self.answer), self.hard_fraction)


def hardest(losses: Tensor, hard_fraction: float) -> Tensor:
    """(B,) per-sample cross-entropies → (⌊p · B⌋,) indices of the largest, largest first, ties in batch order."""
    return torch.argsort(losses, descending=True, stable=True)[: kept(len(losses), hard_fraction)]
