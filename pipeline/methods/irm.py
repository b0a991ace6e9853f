"""Invariant risk minimisation (IRMv1; Arjovsky et al., 2019): mean over domains of R_d + λ · ‖∇_w R_d(w · z)‖².

w = 1 is a factor of the logits z. The squared gradient is estimated without bias as the product of those of two halves of a
domain's samples, every second one (DomainBed); a domain with one sample has none. Until `anneal_steps` λ is 1; there the
optimiser begins anew. No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods import annealing
from pipeline.methods.annealing import AnnealedPenalty
from pipeline.methods.grouping import groups
from pipeline.methods.method import Terms
from pipeline.methods.ranges import Range, Ranges, power, whole_power


class Settings(annealing.Settings):
    """The penalty."""

    weight: float = Field(100.0, ge=0)
    """λ, after the first steps."""


class IRM(AnnealedPenalty):
    """The domains' mean risk, and how far each is from having the best scale of the logits."""

    Settings = Settings
    ranges: ClassVar[Ranges] = {
        "weight": Range("irm_lambda", power(10, -1, 5)),
        "anneal_steps": Range("irm_penalty_anneal_iters", whole_power(10, 0, 4)),
    }

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        parts = [(outputs.logits[part], batch.labels[part]) for part in groups(batch.domains)]
        risks = [cross_entropy(logits, labels) for logits, labels in parts]
        penalties = [penalty(logits, labels) for logits, labels in parts]
        return {"risk": torch.stack(risks).mean(), "invariance": self.next_weight() * torch.stack(penalties).mean()}


def penalty(logits: Tensor, labels: Tensor) -> Tensor:
    """(n, C), (n,) → ()."""
    if len(labels) < 2:
        return logits.sum() * 0
    scale = torch.ones((), device=logits.device, requires_grad=True)
    halves = [cross_entropy(logits[at::2] * scale, labels[at::2]) for at in (0, 1)]
    one, other = (torch.autograd.grad(loss, scale, create_graph=True)[0] for loss in halves)
    return one * other
