"""The student as it is shipped to other runtimes: uint8 pictures of its size in, logits out, normalisation inside."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pipeline.errors import InputError, reason
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
    """For batches of any size. Raises InputError where torch cannot trace the backbone."""
    example = torch.zeros(2, student.size, student.size, 3, dtype=torch.uint8)
    try:
        return torch.export.export(
            Deployed(student).eval(), (example,), dynamic_shapes={"images": {0: Dim("batch")}}, strict=False
        )
    except Exception as error:
        # Tracing lets through whatever a network's own code does.
        raise InputError(
            f"{student.folder}: torch.export cannot trace `{student.card.student['model']['backbone']}` for batches of any size "
            f"({type(error).__name__}: {reason(error)}); use its safetensors with timm"
        ) from error


def write(traced: ExportedProgram, file: Path) -> None:
    """As `torch.export.load` reads it."""
    torch.export.save(traced, file)
