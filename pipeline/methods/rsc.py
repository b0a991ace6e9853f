"""Representation self-challenging (RSC; Huang et al., ECCV 2020; as DomainBed has it): CE without the features it leans on most.

Of each sample the features f (d,) are muted whose gradient of z_y is in the top `feature_drop`; of a batch those samples stay as
they are whose softmax(z)_y falls least by it, all but the top `batch_drop`. The loss is the cross-entropy of the classifier on
what is left. No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import Range, Ranges, uniform
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Student


class Settings(MethodSettings):
    """How much is muted."""

    feature_drop: float = Field(1 / 3, ge=0, lt=1)
    """The share of a sample's features."""
    batch_drop: float = Field(1 / 3, ge=0, lt=1)
    """The share of a batch's samples."""


class RSC(Method):
    """The cross-entropy of muted features."""

    family = "domains"
    Settings = Settings
    replaces_cross_entropy = True
    ranges: ClassVar[Ranges] = {
        "feature_drop": Range("rsc_f_drop_factor", uniform(0, 0.5)),
        "batch_drop": Range("rsc_b_drop_factor", uniform(0, 0.5)),
    }

    def losses(self, student: Student, batch: Batch) -> Terms:
        features, classifier = student.predictor.features(batch.images), student.predictor.classifier
        mask = left(features, classifier, batch.labels, self.settings.feature_drop, self.settings.batch_drop)
        return {"challenged": cross_entropy(classifier(features * mask), batch.labels)}


def left(features: Tensor, classifier: nn.Module, labels: Tensor, feature_drop: float, batch_drop: float) -> Tensor:
    """(B, d), (B,) → (B, d) of 1 where a feature stays."""
    seen = features.detach().requires_grad_(True)
    logits = classifier(seen)
    (gradients,) = torch.autograd.grad(of_labels(logits, labels).sum(), seen)
    kept = gradients < gradients.quantile(1 - feature_drop, dim=1, keepdim=True)
    with torch.no_grad():
        before, after = (of_labels(one.softmax(1), labels) for one in (logits, classifier(seen * kept)))
        falls = before - after
        spared = falls < falls.quantile(1 - batch_drop)
    return (kept | spared[:, None]).to(features.dtype)


def of_labels(values: Tensor, labels: Tensor) -> Tensor:
    """(B, C), (B,) → (B,): the column of each sample's label."""
    return values.gather(1, labels[:, None])[:, 0]
