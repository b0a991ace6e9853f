"""All views of a data set at the student's size: rendered once into a memory map, or as they are asked for."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.engine.workers import in_order
from pipeline.errors import InputError
from pipeline.progress import track
from pipeline.samples.loading import Loader
from pipeline.views.render import render, squash


class Pictures(Protocol):
    """Student pictures by (row, view): view 0 squashed to the size, the others as recorded."""

    size: int

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        """(B,), (B,) → (B, size, size, 3) uint8."""
        ...


class DrawnPictures:
    """Pictures drawn when they are asked for: `numbers` (N, V, 11) holds every view of every row."""

    def __init__(self, load: Loader, numbers: np.ndarray, size: int):
        self.load, self.numbers, self.size = load, numbers, size

    def __getitem__(self, row: int) -> np.ndarray:
        """(V, size, size, 3) uint8: every view of a row, its image decoded once; black where the image is gone."""
        if self.load.samples[row] is None:
            return np.zeros((self.numbers.shape[1], self.size, self.size, 3), np.uint8)
        image = self.load(row)
        drawn = [render(image, numbers, self.size) for numbers in self.numbers[row, 1:]]
        return np.stack([squash(image, self.size), *drawn])

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        return np.stack([self._one(int(row), int(view)) for row, view in zip(rows, views, strict=True)])

    def _one(self, row: int, view: int) -> np.ndarray:
        image = self.load(row)
        return render(image, self.numbers[row, view], self.size) if view else squash(image, self.size)


class StoredPictures:
    """Pictures of a memory map that `store` wrote. Raises InputError where it is not what it would write of `rendered`."""

    def __init__(self, folder: Path, cache_digest: str, rendered: DrawnPictures):
        if facts(folder)["cache"] != cache_digest:
            raise InputError(f"{folder}: rendered from another state of the teacher cache; run `scmd pixels` again")
        try:
            self.array = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise InputError(f"{folder / 'pixels.npy'}: missing or cut short; run `scmd pixels` again") from None
        if self.array.shape != _shape(rendered) or self.array.dtype != np.uint8:
            raise InputError(f"{folder / 'pixels.npy'}: not the pictures that belong here; run `scmd pixels` again")
        self.size = rendered.size

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        return self.array[rows, views]


def _shape(rendered: DrawnPictures) -> tuple[int, int, int, int, int]:
    count, views = rendered.numbers.shape[:2]
    return count, views, rendered.size, rendered.size, 3


def facts(folder: Path) -> dict:
    """What `pixels.json` says: the cache's content digest, and whether the pixels are stored beside it."""
    try:
        facts = json.loads((folder / "pixels.json").read_text())
        return {"cache": facts["cache"], "stored": facts["stored"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}: no rendered pixels here; run `scmd pixels` first") from None


def is_current(folder: Path, digest: str) -> bool:
    """Whether finished pixels of these recorded views are here."""
    return (folder / "pixels.json").is_file() and facts(folder)["cache"] == digest


def write_facts(folder: Path, cache_digest: str, *, stored: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pixels.json").write_text(json.dumps({"cache": cache_digest, "stored": stored}) + "\n")


def store(rendered: DrawnPictures, cache_digest: str, folder: Path, workers: int) -> None:
    """Renders everything into `pixels.npy`, (N, V, size, size, 3) uint8, and names the cache beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = _shape(rendered)
    count = shape[0]
    array = np.lib.format.open_memmap(folder / "pixels.partial.npy", mode="w+", dtype=np.uint8, shape=shape)
    try:
        for row, pictures in enumerate(track(in_order(rendered, range(count), workers), count, "rendering pixels")):
            array[row] = pictures
    except BaseException:
        (folder / "pixels.partial.npy").unlink()
        raise
    array.flush()
    # The facts go before the pixels that they speak of, and come back for the new ones.
    (folder / "pixels.json").unlink(missing_ok=True)
    (folder / "pixels.partial.npy").replace(folder / "pixels.npy")
    write_facts(folder, cache_digest, stored=True)
