"""Settings → a student: what it is (`student.model`) is known without timm, which takes as long to import as torch."""

from collections.abc import Callable

import torch
from torch import nn

from pipeline.student import backbone
from pipeline.student.model import Predictor, Student
from pipeline.student.settings import ModelSettings


def build(settings: ModelSettings, *, classes: int, embedding: int, size: int, seed: int) -> Student:
    """A student whose new weights depend on `seed` alone, so that all methods of a trial start equal.

    Raises InputError where there is no such backbone, or its weights are not to be had (`backbone.build`).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, width = backbone.build(settings.backbone, settings.pretrained, size)
        predictor = Predictor(network, width, classes, settings.dropout)
        head: nn.Module = nn.Linear(width, embedding, bias=False)
        if settings.projector == "mlp":
            head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, embedding, bias=False))
    return Student(predictor, head, freeze_statistics=settings.batch_norm == "frozen")


def others(settings: ModelSettings, size: int) -> Callable[[int, int], Student]:
    """(answers, seed) → one more student of the same starting weights, with other heads, in training mode."""
    return lambda answers, seed: build(settings, classes=answers, embedding=1, size=size, seed=seed).train()
