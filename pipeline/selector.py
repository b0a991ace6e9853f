"""Which part of a batch to learn from: the hard samples first, everything at the end (paper section 3.1)."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.batches import Batch
from pipeline.student.model import computing_in
from pipeline.student.norms import batch_norms


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
    answer: "Answer"

    def chosen(self, step: int, predictor: nn.Module, batch: Batch) -> Tensor | None:
        if self.hard_fraction == 1 or not is_selecting(step, self.steps, self.full_batch_fraction):
            return None
        return hardest(scores(predictor, batch, self.answer), self.hard_fraction)


def is_selecting(step: int, steps: int, full_batch_fraction: float) -> bool:
    """Whether update `step` (from 0) of `steps` still selects: step ≤ ⌊steps · (1 − k)⌋."""
    return step <= math.floor(steps * (1 - full_batch_fraction))


def kept(batch: int, hard_fraction: float) -> int:
    """⌊p · B⌋, the number of samples that selection keeps; at least one."""
    return max(1, math.floor(batch * hard_fraction))


def hardest(losses: Tensor, hard_fraction: float) -> Tensor:
    """(B,) per-sample cross-entropies → (⌊p · B⌋,) indices of the largest, largest first, ties in batch order."""
    return torch.argsort(losses, descending=True, stable=True)[: kept(len(losses), hard_fraction)]


# (predictor, pictures (B, 3, H, W)) → logits (B, C): the pass by which hardness is measured.
Answer = Callable[[nn.Module, Tensor], Tensor]


def exactly(predictor: nn.Module, images: Tensor) -> Tensor:
    """A pass as training's own."""
    logits: Tensor = predictor(images)
    return logits


def at_half_size(predictor: nn.Module, images: Tensor) -> Tensor:
    """Of pictures of half the side, each pixel the mean of four: a quarter of the work."""
    return exactly(predictor, F.avg_pool2d(images, 2))


def in_bfloat16(predictor: nn.Module, images: Tensor) -> Tensor:
    """With the backbone in bfloat16."""
    with computing_in(predictor, torch.bfloat16):
        return exactly(predictor, images)


SCORING: dict[str, Answer] = {"exact": exactly, "half_size": at_half_size, "bfloat16": in_bfloat16}


@torch.no_grad()
def scores(predictor: nn.Module, batch: Batch, answer: Answer) -> Tensor:
    """(B,) cross-entropies of the current student, normalised as a training pass is; no buffer is left changed."""
    with untouched_buffers(predictor):
        return F.cross_entropy(answer(predictor, batch.images), batch.labels, reduction="none")


@contextmanager
def untouched_buffers(model: nn.Module) -> Iterator[None]:
    """Whatever the block does to the running statistics of norms in training mode is undone after it; frozen ones stay anyway."""
    buffers = [buffer for norm in batch_norms(model) if norm.training for buffer in norm.buffers()]
    saved = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, before in zip(buffers, saved, strict=True):
            buffer.copy_(before)
