"""Pictures made by worker processes, in order: decoding and drawing run beside whoever consumes them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import ResourceError, ScmdError
from pipeline.views.draw import Distribution, draw
from pipeline.views.render import render


class Load(Protocol):
    """Row → its image; `key` names where it lies."""

    def __call__(self, row: int) -> Image.Image: ...

    def key(self, row: int) -> str: ...


class TeacherViews:
    """(row, views) → the teacher's input pixels (len(views), size, size, 3) uint8 and their numbers (len(views), 11).

    `facts` holds (id, width, height) of every row; `clean` is the teacher's own preprocessing, which makes view 0.
    """

    def __init__(
        self,
        load: Load,
        facts: Sequence[tuple[str, int, int]],
        distribution: Distribution,
        seed: int,
        size: int,
        clean: Callable[[Image.Image], np.ndarray],
    ):
        self.load, self.facts, self.distribution = load, facts, distribution
        self.seed, self.size, self.clean = seed, size, clean

    def __getitem__(self, item: tuple[int, tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        row, views = item
        image = self.load(row)
        numbers = np.stack([draw(self.distribution, self.seed, *self._drawn_from(row, view)) for view in views])
        pixels = [
            render(image, n, self.size) if view else self.clean(image) for n, view in zip(numbers, views, strict=True)
        ]
        return np.stack(pixels), numbers

    def _drawn_from(self, row: int, view: int) -> tuple[str, int, int, int]:
        sample_id, width, height = self.facts[row]
        return sample_id, view, width, height


def in_order(dataset, items: Sequence, workers: int) -> Iterator:
    """`dataset[item]` for each item, made by `workers` processes (0: in this one), in the order of `items`.

    A named error in a worker is raised here as it was there. Where the system kills a worker, torch raises RuntimeError
    from its signal handler, wherever this process then is.
    """
    loader = DataLoader(
        _Guarded(dataset),
        batch_size=None,
        sampler=items,
        num_workers=workers,
        collate_fn=_as_made,
        # Spawned, as a forked copy of a process with an OpenMP pool may hang in its first parallel operation.
        multiprocessing_context="spawn" if workers else None,
    )
    for made in loader:
        if isinstance(made, ScmdError):
            raise made
        yield made


class _Guarded(Dataset):
    """Hands named errors over as values: DataLoader would wrap them in a worker's traceback."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitem__(self, item):
        try:
            return self.dataset[item]
        except ScmdError as error:
            return error
        except MemoryError:
            return ResourceError("out of memory while an image was drawn; set fewer `workers`")


def _as_made(item):
    return item
