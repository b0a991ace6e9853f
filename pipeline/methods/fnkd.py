"""Feature-normalised distillation (FNKD; Xu et al., ECCV 2020): CE + λ1 · KL(softmax(τ · t/‖v‖) ‖ softmax(τ · z/‖f‖)).

The length of a sample's features takes the place of the temperature (the official code only shortens those that are longer than
a bound, of teacher and student alike). t/‖v‖ is the teacher's cosine between image and class text,
which the cached logits divided by exp(logit scale) are; f (B, d) are the student's features, of which z are the logits.
"""

from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight and the common scale."""

    lambda1: float = Field(4.5, ge=0)
    """λ1, of the divergence, which no T² multiplies. 4.5 is KD's factor, 0.5 · T² at T = 3; its gradient is another, as the
    student's logits are divided by ‖f‖ here."""
    tau: float = Field(100 / 3, gt=0)
    """τ; 100 / 3 is CLIP's scale at a temperature of 3."""


class FNKD(Method):
    """The cross-entropy, and the distillation of logits by the length of their features."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_logits"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        tau, teacher = self.settings.tau, batch.teacher_logits / self.problem.logit_scale
        student = per_length(outputs.logits, outputs.features)
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "distillation": self.settings.lambda1 * distillation(tau * student, tau * teacher, 1.0),
        }


def per_length(logits: Tensor, features: Tensor) -> Tensor:
    """(B, C), (B, d) → (B, C): of each sample divided by ‖f‖."""
    scaled: Tensor = logits / features.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return scaled
