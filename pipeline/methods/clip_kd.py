"""CLIP-KD (Yang et al., CVPR 2024), its feature and its contrastive-relation term: CE + w_f · features + w_r · relations.

`features` is the mean of ‖normalize(P f) − normalize(v)‖² over the batch, v (B, D) the teacher's image features of the view.
`relations` is KL(softmax_j(a · cos(v_i, E_yj)) ‖ softmax_j(exp(s) · cos(P f_i, E_yj))), a mean over i: to which of the batch's
texts each image belongs, E_yj the text embedding of sample j's label, a the teacher's own scale and s the student's. (The
released code takes the mean of this and of its transpose; here a class's text stands once a sample, so that the transpose would
ask which of equal texts' images is meant.)
"""

import torch.nn.functional as F
from pydantic import Field

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, cross_modal_logits, distillation
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Projection, Student


class Settings(MethodSettings):
    """The objective's weights."""

    feature_weight: float = Field(1.0, ge=0)
    """w_f, of the distance between features; the released code's 2,000, of a mean over D elements, is 2000 / D here."""
    relation_weight: float = Field(1.0, ge=0)
    """w_r, of the divergence between relations."""


class CLIPKD(Method):
    """The cross-entropy, the teacher's features, and its relations between images and texts."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features", "text"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        texts, scale = batch.text[batch.labels], self.problem.logit_scale
        teacher = scale * F.normalize(batch.teacher_features, dim=1) @ texts.T
        student = cross_modal_logits(outputs.embeddings, texts, outputs.log_scale)
        apart = F.normalize(outputs.embeddings, dim=1) - F.normalize(batch.teacher_features, dim=1)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "features": self.settings.feature_weight * apart.square().sum(1).mean(),
            "relations": self.settings.relation_weight * distillation(student, teacher, 1.0),
        }

    def projection(self, student: Student) -> Projection | None:
        return Projection(student.projector, student.log_scale)
