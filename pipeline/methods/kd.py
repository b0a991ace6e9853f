"""Knowledge distillation (Hinton et al., 2015) as the paper's baseline: CE + λ1 · T² · KL(teacher ‖ student)."""

from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    lambda1: float = Field(0.5, ge=0)
    temperature: float = Field(3.0, gt=0)


def terms(outputs: Outputs, batch: Batch, settings: Settings) -> dict[str, Tensor]:
    return {
        "cross_entropy": cross_entropy(outputs.logits, batch.labels),
        "distillation": settings.lambda1 * distillation(outputs.logits, batch.teacher_logits, settings.temperature),
    }
