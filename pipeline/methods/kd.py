"""Knowledge distillation (Hinton et al., 2015) as the paper's baseline: CE + λ1 · T² · KL(teacher ‖ student)."""

from typing import ClassVar

from pydantic import Field

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.method import Method, Terms
from pipeline.methods.ranges import SCMD_CODE, Range, Ranges, uniform
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight and temperature."""

    lambda1: float = Field(0.5, ge=0)
    """λ1, of the distillation of logits."""
    temperature: float = Field(3.0, gt=0)
    """T, of both distributions."""


class KD(Method):
    """The cross-entropy and the distillation of logits."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_logits"})
    ranges: ClassVar[Ranges] = {
        "lambda1": Range("lambda1", uniform(0.5, 1)),
        "temperature": Range("temperature", uniform(2, 5)),
    }
    student_ranges = SCMD_CODE

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        lambda1, temperature = self.settings.lambda1, self.settings.temperature
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "distillation": lambda1 * distillation(outputs.logits, batch.teacher_logits, temperature),
        }
