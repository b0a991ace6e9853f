"""Risk extrapolation (V-REx; Krueger et al., ICML 2021): mean over domains of R_d + β · Var over domains of R_d.

R_d is the mean cross-entropy of a domain's samples; the variance is that of the population. Until `anneal_steps` β is 1; there
the optimiser begins anew, as the loss leaps (DomainBed). No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.grouping import groups
from pipeline.methods.method import Method, Phase, Problem, Terms
from pipeline.methods.ranges import Range, Ranges, power, whole_power
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The penalty."""

    weight: float = Field(10.0, ge=0)
    """β, after the first steps."""
    anneal_steps: int = Field(500, ge=0)
    """Steps with β = 1."""


class VREx(Method):
    """The domains' mean risk, and its variance."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    replaces_cross_entropy = True
    ranges: ClassVar[Ranges] = {
        "weight": Range("vrex_lambda", power(10, -1, 5)),
        "anneal_steps": Range("vrex_penalty_anneal_iters", whole_power(10, 0, 4)),
    }
    updates: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("updates", torch.tensor(0))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        weight = self.settings.weight if self.updates >= self.settings.anneal_steps else 1.0
        self.updates += 1
        risks = torch.stack([cross_entropy(outputs.logits[p], batch.labels[p]) for p in groups(batch.domains)])
        return {"risk": risks.mean(), "variance": weight * risks.var(correction=0)}

    def phases(self) -> tuple[Phase, ...]:
        return annealed(self.settings.anneal_steps, self.problem.steps)


def annealed(anneal_steps: int, steps: int) -> tuple[Phase, ...]:
    """All learns throughout; where a penalty's weight leaps within a trial, the optimiser begins anew from the weights there."""
    leaps = (Phase(anneal_steps, lambda _: True, "last weights"),) if 0 < anneal_steps < steps else ()
    return (Phase(0, lambda _: True), *leaps)
