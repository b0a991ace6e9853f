"""A predictor without a trained classifier: the class whose text is nearest to the projected features."""

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.student.model import Featurizer, Student


class EmbeddingPredictor(Featurizer):
    """Pictures → exp(s) · cosine between projected features and the unit class embeddings `text` (C, D): (B, C)."""

    text: Tensor
    log_scale: Tensor

    def __init__(self, student: Student, projector: nn.Module, text: Tensor, log_scale: Tensor) -> None:
        super().__init__(student.predictor.backbone, student.predictor.dropout)
        self.precision = student.predictor.precision
        self.projector = projector
        self.register_buffer("text", text)
        if isinstance(log_scale, nn.Parameter):
            self.log_scale = log_scale
        else:
            self.register_buffer("log_scale", log_scale)

    def forward(self, images: Tensor) -> Tensor:
        embeddings = self.projector(self.features(images))
        return self.log_scale.exp() * F.normalize(embeddings, dim=1) @ self.text.T
