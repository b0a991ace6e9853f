"""Class-conditional adversarial training (CIDDG; Li et al., ECCV 2018; as DomainBed's CDANN): CE + weighed CE of domains.

The discriminator sees the reversed features f (B, d) plus an embedding of the label, so that it tells domains apart within a
class; each sample weighs as one of its class's share, w_i ∝ 1 / (how many of the batch have its label), of sum 1. No teacher.
"""

import torch.nn.functional as F
from torch import nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods import dann
from pipeline.methods.method import Problem, Terms
from pipeline.methods.settings import MethodSettings


class CDANN(dann.DANN):
    """The cross-entropy, and a discriminator of domains within classes whose gradient reaches the features reversed."""

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.classes = nn.Embedding(problem.classes, problem.width)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        reversed_features = dann.reversed_gradient(outputs.features, self.settings.weight)
        told = self.discriminator(reversed_features + self.classes(batch.labels))
        weights = 1 / (batch.labels[:, None] == batch.labels[None]).sum(1)
        losses = F.cross_entropy(told, batch.domains, reduction="none")
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "domain": (weights * losses).sum() / weights.sum(),
        }
