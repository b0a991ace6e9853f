"""A store of the student's pictures: every recorded view at one size, rendered once, for all trials and caches of these views.

`rows.parquet` has the ids of its rows, `numbers.npy` (rows, views, columns) the numbers by which each picture was rendered (NaN
where none was), `pixels.npy` (rows, views, size, size, 3) the pictures. `rows.parquet` comes last: without it nothing counts.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from pipeline.engine.cores import processes
from pipeline.engine.workers import in_order
from pipeline.errors import InputError, ResourceError, reason
from pipeline.progress import track
from pipeline.views.pictures import DrawnPictures, StoredPictures

ROWS, NUMBERS, PIXELS = "rows.parquet", "numbers.npy", "pixels.npy"
# Rows that are copied at a time from an old store to its successor.
COPIED = 4096


@dataclass(frozen=True)
class Wanted:
    """The pictures that a cache needs: the ids of its N rows, which of their images are `there`, how `drawn` renders them."""

    ids: list[str]
    there: np.ndarray
    drawn: DrawnPictures

    @property
    def rows(self) -> np.ndarray:
        """Rows that can be rendered."""
        return np.flatnonzero(self.there)

    def first(self, views: int) -> "Wanted":
        """Of the first views alone."""
        drawn = self.drawn
        return replace(self, drawn=DrawnPictures(drawn.load, drawn.numbers[:, :views], drawn.size))


@dataclass(frozen=True)
class _Store:
    ids: list[str]
    numbers: np.ndarray
    pixels: np.ndarray


def opened(folder: Path, wanted: Wanted) -> StoredPictures:
    """Raises InputError where a picture is missing, or the files are not those of such a store."""
    store = _read(folder)
    if store is None:
        raise InputError(f"{folder}: no rendered pixels here; run `scmd pixels` first")
    places = _places(store, wanted)
    if store.pixels.shape[2:] != (wanted.drawn.size, wanted.drawn.size, 3):
        raise InputError(f"{folder / PIXELS}: not the pictures that belong here; run `scmd pixels` again")
    if _missing(store, places, wanted).any():
        raise InputError(f"{folder}: rendered from other recorded views; run `scmd pixels` again")
    return StoredPictures(folder / PIXELS, places)


def complete(folder: Path, wanted: Wanted, workers: int | None) -> int:
    """Renders what the store lacks and keeps what it has; returns how many pictures were rendered.

    Raises InputError where another process renders into the same folder of stores, ResourceError where there is no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder of stores, which DVC looks at.
    lock = FileLock(folder.parent.with_name(f".{folder.parent.name}.lock"), timeout=0)
    try:
        with lock:
            return _complete(folder, wanted, workers)
    except Timeout as error:
        raise InputError(f"{folder}: another process is rendering these pictures; wait for it") from error


def _complete(folder: Path, wanted: Wanted, workers: int | None) -> int:
    _remove_partial(folder)  # of a run that was killed
    old = _read(folder)
    if old and old.pixels.shape[2:] != (wanted.drawn.size, wanted.drawn.size, 3):
        old = None
    if old and not _missing(old, _places(old, wanted), wanted).any():
        return 0
    try:
        store = _grown(folder, old, wanted)
        places = _places(store, wanted)
        missing = _missing(store, places, wanted)
        _render(store, places, missing, wanted, workers)
        _replace(folder, store)
    finally:
        _remove_partial(folder)
    return int(missing.sum())


def _read(folder: Path) -> _Store | None:
    """What stands, or None where nothing does. Raises InputError where files do not belong together."""
    if not (folder / ROWS).is_file():
        return None
    try:
        ids = pq.read_table(folder / ROWS)["id"].to_pylist()
        numbers = np.load(folder / NUMBERS, allow_pickle=False)
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    except (pa.ArrowException, KeyError, OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{folder / PIXELS}: missing or cut short ({reason(error)}); remove {folder} and run `scmd pixels` again"
        ) from error
    if pixels.ndim != 5 or pixels.dtype != np.uint8 or pixels.shape[:2] != numbers.shape[:2] or len(ids) != len(pixels):
        raise InputError(
            f"{folder / PIXELS}: not the pictures that belong here; remove {folder} and run `scmd pixels` again"
        )
    return _Store(ids, numbers, pixels)


