"""Which part of a batch to learn from: the hard samples first, everything at the end (paper section 3.1)."""

import math

import torch
from torch import Tensor


def is_selecting(step: int, steps: int, full_batch_fraction: float) -> bool:
    """Whether update `step` (from 0) of `steps` still selects: step ≤ ⌊steps · (1 − k)⌋."""
    return step <= math.floor(steps * (1 - full_batch_fraction))


def kept(batch: int, hard_fraction: float) -> int:
    """⌊p · B⌋, the number of samples that selection keeps; at least one."""
    return max(1, math.floor(batch * hard_fraction))


def hardest(losses: Tensor, hard_fraction: float) -> Tensor:
    """(B,) per-sample cross-entropies → (⌊p · B⌋,) indices of the largest, largest first, ties in batch order."""
    return torch.argsort(losses, descending=True, stable=True)[: kept(len(losses), hard_fraction)]
