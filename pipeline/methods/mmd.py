"""Maximum mean discrepancy between source domains (Li et al., CVPR 2018; as DomainBed has it): CE + weight · mean over pairs.

A pair's penalty is mean k(x, x') + mean k(y, y') − 2 · mean k(x, y) of the student's features x (n, d) and y (m, d) of two
domains, k(x, y) = Σ_γ exp(−γ · ‖x − y‖²) over seven widths. No teacher; the published method's autoencoder is left
out, as in DomainBed.
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

# γ of the Gaussian kernels, DomainBed's.
WIDTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


class Settings(MethodSettings):
    """The objective's weight."""

    weight: float = Field(1.0, ge=0)
    """Of the penalty."""


class MMD(Method):
    """The cross-entropy, and how far the domains' distributions are apart."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    ranges: ClassVar[Ranges] = {"weight": Range("mmd_gamma", power(10, -1, 1))}

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        parts = [outputs.features[part] for part in groups(batch.domains)]
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "discrepancy": self.settings.weight * mean_over_pairs(parts, discrepancy),
        }


def discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """(n, d), (m, d) → ()."""
    return kernel(one, one).mean() + kernel(other, other).mean() - 2 * kernel(one, other).mean()


def kernel(one: Tensor, other: Tensor) -> Tensor:
    """(n, d), (m, d) → (n, m)."""
    squares = (one[:, None] - other[None]).square().sum(2)
    return torch.stack([torch.exp(-width * squares) for width in WIDTHS]).sum(0)
