"""A penalty on the domains' risks whose weight leaps after some steps, as DomainBed has it: what V-REx and IRM share.

Until `anneal_steps` the weight is 1; there the optimiser begins anew, as the loss leaps, and the weights' average goes on.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from pipeline.methods.method import Method, Phase, Problem
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The penalty."""

    weight: float = Field(ge=0)
    """Of the penalty, after the first steps."""
    anneal_steps: int = Field(500, ge=0)
    """Steps with a weight of 1."""


class AnnealedPenalty(Method):
    """Counts updates, for the weight and for the phase that begins where it leaps; `terms` are the methods' own."""

    family = "domains"
    needs = frozenset({"domains"})
    replaces_cross_entropy = True
    version = 2
    updates: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("updates", torch.tensor(0))

    @classmethod
    def idle(cls, settings: Any, steps: int, domains: int) -> str | None:
        if settings.anneal_steps >= steps and settings.weight != 1:
            begin = settings.anneal_steps
            return f"takes its `weight` from step {begin} on, of {steps}: it is 1 throughout; lower `anneal_steps`"
        return super().idle(settings, steps, domains)

    def next_weight(self) -> Tensor:
        """() the weight of one more update."""
        weight = torch.where(self.updates < self.settings.anneal_steps, 1.0, self.settings.weight)
        self.updates += 1
        return weight

    def phases(self) -> tuple[Phase, ...]:
        """All learns throughout; where the weight leaps within a trial, the optimiser begins anew from the weights there."""
        leaps_at = self.settings.anneal_steps
        leaps = (Phase(leaps_at, lambda _: True, "last weights"),) if 0 < leaps_at < self.problem.steps else ()
        return (*super().phases(), *leaps)
