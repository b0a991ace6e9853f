"""The student as it is shipped to other runtimes: uint8 pictures of its size in, logits out, normalisation inside."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pipeline.finished.student import FinishedStudent


class Deployed(nn.Module):
    """(B, size, size, 3) uint8 → (B, C)."""

    mean: Tensor
    std: Tensor

    def __init__(self, student: FinishedStudent) -> None:
        super().__init__()
        numbers = student.card.preprocessing.normalise
        self.predictor = student.shipped.predictor
        self.register_buffer("mean", torch.tensor(numbers.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(numbers.std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Prepared as in training, to the last operation."""
        pictures = images.permute(0, 3, 1, 2).float() / 255
        logits: Tensor = self.predictor((pictures - self.mean) / self.std)
        return logits


def program(student: FinishedStudent) -> ExportedProgram:
    """For batches of any size."""
    example = torch.zeros(2, student.size, student.size, 3, dtype=torch.uint8)
    shapes = {"images": {0: Dim("batch")}}
    return torch.export.export(Deployed(student).eval(), (example,), dynamic_shapes=shapes, strict=False)


def write(traced: ExportedProgram, classes: Sequence[str], file: Path) -> None:
    """As `torch.export.load` reads it, with `classes` among its extra files."""
    torch.export.save(traced, file, extra_files={"classes": json.dumps(list(classes))})
