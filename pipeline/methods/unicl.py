"""Image–text contrast over labels (UniCL; Yang et al., CVPR 2022): CE + λ1 · ½ · (image to text + text to image).

a_ij = exp(s) · cos(P f_i, E_{y_j}) for all samples i, j of a batch. Image to text is the mean over i of the mean over those j
that have i's label of −log softmax_j(a_ij); text to image the same of the transposed. The teacher's class texts E, and nothing
of its images.
"""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, cross_modal_logits
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Projection, Student


class Settings(MethodSettings):
    """The objective's weight."""

    lambda1: float = Field(0.5, ge=0)
    """λ1, of the contrast."""


class UniCL(Method):
    """The cross-entropy, and which of the batch's texts is an image's."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"text"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        alike = cross_modal_logits(outputs.embeddings, batch.text[batch.labels], outputs.log_scale)
        same = (batch.labels[:, None] == batch.labels[None]).to(alike.dtype)
        both = contrast(alike, same) + contrast(alike.T, same)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "contrast": self.settings.lambda1 * both / 2,
        }

    def projection(self, student: Student) -> Projection | None:
        return Projection(student.projector, student.log_scale)


def contrast(alike: Tensor, same: Tensor) -> Tensor:
    """(B, B), (B, B) of 0 and 1 → ()."""
    losses = -F.log_softmax(alike, dim=1)
    return ((same * losses).sum(1) / same.sum(1)).mean()