def _places(store: _Store, wanted: Wanted) -> np.ndarray:
    """(N,) int: where each row's pictures lie; beyond the end where its image is gone, so that none is ever taken."""
    at = {one: place for place, one in enumerate(store.ids)}
    return np.array([at.get(one, len(store.ids)) for one in wanted.ids])


def _missing(store: _Store, places: np.ndarray, wanted: Wanted) -> np.ndarray:
    """(N, V) bool: pictures of images that are there which were not rendered by the numbers that are recorded now."""
    views = wanted.drawn.numbers.shape[1]
    missing = np.zeros((len(places), views), bool)
    there = wanted.rows[places[wanted.rows] < len(store.ids)]
    missing[wanted.rows] = True
    if store.numbers.shape[2] == wanted.drawn.numbers.shape[2]:
        both = min(views, store.numbers.shape[1])
        same = (store.numbers[places[there], :both] == wanted.drawn.numbers[there, :both]).all(2)
        missing[there, :both] = ~same
    return missing


def _grown(folder: Path, old: _Store | None, wanted: Wanted) -> _Store:
    """A store with room for all that is wanted, beside the old one, with what that had."""
    _, views, columns = wanted.drawn.numbers.shape
    size = wanted.drawn.size
    ids = list(old.ids) if old else []
    known = set(ids)
    ids += [wanted.ids[row] for row in wanted.rows if wanted.ids[row] not in known]
    shape = (len(ids), max(views, old.numbers.shape[1] if old else 0))
    numbers = np.full((*shape, columns), np.nan, np.float32)
    pixels = _room_for(_partial(folder / PIXELS), (*shape, size, size, 3))
    if old and old.numbers.shape[2] == columns:
        count, seen = old.numbers.shape[:2]
        numbers[:count, :seen] = old.numbers
        for start in range(0, count, COPIED):
            end = min(start + COPIED, count)
            pixels[start:end, :seen] = old.pixels[start:end]
    return _Store(ids, numbers, pixels)


def _room_for(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A mapped file of pictures that has its room on the disk: a disk that fills under a map ends the process by a signal."""
    try:
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise ResourceError(
            f"{path.parent}: {np.prod(shape, dtype=float) / 1e6:,.1f} MB of pixels cannot be written ({reason(error)}); make "
            "room, or set a smaller `pixels.max_gb`, so that they are drawn while training"
        ) from error
    return pixels


def _render(store: _Store, places: np.ndarray, missing: np.ndarray, wanted: Wanted, workers: int | None) -> None:
    rows = np.flatnonzero(missing.any(1))
    orders = (_order(wanted.drawn, int(row), missing[row]) for row in rows)
    started = min(processes(workers, int(missing.sum())), len(rows))
    made = in_order(wanted.drawn.maker, orders, started)
    for row, pictures in zip(rows, track(made, len(rows), "rendering, samples"), strict=True):
        store.pixels[places[row], np.flatnonzero(missing[row])] = pictures
        store.numbers[places[row], : missing.shape[1]] = wanted.drawn.numbers[row]


def _order(drawn: DrawnPictures, row: int, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    views = np.flatnonzero(missing)
    return drawn.order(np.full(len(views), row), views)


def _replace(folder: Path, store: _Store) -> None:
    assert isinstance(store.pixels, np.memmap)
    store.pixels.flush()
    try:
        np.save(_partial(folder / NUMBERS), store.numbers, allow_pickle=False)
        pq.write_table(pa.table({"id": pa.array(store.ids, pa.string())}), _partial(folder / ROWS))
    except OSError as error:
        raise ResourceError(
            f"{folder}: cannot be written ({reason(error)}); make room, and run the same command again"
        ) from error
    (folder / ROWS).unlink(missing_ok=True)  # until all of the new ones stand, nothing counts
    for name in (NUMBERS, PIXELS, ROWS):
        _partial(folder / name).replace(folder / name)


def _remove_partial(folder: Path) -> None:
    for name in (NUMBERS, PIXELS, ROWS):
        _partial(folder / name).unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f"partial-{path.name}")
