"""What the teacher sees: every view of an image at the teacher's size, drawn while its recorded numbers are made."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from pipeline.views.distribution import Distribution, view_numbers
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
        numbers = np.stack([view_numbers(self.distribution, self.seed, *self._drawn_from(row, view)) for view in views])
        pixels = [
            render(image, n, self.size) if view else self.clean(image) for n, view in zip(numbers, views, strict=True)
        ]
        return np.stack(pixels), numbers

    def _drawn_from(self, row: int, view: int) -> tuple[str, int, int, int]:
        sample_id, width, height = self.facts[row]
        return sample_id, view, width, height
