"""Risk extrapolation (V-REx; Krueger et al., ICML 2021): mean over domains of R_d + β · Var over domains of R_d.

R_d is the mean cross-entropy of a domain's samples; the variance is that of the population. Until `anneal_steps` β is 1; there
the optimiser begins anew, as the loss leaps (DomainBed). No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods import annealing
from pipeline.methods.annealing import AnnealedPenalty
from pipeline.methods.grouping import groups
from pipeline.methods.method import Terms
from pipeline.methods.ranges import Range, Ranges, power, whole_power


class Settings(annealing.Settings):
    """The penalty."""

    weight: float = Field(10.0, ge=0)
    """β, after the first steps."""


class VREx(AnnealedPenalty):
    """The domains' mean risk, and its variance."""

    Settings = Settings
    compares_domains = True
    ranges: ClassVar[Ranges] = {
        "weight": Range("vrex_lambda", power(10, -1, 5)),
        "anneal_steps": Range("vrex_penalty_anneal_iters", whole_power(10, 0, 4)),
    }

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        risks = torch.stack([cross_entropy(outputs.logits[p], batch.labels[p]) for p in groups(batch.domains)])
        return {"risk": risks.mean(), "variance": self.next_weight() * risks.var(correction=0)}
