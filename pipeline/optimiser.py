"""One optimiser for student and method, and the learning rate of each step."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field

from pipeline.config import Section


class OptimiserSettings(Section):
    """The rate of a step is that of `schedule`, times a linear rise over `warmup` steps."""

    name: Literal["adam", "adamw"] = "adam"
    """Adam with L2 in the gradient, or AdamW."""
    lr: float = Field(5e-5, gt=0)
    """Of everything but the logit scale; a method may have rates of its own."""
    scale_lr: float = Field(1e-4, gt=0)
    """Of the logit scale, which has the same schedule and weight decay."""
    weight_decay: float = Field(0.0, ge=0)
    """Of everything, the logit scale too."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`constant`, or `cosine`, which falls from step 0 to zero after the last, of each run where a method trains in several."""
    warmup: int = Field(0, ge=0)
    """Steps over which the rate rises."""


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


def build(groups: list[dict[str, Any]], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Over parameter groups, each with a base rate `lr`; groups of nothing that learns are left out."""
    learning = [{**group, "params": [p for p in group["params"] if p.requires_grad]} for group in groups]
    # One kernel for all weights, where they are on a GPU; elsewhere the plain loop, whose digits trials had before.
    fused = all(p.is_cuda for group in learning for p in group["params"])
    make, decay = OPTIMISERS[settings.name], settings.weight_decay
    optimizer = make([g for g in learning if g["params"]], weight_decay=decay, fused=fused)
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, settings: OptimiserSettings, step: int, steps: int) -> None:
    """Each group's rate for update `step` (from 0) of `steps`: a function of the step alone."""
    share = min(1.0, (step + 1) / max(1, settings.warmup)) * SCHEDULES[settings.schedule](step / steps)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * share
