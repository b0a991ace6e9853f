"""An endless stream of batches: pictures of recorded views, with the teacher's answers to those very views."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.workers import in_order
from pipeline.views.pictures import Pictures


@dataclass(frozen=True)
class Batch:
    """`images` (B, 3, H, W) normalised, `labels` (B,) int64, `teacher_logits` (B, C) float32.

    `text` is the same for every batch: the (C, D) unit class embeddings.
    """

    images: Tensor
    labels: Tensor
    teacher_logits: Tensor
    text: Tensor

    def part(self, indices: Tensor) -> "Batch":
        """The samples at (n,) indices, in their order."""
        rows = (self.images[indices], self.labels[indices], self.teacher_logits[indices])
        return Batch(*rows, self.text)

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(t.to(device, non_blocking=True) for t in vars(self).values()))


@dataclass(frozen=True)
class Outputs:
    """What the student says: `logits` (B, C), `embeddings` (B, D) in the teacher's space, `log_scale` ()."""

    logits: Tensor
    embeddings: Tensor
    log_scale: Tensor


@dataclass(frozen=True)
class Lessons:
    """Everything a batch is drawn from. `sources` holds for each source domain the samples of its in split.

    `rows` maps a sample to its row in cache and pictures; `logits` is (N, V, C) float16 and `text` (C, D) float32.
    """

    pictures: Pictures
    logits: np.ndarray
    text: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    sources: tuple[np.ndarray, ...]

    @property
    def views(self) -> int:
        return self.logits.shape[1]


def draw(
    sources: tuple[np.ndarray, ...], views: int, per_domain: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and their views for a step, (B,) each: with replacement, `per_domain` of each source (DomainBed's rule).

    A function of (seed, step): neither method, worker count nor earlier steps change it. View 0 is never drawn.
    """
    random = np.random.default_rng([seed, step])
    samples = np.concatenate([source[random.integers(len(source), size=per_domain)] for source in sources])
    return samples, random.integers(1, views, size=len(samples))


def normalise(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


class Steps:
    """Step number → batch; the same one in whatever process it is made."""

    def __init__(self, lessons: Lessons, per_domain: int, seed: int, mean: tuple[float, ...], std: tuple[float, ...]):
        self.lessons, self.per_domain, self.seed = lessons, per_domain, seed
        self.mean, self.std = mean, std
        self.text = torch.from_numpy(lessons.text)

    def __getitem__(self, step: int) -> Batch:
        lessons = self.lessons
        samples, views = draw(lessons.sources, lessons.views, self.per_domain, self.seed, step)
        rows = lessons.rows[samples]
        return Batch(
            normalise(lessons.pictures.take(rows, views), self.mean, self.std),
            torch.from_numpy(lessons.labels[samples]),
            torch.from_numpy(lessons.logits[rows, views].astype(np.float32)),
            self.text,
        )


def stream(steps: Steps, first: int, last: int, workers: int, device: torch.device) -> Iterator[Batch]:
    """The batches of steps `first` … `last` − 1, made by `workers` processes (0: in this one)."""
    for batch in in_order(steps, range(first, last), workers):
        yield batch.to(device)
