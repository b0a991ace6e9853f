"""Locality-preserving distillation (Chen et al., 2018): CE + λ1 · mean over i of Σ_{j near i} a_ij · ‖f_i − f_j‖².

Of "Learning student networks via feature embedding". Near are the k nearest of the batch by the teacher's unit image features v,
a_ij = exp(−‖v_i − v_j‖² / width); f (B, d) are the student's features. There is no projector: what is near for the teacher shall
be near for the student.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight, and which samples are near."""

    lambda1: float = Field(1e-3, ge=0)
    """λ1, of the distances, which are not normalised."""
    neighbours: int = Field(5, ge=1)
    """k, at most all others of the batch."""
    width: float = Field(1.0, gt=0)
    """Of the kernel, in squared distances of unit features."""


class Locality(Method):
    """The cross-entropy, and the distances of neighbours."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        weights = affinities(batch.teacher_features, self.settings.neighbours, self.settings.width)
        distances = squared_distances(outputs.features)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "neighbours": self.settings.lambda1 * (weights * distances).sum(1).mean(),
        }


def squared_distances(features: Tensor) -> Tensor:
    """(B, D) → (B, B)."""
    return (features[:, None] - features[None]).square().sum(2)


def affinities(features: Tensor, neighbours: int, width: float) -> Tensor:
    """(B, D) → (B, B): row i holds a_ij of the nearest of i, the first of equals, and 0 elsewhere and on the diagonal."""
    distances = squared_distances(F.normalize(features, dim=1))
    distances.fill_diagonal_(torch.inf)
    nearest = distances.argsort(dim=1, stable=True)[:, : min(neighbours, len(features) - 1)]
    return torch.zeros_like(distances).scatter(1, nearest, torch.exp(-distances.gather(1, nearest) / width))
