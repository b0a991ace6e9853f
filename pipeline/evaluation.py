"""A model on clean pictures → accuracy of every domain and split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.batches import normalise
from pipeline.views.pictures import Pictures


@dataclass(frozen=True)
class Exam:
    """All samples of a data set with what they are judged by; arrays of one length, `out` the split."""

    pictures: Pictures
    rows: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    out: np.ndarray
    names: Sequence[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@torch.inference_mode()
def predict(model: nn.Module, exam: Exam, device: torch.device, batch: int = 256) -> np.ndarray:
    """(samples,) int64: the class of the largest logit for each clean picture (view 0)."""
    model.eval()
    answers = []
    for start in range(0, len(exam.rows), batch):
        rows = exam.rows[start : start + batch]
        pixels = exam.pictures.take(rows, np.zeros(len(rows), int))
        answers.append(model(normalise(pixels, exam.mean, exam.std).to(device)).argmax(1).cpu().numpy())
    return np.concatenate(answers)


def accuracies(right: np.ndarray, exam: Exam) -> dict[str, float]:
    """(samples,) bool → `{domain}_in` and `{domain}_out`, shares from 0 to 1 (DomainBed's records); no key for an empty split."""
    shares = {}
    for index, name in enumerate(exam.names):
        for split, chosen in (("in", ~exam.out), ("out", exam.out)):
            judged = right[(exam.domains == index) & chosen]
            if len(judged):
                shares[f"{name}_{split}"] = float(judged.mean())
    return shares
