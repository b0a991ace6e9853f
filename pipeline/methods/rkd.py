"""Relational knowledge distillation (Park et al., CVPR 2019): CE + λ1 · (w_d · distances + w_a · angles).

Of the projected features P f (B, D) and the teacher's image features v (B, D), not normalised: `distances` is the Huber loss
(δ = 1) between those of all pairs, each divided by the mean of its side's positive ones; `angles` that between the cosines at i
of all triples (i, j, k). Weights as the official SCMD code has them.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import SCMD_CODE, Range, Ranges, uniform
from pipeline.methods.settings import MethodSettings

# Features that are closer count as the same: their direction is none.
CLOSE = 1e-6


class Settings(MethodSettings):
    """The objective's weights."""

    lambda1: float = Field(1.0, ge=0)
    """λ1, of both relations."""
    distance_weight: float = Field(25.0, ge=0)
    """w_d, of the distances."""
    angle_weight: float = Field(50.0, ge=0)
    """w_a, of the angles."""


class RKD(Method):
    """The cross-entropy, and what samples of a batch are to one another."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})
    ranges: ClassVar[Ranges] = {
        "lambda1": Range("lambda1", uniform(0.5, 1)),
        "distance_weight": Range("w_dist", uniform(20, 25)),
        "angle_weight": Range("w_angle", uniform(30, 50)),
    }
    student_ranges = SCMD_CODE

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        settings = self.settings
        student, teacher = _apart(outputs.embeddings), _apart(batch.teacher_features)
        distances = F.smooth_l1_loss(relative_distances(*student), relative_distances(*teacher))
        angles = F.smooth_l1_loss(cosines(*student), cosines(*teacher))
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "distances": settings.lambda1 * settings.distance_weight * distances,
            "angles": settings.lambda1 * settings.angle_weight * angles,
        }


def _apart(features: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D) → differences (B, B, D), from i to j, and their lengths (B, B), 0 where they are close."""
    differences = features[None] - features[:, None]
    squares = differences.square().sum(2)
    far = squares > CLOSE**2
    return differences, torch.where(far, squares, 1).sqrt() * far


def relative_distances(_: Tensor, lengths: Tensor) -> Tensor:
    """(B, B): divided by the mean of those that are positive, if any is."""
    count = (lengths > 0).sum().clamp(min=1)
    return lengths / (lengths.sum() / count).clamp(min=CLOSE)


def cosines(differences: Tensor, lengths: Tensor) -> Tensor:
    """(B, B, B): at i, of the angle from j to k; 0 where one of them is close to i."""
    directions = differences / lengths.clamp(min=CLOSE)[:, :, None] * (lengths > 0)[:, :, None]
    return directions @ directions.transpose(1, 2)
