"""What a step learns from, and what the student says to it: two records that travel."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.device import on_device

# What is the same for every sample of every batch.
SHARED = frozenset({"text", "template_text"})


class Batch:
    """B samples as tensors. Pictures, labels and rows always; of the rest what the method's `needs` names, and nothing else.

    `images` (B, 3, H, W) normalised float32, `labels` (B,) int64, `teacher_logits` (B, C) and `teacher_features` (B, D)
    float32 of the very views shown (features not normalised), `domains` (B,) int64 among the sources, `rows` (B,) int64 in
    the samples table, `weights` (B,) float32 where a selector gives them, `agreement` (B,) float32, the share of a sample's
    nearest others that have its label; `text` (C, D) unit class embeddings, `template_text` (P, C, D) not normalised.
    """

    images: Tensor
    labels: Tensor
    teacher_logits: Tensor
    teacher_features: Tensor
    domains: Tensor
    rows: Tensor
    weights: Tensor
    agreement: Tensor
    text: Tensor
    template_text: Tensor

    def __init__(self, **fields: Tensor) -> None:
        if unknown := fields.keys() - Batch.__annotations__.keys():
            raise TypeError(f"a batch has no `{min(unknown)}` (it can carry {', '.join(Batch.__annotations__)})")
        vars(self).update(fields)

    if not TYPE_CHECKING:  # so that a misspelt name stays an error of types

        def __getattr__(self, name: str) -> Tensor:
            raise AttributeError(f"this batch carries no `{name}`: the method's `needs` does not name it")

    def part(self, indices: Tensor, **more: Tensor) -> "Batch":
        """The samples at (n,) indices, in their order; `more` are fields that it gets besides."""
        return Batch(**{name: one if name in SHARED else one[indices] for name, one in vars(self).items()}, **more)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Outputs:
    """What the student says: `features` (B, d), `logits` (B, C), `embeddings` (B, D) in the teacher's space, `log_scale` ()."""

    features: Tensor
    logits: Tensor
    embeddings: Tensor
    log_scale: Tensor


def normalised(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 on the device, each channel less `mean` and divided by `std`."""
    images = on_device(pixels, device).permute(0, 3, 1, 2).float()
    shift, scale = (_by_channel(values, device) for values in (mean, std))
    return (images / 255 - shift) / scale


@cache
def _by_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(3, 1, 1). Kept, as to send it is to wait for the device."""
    return torch.tensor(values, device=device)[:, None, None]
