"""The student's pictures by (row, view): drawn when they are asked for, or taken from a store that was rendered once."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.samples.loading import Loader
from pipeline.views.render import render, squash


class Maker(Protocol):
    """Makes the pictures of an order in whatever process it is sent to: it holds paths, never arrays of the data set's size."""

    def __getitem__(self, order: Any) -> np.ndarray:
        """(B, size, size, 3) uint8."""
        ...


class Pictures(Protocol):
    """View 0 is squashed to the size, the others are rendered as recorded."""

    @property
    def maker(self) -> Maker: ...

    def order(self, rows: np.ndarray, views: np.ndarray) -> Any:
        """(B,), (B,) → all that a maker must be told."""
        ...

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        """(B,), (B,) → (B, size, size, 3) uint8, made here."""
        ...


class Drawer:
    """(rows, views, numbers) → pictures, decoded and rendered. A row that stands several times in turn is decoded once."""

    def __init__(self, load: Loader, size: int) -> None:
        self.load, self.size = load, size

    def __getitem__(self, order: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        pictures: list[np.ndarray] = []
        before = None
        for row, view, numbers in zip(*order, strict=True):
            if row != before:
                image, before = self.load(int(row)), row
            pictures.append(render(image, numbers, self.size) if view else squash(image, self.size))
        return np.stack(pictures)


class DrawnPictures:
    """Pictures drawn when they are asked for: `numbers` (N, V, columns) holds every view of every row."""

    def __init__(self, load: Loader, numbers: np.ndarray, size: int) -> None:
        self.load, self.numbers, self.size = load, numbers, size
        self.maker = Drawer(load, size)

    def order(self, rows: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return rows, views, self.numbers[rows, views]

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        return self.maker[self.order(rows, views)]


class MappedArray:
    """Picks (rows, views) from a file of pictures, mapped anew in each process that it is sent to: a map pickles by value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array: np.ndarray | None = None

    def __getitem__(self, order: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        if self._array is None:
            self._array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return np.asarray(self._array[order])

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_array": None}


class StoredPictures:
    """Pictures of a store: `places` (N,) tells where each row of the cache lies in its file."""

    def __init__(self, path: Path, places: np.ndarray) -> None:
        self.places = places
        self.maker = MappedArray(path)

    def order(self, rows: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.places[rows], views

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        return self.maker[self.order(rows, views)]


class _Either:
    """Takes orders for stored clean pictures and for drawn ones."""

    def __init__(self, clean: Maker, drawn: Maker) -> None:
        self._makers = {"clean": clean, "drawn": drawn}

    def __getitem__(self, order: tuple[str, Any]) -> np.ndarray:
        which, one = order
        return self._makers[which][one]


class CleanStored:
    """Clean pictures, which every evaluation asks for, from a store; others drawn when they are asked for."""

    def __init__(self, clean: StoredPictures, drawn: DrawnPictures) -> None:
        self.clean, self.drawn = clean, drawn
        self.maker = _Either(clean.maker, drawn.maker)

    def order(self, rows: np.ndarray, views: np.ndarray) -> tuple[str, Any]:
        return ("drawn", self.drawn.order(rows, views)) if views.any() else ("clean", self.clean.order(rows, views))

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        return self.maker[self.order(rows, views)]


def stored_views(rows: int, views: int, size: int, max_gb: float) -> int:
    """How many of the views are to be stored: all, the clean one, at which every evaluation looks, or none."""
    return next((count for count in (views, 1) if gigabytes(rows, count, size) <= max_gb), 0)


def gigabytes(rows: int, views: int, size: int) -> float:
    """What a store of so many pictures takes."""
    return rows * views * size * size * 3 / 1e9
