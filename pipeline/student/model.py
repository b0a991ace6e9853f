"""The student: a timm backbone, a linear classifier, a projector into the teacher's embedding space, a logit scale."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.batches import Outputs
from pipeline.student.compute import Compute
from pipeline.student.norms import batch_norms

INITIAL_LOG_SCALE = math.log(1 / 0.07)
MAX_LOG_SCALE = math.log(100)


class Featurizer(nn.Module):
    """Pictures → features. `precision` is the number format in which the backbone computes, and nothing else."""

    def __init__(self, backbone: Any, dropout: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.dropout = dropout
        self.precision = torch.float32

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, d) float32."""
        with torch.autocast(images.device.type, self.precision, enabled=self.precision != torch.float32):
            features: Tensor = self.backbone(images)
        dropped: Tensor = self.dropout(features if self.precision == torch.float32 else features.float())
        return dropped


@contextmanager
def computing_in(model: nn.Module, precision: torch.dtype) -> Iterator[None]:
    """Within, the backbones of a model compute in this number format."""
    parts = [part for part in model.modules() if isinstance(part, Featurizer)]
    before = [part.precision for part in parts]
    for part in parts:
        part.precision = precision
    try:
        yield
    finally:
        for part, one in zip(parts, before, strict=True):
            part.precision = one


class Predictor(Featurizer):
    """Featurizer and classifier: what is averaged, evaluated and shipped."""

    def __init__(self, backbone: Any, width: int, classes: int, dropout: float):
        super().__init__(backbone, nn.Dropout(dropout))
        self.classifier = nn.Linear(width, classes)

    @property
    def width(self) -> int:
        """d, of the features."""
        return self.classifier.in_features

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, C)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class Projection(nn.Module):
    """Into the teacher's space: with a text embedding of any class name it makes a classifier of what the student sees."""

    def __init__(self, projector: nn.Module, log_scale: Tensor):
        super().__init__()
        self.projector = projector
        self.log_scale = log_scale if isinstance(log_scale, nn.Parameter) else nn.Parameter(log_scale, False)


class Shipped(nn.Module):
    """A predictor and, where its method taught one, a projection: averaged together, kept together."""

    def __init__(self, predictor: nn.Module, projection: Projection | None):
        super().__init__()
        self.predictor = predictor
        self.projection = projection

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, C), the predictor's."""
        logits: Tensor = self.predictor(images)
        return logits

    def parts(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Copies of the predictor's tensors and of the projection's, which are none where there is no projection."""
        both = [part.state_dict() if part else {} for part in (self.predictor, self.projection)]
        predictor, projection = ({name: tensor.clone() for name, tensor in state.items()} for state in both)
        return predictor, projection


class Student(nn.Module):
    """A predictor with what only training needs: projector and learnable log scale."""

    def __init__(self, predictor: Predictor, projector: nn.Module, *, freeze_statistics: bool):
        super().__init__()
        self.predictor = predictor
        self.projector = projector
        self.log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))
        self.freeze_statistics = freeze_statistics

    def forward(self, images: Tensor) -> Outputs:
        """(B, 3, H, W) → features (B, d), logits (B, C), embeddings (B, D), log scale ()."""
        features = self.predictor.features(images)
        return Outputs(features, self.predictor.classifier(features), self.projector(features), self.log_scale)

    def train(self, mode: bool = True) -> "Student":
        super().train(mode)
        if self.freeze_statistics:
            for norm in batch_norms(self):
                norm.eval()
        return self

    def computed_as(self, compute: Compute) -> None:
        """From now on; no weight changes its value."""
        self.predictor.precision = compute.precision
        if compute.channels_last:
            self.predictor.backbone.to(memory_format=torch.channels_last)
        if compute.compiled:
            self.predictor.backbone.compile()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Keeps s in [0, ln 100], as CLIP's."""
        self.log_scale.clamp_(0, MAX_LOG_SCALE)
