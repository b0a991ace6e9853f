"""VL2V-ADiP (Addepalli et al., CVPR 2024): align, distil, predict. Labels enter through the text alone.

l = −λ · mean cos(P f, v) − (1 − λ) · mean cos(P f, E_y), with v the teacher's image features of the view and E_y the text
embedding of the label. First the projector P learns with the backbone frozen (align; batch norm that is trained goes on
measuring), then the backbone with P frozen (distil): two runs, each with the whole of the learning rate's schedule. The
second begins with the average of the first (the released code: with its best checkpoint). The student predicts by the class
embedding nearest to P f: there is no trained classifier.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch, Outputs
from pipeline.methods.embedding_predictor import EmbeddingPredictor
from pipeline.methods.method import Method, Phase, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Projection, Student


class Settings(MethodSettings):
    image_weight: float = Field(0.5, ge=0, le=1)
    """λ, of the teacher's image features against the text."""
    align_fraction: float = Field(0.5, gt=0, lt=1)
    """The share of the steps in which the projector alone learns (the paper: two equal runs)."""


class VL2V(Method):
    """Align, distil, and predict by class embeddings."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features", "text"})
    version = 3
    text: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.projector = nn.Linear(problem.width, problem.embedding)
        self.register_buffer("text", problem.text)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        embeddings, share = self.projector(outputs.features), self.settings.image_weight
        image = F.cosine_similarity(embeddings, batch.teacher_features).mean()
        text = F.cosine_similarity(embeddings, batch.text[batch.labels]).mean()
        return {"image": -share * image, "text": -(1 - share) * text}

    def predictor(self, student: Student) -> nn.Module:
        return EmbeddingPredictor(student, self.projector, self.text, torch.tensor(math.log(self.problem.logit_scale)))

    def projection(self, student: Student) -> Projection | None:  # noqa: ARG002
        return Projection(self.projector, torch.tensor(math.log(self.problem.logit_scale)))

    @classmethod
    def shortest_run(cls, settings: Any, steps: int) -> int:
        first = aligning(settings, steps)
        return min(first, max(1, steps - first))

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase(0, lambda name: name.startswith("method.projector.")),
            Phase(
                aligning(self.settings, self.problem.steps), lambda name: name.startswith("student.predictor.backbone.")
            ),
        )


def aligning(settings: Any, steps: int) -> int:
    """How many of the steps the projector alone learns in."""
    return max(1, int(steps * settings.align_fraction))
