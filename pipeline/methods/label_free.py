"""Label-free distillation (PromptKD; Li et al., CVPR 2024): λ1 · T² · KL(softmax(t/T) ‖ softmax(c/T)), without labels.

c = exp(s) · normalize(P f) · Eᵀ, as in SCMD's cross-modality term; the student answers with c, and so has no trained classifier.
"""

from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_modal_logits, distillation
from pipeline.methods.embedding_predictor import EmbeddingPredictor
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Projection, Student


class Settings(MethodSettings):
    """The objective's weight and temperature."""

    lambda1: float = Field(1.0, ge=0)
    """Of the one term."""
    temperature: float = Field(3.0, gt=0)
    """T, of both distributions: SCMD's, as is λ1 · T². PromptKD takes T = 1 and a weight of 1,000."""


class LabelFree(Method):
    """The teacher's answers over the class texts, and nothing else."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_logits", "text"})
    text: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("text", problem.text)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        cross_modal = cross_modal_logits(outputs.embeddings, batch.text, outputs.log_scale)
        divergence = distillation(cross_modal, batch.teacher_logits, self.settings.temperature)
        return {"cross_modality": self.settings.lambda1 * divergence}

    def predictor(self, student: Student) -> nn.Module:
        return EmbeddingPredictor(student, student.projector, self.text, student.log_scale)

    def projection(self, student: Student) -> Projection | None:
        return Projection(student.projector, student.log_scale)
