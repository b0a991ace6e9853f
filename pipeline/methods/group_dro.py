"""Group distributionally robust optimisation (Sagawa et al., ICLR 2020): Σ over domains of q_d · R_d.

R_d is the mean cross-entropy of a domain's samples. At each update q_d is multiplied by exp(η · R_d) and all are divided by
their sum, so that the domains that go worst weigh most; they start equal. A domain that a batch lacks keeps its share. No
teacher.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.ranges import Range, Ranges, power
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """How fast the weights move."""

    eta: float = Field(1e-2, ge=0)
    """η."""


class GroupDRO(Method):
    """The domains' risks, weighed by how they went so far."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    replaces_cross_entropy = True
    version = 2
    ranges: ClassVar[Ranges] = {"eta": Range("groupdro_eta", power(10, -3, -1))}
    log_shares: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        # Logarithms, as one loss of thousands would overflow the shares themselves, and never leave them.
        self.register_buffer("log_shares", torch.full((problem.domains,), -math.log(problem.domains)))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        present = batch.domains.unique()
        risks = torch.stack(
            [cross_entropy(outputs.logits[batch.domains == d], batch.labels[batch.domains == d]) for d in present]
        )
        self.log_shares[present] += self.settings.eta * risks.detach()
        self.log_shares -= self.log_shares.logsumexp(0)
        return {"risk": (self.log_shares[present].exp() * risks).sum()}
