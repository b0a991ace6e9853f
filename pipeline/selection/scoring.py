"""The pass by which a batch is scored: how the student answers, and that it leaves no trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.student.model import computing_in
from pipeline.student.norms import batch_norms

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


@contextmanager
def scoring(predictor: nn.Module) -> Iterator[None]:
    """Within, no gradient is kept; normalised as a training pass is, and no buffer is left changed."""
    with torch.no_grad(), untouched_buffers(predictor):
        yield


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
