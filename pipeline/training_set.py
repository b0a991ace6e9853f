"""Step number → batch: pictures of recorded views, with the teacher's answers to those very views."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.batches import Batch, normalised
from pipeline.engine.device import on_device
from pipeline.engine.workers import in_order
from pipeline.views.pictures import Pictures


class Column(Protocol):
    """`column[rows, views]` (b,) each → (b, width)."""

    def __getitem__(self, place: Any) -> Any: ...


@dataclass(frozen=True)
class TrainingSet:
    """Everything a batch is drawn from. `sources` holds for each source domain the samples of its in split.

    `rows` (samples,) maps a sample to its row in cache and pictures, `views` counts the clean one, which is never drawn.
    `answers` (N, V, width) and `shared` by name are what the method needs of the cache, `of_samples` (samples,) what it needs to
    know of each sample: fields of `Batch`.
    A step takes `per_domain` samples of each source. `mean` and `std` are the student's, of its three channels.
    """

    pictures: Pictures
    rows: np.ndarray
    labels: np.ndarray
    sources: tuple[np.ndarray, ...]
    views: int
    answers: Mapping[str, Column]
    shared: Mapping[str, Tensor]
    of_samples: Mapping[str, np.ndarray]
    needs: frozenset[str]
    per_domain: int
    seed: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def drawn(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples and their views for a step, (B,) each: with replacement, as many of each source (DomainBed's rule).

        A function of (seed, step): neither method, worker count nor earlier steps change it.
        """
        random = np.random.default_rng([self.seed, step])
        picked = [source[random.integers(len(source), size=self.per_domain)] for source in self.sources]
        samples = np.concatenate(picked)
        return samples, random.integers(1, self.views, size=len(samples))

    def order(self, step: int) -> Any:
        """What a maker of its pictures must be told for a step."""
        samples, views = self.drawn(step)
        return self.pictures.order(self.rows[samples], views)

    def batches(self, steps: Iterable[int], pictures: Iterable[np.ndarray], device: torch.device) -> Iterator[Batch]:
        """The batches of some steps, of whose orders `pictures` are what was made, as they come."""
        shared = {name: tensor.to(device) for name, tensor in self.shared.items()}
        for step, made in zip(steps, pictures, strict=True):
            yield self._batch(step, made, shared, device)

    def _batch(self, step: int, pixels: np.ndarray, shared: Mapping[str, Tensor], device: torch.device) -> Batch:
        samples, views = self.drawn(step)
        rows = self.rows[samples]
        fields = {"labels": self.labels[samples], "rows": samples}
        fields |= {name: values[samples] for name, values in self.of_samples.items()}
        fields |= {name: column[rows, views].astype(np.float32) for name, column in self.answers.items()}
        if "domains" in self.needs:
            fields["domains"] = np.repeat(np.arange(len(self.sources)), self.per_domain)
        tensors = {name: on_device(values, device) for name, values in fields.items()}
        return Batch(images=normalised(pixels, self.mean, self.std, device), **tensors, **shared)

    def stream(self, first: int, last: int, workers: int, device: torch.device) -> Iterator[Batch]:
        """The batches of steps `first` … `last` − 1; their pictures are made by `workers` processes (0: in this one)."""
        steps = range(first, last)
        yield from self.batches(steps, in_order(self.pictures.maker, map(self.order, steps), workers), device)
