"""Mixup between source domains (Zhang et al., 2018; inter-domain as in DomainBed).

The domains are put into a random ring; each is mixed with the next: x = m · x_i + (1 − m) · x_j, m ~ Beta(α, α) a pair, and
the loss is the mean over pairs of m · CE(z, y_i) + (1 − m) · CE(z, y_j). Of two domains as many samples are mixed as the smaller
has; a batch of one domain is mixed with itself. No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch
from pipeline.losses import cross_entropy
from pipeline.methods.grouping import groups
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import Range, Ranges, power
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Student


class Settings(MethodSettings):
    """How strongly is mixed."""

    alpha: float = Field(0.2, gt=0)
    """α: near 0 hardly, at 1 evenly."""


class Mixup(Method):
    """The cross-entropy of mixed pictures."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    replaces_cross_entropy = True
    ranges: ClassVar[Ranges] = {"alpha": Range("mixup_alpha", power(10, -1, 1))}

    def losses(self, student: Student, batch: Batch) -> Terms:
        parts = groups(batch.domains)
        ring = [parts[at] for at in torch.randperm(len(parts)).tolist()]
        pairs = zip(ring, ring[1:] + ring[:1], strict=True)
        return {"mixed": torch.stack([self._of_pair(student, batch, one, other) for one, other in pairs]).mean()}

    def _of_pair(self, student: Student, batch: Batch, one: Tensor, other: Tensor) -> Tensor:
        count = min(len(one), len(other))
        one, other = one[:count], other[:count]
        share = float(torch.distributions.Beta(self.settings.alpha, self.settings.alpha).sample())
        logits = student(share * batch.images[one] + (1 - share) * batch.images[other]).logits
        return share * cross_entropy(logits, batch.labels[one]) + (1 - share) * cross_entropy(
            logits, batch.labels[other]
        )
