"""MIRO at the last layer (Cha et al., ECCV 2022): CE + λ1 · ½ · mean(log σ² + (v − μ(f))² / σ²).

The oracle's features v (B, D) are the teacher's of the view, μ a linear map of the student's features f (B, d), σ² (D,) a learnt
variance of each dimension, softplus(b) + ε, that starts at 0.1; both learn `rate` times as fast as the student. The published
method sums this over all layers of the network that the student started from; a cache has the last one of a better oracle.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings

# Of the official code: the variance at the start, and what it stays above.
INITIAL, LEAST = 0.1, 1e-5


class Settings(MethodSettings):
    """The objective's weight, and how fast its encoders learn."""

    lambda1: float = Field(0.1, ge=0)
    """λ1, of the regulariser."""
    rate: float = Field(10.0, gt=0)
    """Of the encoders, times the student's."""


class MIRO(Method):
    """The cross-entropy, and how well the oracle's features are told by the student's."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.mean = nn.Linear(problem.width, problem.embedding)
        start = math.log(math.expm1(INITIAL - LEAST))
        self.spread = nn.Parameter(torch.full((problem.embedding,), start))

    @property
    def variance(self) -> Tensor:
        """σ² (D,)."""
        return F.softplus(self.spread) + LEAST

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        variance = self.variance
        away = (batch.teacher_features - self.mean(outputs.features)).square() / variance
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "information": self.settings.lambda1 * (away + variance.log()).mean() / 2,
        }

    def groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": self.settings.rate * lr}]
