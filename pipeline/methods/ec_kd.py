"""Feature consistency by hardness (EC-KD; Wang et al., ECCV 2020), its feature term: CE + λ1 · mean of w_i · ‖W f_i − v_i‖² / D.

w_i = 1 − softmax(z_i)[y_i], as a constant: samples that the student has not learnt yet weigh most. W maps the student's features
f (B, d) onto the teacher's v (B, D). The published method's other half, a penalty on weights that repeat one another, is of the
student's inner layers and no distillation; it is left out.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight."""

    lambda1: float = Field(1.0, ge=0)
    """λ1, of the weighed distances."""


class ECKD(Method):
    """The cross-entropy, and the distance of mapped features from the teacher's where it is most needed."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.head = nn.Linear(problem.width, problem.embedding, bias=False)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        losses = F.cross_entropy(outputs.logits, batch.labels, reduction="none")
        hardness = 1 - torch.exp(-losses.detach())
        away = (self.head(outputs.features) - batch.teacher_features).square().mean(1)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "features": self.settings.lambda1 * (hardness * away).mean(),
        }
