"""Domain-adversarial training (Ganin et al., 2016): CE + CE(discriminator(reverse(f)), domain).

The discriminator learns to tell the source domains apart by the student's features f; the gradient that reaches f is reversed
and weighed by λ, so that the features learn not to tell. No teacher. (DomainBed alternates two optimisers; this is the paper's
single step through a gradient reversal layer.)
"""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.ranges import DOMAINBED, Range, Ranges, power, whole_power
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight and the discriminator."""

    weight: float = Field(1.0, ge=0)
    """λ, of the reversed gradient."""
    discriminator_lr: float | None = Field(None, gt=0)
    """The discriminator's own rate; without it, the student's."""
    hidden: int = Field(256, ge=1, le=65536)
    """The width of the discriminator's layers."""


class DANN(Method):
    """The cross-entropy, and a discriminator of domains whose gradient reaches the features reversed."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    ranges: ClassVar[Ranges] = {
        "weight": Range("lambda", power(10, -2, 2)),
        "hidden": Range("mlp_width", whole_power(2, 6, 10)),
        "discriminator_lr": Range("lr_d", power(10, -5, -3.5)),
    }
    # The student is what DomainBed calls the generator.
    student_ranges: ClassVar[Ranges] = {
        **DOMAINBED,
        "optimiser.lr": Range("lr_g", power(10, -5, -3.5)),
        "optimiser.weight_decay": Range("weight_decay_g", power(10, -6, -2)),
    }

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.discriminator = discriminator(problem.width, self.settings.hidden, problem.domains)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        told = self.discriminator(reversed_gradient(outputs.features, self.settings.weight))
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "domain": cross_entropy(told, batch.domains),
        }

    def groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": self.settings.discriminator_lr or lr}]


def discriminator(width: int, hidden: int, domains: int) -> nn.Module:
    """(B, width) → (B, domains), with two hidden layers."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, domains),
    )


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def reversed_gradient(features: Tensor, weight: float) -> Tensor:
    """The features as they are; the gradient through them times −`weight`."""
    turned: Tensor = _Reversal.apply(features, weight)
    return turned
