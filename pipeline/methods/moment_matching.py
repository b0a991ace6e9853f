"""Moment matching between source domains (M3SDA; Peng et al., ICCV 2019), without the target: CE + weight · Σ over k of 1, 2.

Of each k the mean over pairs of domains of ‖E[f_i^k] − E[f_j^k]‖₂, with f^k the student's features (n, d) to the k-th power,
element by element. No teacher.

The released code (VisionLearningGroup.github.io at 9a54008e, `M3SDA/code_MSDA_digit`) subtracts each domain's mean first, so that
its first order compares sample with sample, goes to k = 5, has the target and two classifiers, and takes a sixth of the sum over
pairs: its weight is not to scale here, where it is close to plain training.
"""

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.grouping import groups, mean_over_pairs
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings

ORDERS = (1, 2)


class Settings(MethodSettings):
    """The objective's weight."""

    weight: float = Field(5e-4, ge=0)
    """Of the distances; the released code's number, which moves a student little (0.5 ruins one from scratch)."""


class MomentMatching(Method):
    """The cross-entropy, and how far the domains' first two moments are apart."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    version = 2

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        parts = [outputs.features[part] for part in groups(batch.domains)]
        found = [mean_over_pairs([part**order for part in parts], between_means) for order in ORDERS]
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "moments": self.settings.weight * torch.stack(found).sum(),
        }


def between_means(one: Tensor, other: Tensor) -> Tensor:
    """(n, d), (m, d) → (), the length of the difference of means; its gradient is 0 where they are the same."""
    squares = (one.mean(0) - other.mean(0)).square().sum()
    return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
