"""Cross-domain ensemble distillation (XDED; Lee et al., ECCV 2022): CE + weight · T² · KL(softmax(z̄_y/T) ‖ softmax(z/T)).

The divergence is a mean over the batch; z̄_c is the mean of the logits of the batch's samples of class c, whatever their domains,
and takes no gradient. No teacher but the student itself. Its sampler, which draws classes, is left out: where there are many,
few of a batch have company, and the term is small; so is its other half, which takes the style out of inner maps. (The official
code groups what its sampler drew together, and so may take a class apart.)
"""

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight and temperature."""

    weight: float = Field(5.0, ge=0)
    """Of the divergence; the official code's."""
    temperature: float = Field(4.0, gt=0)
    """T, of all distributions."""


class XDED(Method):
    """The cross-entropy, and what samples of a class answer together."""

    family = "domains"
    Settings = Settings

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        together = class_means(outputs.logits.detach(), batch.labels)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "ensemble": self.settings.weight * distillation(outputs.logits, together, self.settings.temperature),
        }


def class_means(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, C), (B,) → (B, C): of each sample the mean over all of its class."""
    same = (labels[:, None] == labels[None]).to(logits.dtype)
    return torch.mm(same / same.sum(1, keepdim=True), logits)
