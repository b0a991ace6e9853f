"""Probabilistic knowledge transfer (Passalis and Tefas, ECCV 2018): CE + λ1 · mean over i of Σ_{j≠i} p_ij · log(p_ij / q_ij).

p_ij is how near sample j is to sample i among all others of the batch: (cos(v_i, v_j) + 1) / 2 of the teacher's image features v
(B, D), divided by its sum over j ≠ i; q_ij the same of the student's features f (B, d). There is no projector. (The official
code keeps j = i, and divides by B².)
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings

# Of a probability, so that its logarithm is finite.
LEAST = 1e-7


class Settings(MethodSettings):
    """The objective's weight."""

    lambda1: float = Field(30_000 / 64, ge=0)
    """λ1, of the divergence, which is small, as a batch of B samples spreads each row over B − 1 probabilities: RepDistiller
    weighs a sum of 1/B² each by 30,000, at a B of 64."""


class PKT(Method):
    """The cross-entropy, and how near samples of a batch are to one another."""

    family = "distillation"
    Settings = Settings
    version = 2
    needs = frozenset({"teacher_features"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        student, teacher = neighbourhoods(outputs.features), neighbourhoods(batch.teacher_features)
        divergence = (teacher * (teacher.log() - student.log())).sum(1).mean()
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "neighbourhoods": self.settings.lambda1 * divergence,
        }


def neighbourhoods(features: Tensor) -> Tensor:
    """(B, D) → (B, B): row i, how near each other sample is to sample i, of sum 1; on the diagonal, and at the least, 10⁻⁷."""
    unit = F.normalize(features, dim=1)
    near = (unit @ unit.T + 1) / 2
    near = torch.where(torch.eye(len(near), dtype=torch.bool, device=near.device), 0, near)
    return (near / near.sum(1, keepdim=True).clamp(min=LEAST)).clamp(min=LEAST)
