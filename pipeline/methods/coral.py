"""Deep CORAL over source domains (Sun and Saenko, 2016; as DomainBed has it): CE + weight · mean over pairs of domains.

A pair's penalty is mean((μ_i − μ_j)²) + mean((C_i − C_j)²), with μ (d,) the mean and C (d, d) the covariance (divided by n − 1)
of the student's features of a domain; a domain of which a batch has one sample has a mean alone. No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.grouping import groups, mean_over_pairs
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import Range, Ranges, power
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight."""

    weight: float = Field(1.0, ge=0)
    """Of the penalty."""


class CORAL(Method):
    """The cross-entropy, and how far the domains' moments are apart."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    ranges: ClassVar[Ranges] = {"weight": Range("mmd_gamma", power(10, -1, 1))}

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        parts = [outputs.features[part] for part in groups(batch.domains)]
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "correlations": self.settings.weight * mean_over_pairs(parts, apart),
        }


def apart(one: Tensor, other: Tensor) -> Tensor:
    """(n, d), (m, d) → (): the mean squared distances of means and of covariances."""
    means = (one.mean(0) - other.mean(0)).square().mean()
    if min(len(one), len(other)) < 2:
        return means
    return means + (torch.cov(one.T) - torch.cov(other.T)).square().mean()
