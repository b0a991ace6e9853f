"""A model on clean pictures → what it answers, and the accuracy of every domain and split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.batches import normalised

if TYPE_CHECKING:
    from pipeline.views.pictures import Pictures

BATCH = 256
# Of half precision; a network that overflows is no reason to write −∞.
LEAST = torch.finfo(torch.float16).min


@dataclass(frozen=True)
class EvaluationSet:
    """Samples of a data set with what they are judged by; arrays of one length, `out` the split.

    `rows` maps a sample to its row in the pictures, `domains` holds indices of `names`.
    """

    pictures: "Pictures"
    rows: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    out: np.ndarray
    names: Sequence[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def split(self, name: str, *, out: bool) -> np.ndarray:
        """(samples,) bool: a domain's out or in split."""
        return np.asarray((self.domains == list(self.names).index(name)) & (self.out == out))

    def deciding(self, sources: Sequence[str]) -> "EvaluationSet":
        """The out splits of the source domains alone: what the choice of a checkpoint depends on."""
        at = np.flatnonzero(np.logical_or.reduce([self.split(name, out=True) for name in sources]))
        return replace(self, rows=self.rows[at], labels=self.labels[at], domains=self.domains[at], out=self.out[at])

    def orders(self) -> Iterator[Any]:
        """What a maker of its pictures must be told, for one batch after the other."""
        for start in range(0, len(self.rows), BATCH):
            rows = self.rows[start : start + BATCH]
            yield self.pictures.order(rows, np.zeros(len(rows), int))


@dataclass(frozen=True)
class Predictions:
    """Of each sample on its clean picture: `answers` (samples,) int64, `log_probabilities` (samples, C) float16, and `losses`
    (samples,) float32, the cross-entropy with the label."""

    answers: np.ndarray
    log_probabilities: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class ZeroShot:
    """What the teacher itself answers to every sample on its clean view: `answers` (samples,) int64 and their `probabilities`
    (samples,) float16."""

    answers: np.ndarray
    probabilities: np.ndarray


def zero_shot(logits: np.ndarray) -> ZeroShot:
    """(samples, C) logits of clean views → the classes of the largest."""
    differences = logits.astype(np.float32)  # half precision is slow to compare, too
    answers = differences.argmax(1)
    differences -= np.take_along_axis(differences, answers[:, None], 1)
    return ZeroShot(answers, (1 / np.exp(differences, out=differences).sum(1)).astype(np.float16))


@torch.inference_mode()
def predict(model: nn.Module, data: EvaluationSet, pictures: Iterator[np.ndarray], device: torch.device) -> Predictions:
    """The answer to a picture is the class of the largest logit. `pictures` are those of `data.orders()`, as they come."""
    model.eval()
    answers, log_probabilities, losses = [], [], []
    for start in range(0, len(data.rows), BATCH):
        logits = model(normalised(next(pictures), data.mean, data.std, device)).float()
        labels = torch.from_numpy(data.labels[start : start + BATCH]).to(device)
        answers.append(logits.argmax(1).cpu().numpy())
        log_probabilities.append(logits.log_softmax(1).clamp(min=LEAST).half().cpu().numpy())
        losses.append(F.cross_entropy(logits, labels, reduction="none").cpu().numpy())
    return Predictions(np.concatenate(answers), np.concatenate(log_probabilities), np.concatenate(losses))


def accuracies(right: np.ndarray, data: EvaluationSet) -> dict[str, float]:
    """(samples,) bool → `{domain}_in` and `{domain}_out`, shares from 0 to 1 (DomainBed's records); no key for an empty split."""
    shares = {}
    for name in data.names:
        for split, out in (("in", False), ("out", True)):
            judged = right[data.split(name, out=out)]
            if len(judged):
                shares[f"{name}_{split}"] = float(judged.mean())
    return shares


def counted(times: np.ndarray, data: EvaluationSet, classes: int) -> tuple[dict[str, int], list[int]]:
    """(samples,) how often something was done with each → with those of each domain, and of each class by its label."""
    by_domain = np.bincount(data.domains, times, len(data.names)).astype(int)
    by_class = np.bincount(data.labels, times, classes).astype(int)
    return dict(zip(data.names, by_domain.tolist(), strict=True)), by_class.tolist()


def validation_loss(losses: np.ndarray, data: EvaluationSet, sources: Sequence[str]) -> float:
    """(samples,) → the mean over source domains of their out splits' mean loss."""
    return sum(float(losses[data.split(name, out=True)].mean()) for name in sources) / len(sources)
