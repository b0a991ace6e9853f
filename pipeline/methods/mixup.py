"""Mixup between source domains (Zhang et al., 2018; inter-domain as in DomainBed).

The domains are put into a random ring; each is mixed with the next: x = m · x_i + (1 − m) · x_j, m ~ Beta(α, α) a pair, and
the loss is the mean over pairs of m · CE(z, y_i) + (1 − m) · CE(z, y_j). Of two domains as many samples are mixed as the smaller
has; a batch of one domain is mixed with itself. No teacher.
"""

from dataclasses import dataclass
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

    alpha: float = Field(0.2, ge=1e-3)
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
        mixed = [self._mixed(batch, one, other) for one, other in zip(ring, ring[1:] + ring[:1], strict=True)]
        # One pass, as a pair of a selected batch may be a single picture, of which batch norm makes nothing.
        logits = student(torch.cat([one.images for one in mixed])).logits
        each = logits.split([len(one.images) for one in mixed])
        return {"mixed": torch.stack([one.loss(answers) for one, answers in zip(mixed, each, strict=True)]).mean()}

    def _mixed(self, batch: Batch, one: Tensor, other: Tensor) -> "Mixed":
        count = min(len(one), len(other))
        one, other = one[:count], other[:count]
        share = float(torch.distributions.Beta(self.settings.alpha, self.settings.alpha).sample())
        images = share * batch.images[one] + (1 - share) * batch.images[other]
        return Mixed(images, share, batch.labels[one], batch.labels[other])


@dataclass(frozen=True)
class Mixed:
    """`images` (n, 3, H, W), of which `share` is of `labels` (n,) and the rest of `others` (n,)."""

    images: Tensor
    share: float
    labels: Tensor
    others: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """(n, C) → ()."""
        return self.share * cross_entropy(logits, self.labels) + (1 - self.share) * cross_entropy(logits, self.others)
