"""Selective Cross-Modality Distillation (Leng, Li, Wang, TMLR 2024, section 3), on the hard part of a batch.

L = CE(z, y) + λ1 · T² · KL(softmax(t/T) ‖ softmax(z/T)) + λ2 · T² · KL(softmax(t/T) ‖ softmax(c/T)),
c = exp(s) · normalize(projector(f)) · Eᵀ
"""

from typing import ClassVar

from pydantic import Field

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, cross_modal_logits, distillation
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import SCMD_CODE, Range, Ranges, one_of, uniform
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Projection, Student


class Settings(MethodSettings):
    """The objective's weights and temperature, and how much is selected."""

    hard_fraction: float = Field(0.2, gt=0, le=1)
    """p: the share of a batch, the hardest, that is learnt from."""
    lambda1: float = Field(0.5, ge=0)
    """λ1, of the distillation of logits."""
    lambda2: float = Field(0.5, ge=0)
    """λ2, of the cross-modality term."""
    temperature: float = Field(3.0, gt=0)
    """T, of all distributions."""


class SCMD(Method):
    """The paper's objective on the hardest of a batch."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_logits", "text"})
    ranges: ClassVar[Ranges] = {
        "lambda1": Range("lambda1", uniform(0.5, 1)),
        "lambda2": Range("lambda2", uniform(0.5, 1)),
        "temperature": Range("temperature", uniform(2, 5)),
        "full_batch_fraction": Range("last_k_epoch", uniform(0.2, 0.4)),
        "hard_fraction": Range("worst_case_p", one_of(0.2, 0.25, 0.3)),
    }
    student_ranges = SCMD_CODE

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        settings, teacher = self.settings, batch.teacher_logits
        cross_modal = cross_modal_logits(outputs.embeddings, batch.text, outputs.log_scale)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "distillation": settings.lambda1 * distillation(outputs.logits, teacher, settings.temperature),
            "cross_modality": settings.lambda2 * distillation(cross_modal, teacher, settings.temperature),
        }

    def projection(self, student: Student) -> Projection | None:
        return Projection(student.projector, student.log_scale) if self.settings.lambda2 else None
