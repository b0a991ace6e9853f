"""FitNets (Romero et al., 2015) at the last layer, as the official SCMD code compares with: CE + λ1 · mean((W f − v)²).

W maps the student's features f (B, d) onto the teacher's image features v (B, D) of the same view, not normalised; it has no
bias, and is used in training alone.
"""

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.ranges import SCMD_CODE, Range, Ranges, uniform
from pipeline.methods.settings import MethodSettings

# The official code's start: uniform between minus and plus this.
SPREAD = 0.005


class Settings(MethodSettings):
    """The objective's weight."""

    lambda1: float = Field(1.0, ge=0)
    """Of the distance between features."""


class FitNet(Method):
    """The cross-entropy, and the distance of regressed features from the teacher's."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})
    ranges: ClassVar[Ranges] = {"lambda1": Range("lambda1", uniform(0.5, 1))}
    student_ranges = SCMD_CODE

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.head = nn.Linear(problem.width, problem.embedding, bias=False)
        nn.init.uniform_(self.head.weight, -SPREAD, SPREAD)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "features": self.settings.lambda1 * F.mse_loss(self.head(outputs.features), batch.teacher_features),
        }
