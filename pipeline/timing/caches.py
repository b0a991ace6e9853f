"""What reading a teacher cache costs beside doing without its checks and its format, and what its checks add to writing it."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from pipeline.cache import reader
from pipeline.cache.layout import VIEW_ARRAYS, Shape
from pipeline.cache.reader import THREADS
from pipeline.cache.writer import Work
from pipeline.timing.made_up import begun
from pipeline.timing.rounds import Comparison, alternate
from pipeline.views.distribution import COLUMNS

SAMPLES = 8192
# Of DomainNet's classes, and of as many as the default data set has, whose chunks are small.
CLASSES = (345, 20)
# Rows of a step, and steps in a round.
DRAWN, STEPS = 96, 20
WANTED = {"rows mapped / rows of a NumPy array": 1.2, "a column checked / SHA-256 alone": 1.43}


def compared(folder: Path, rounds: int) -> Iterator[Comparison]:
    """Writes and reads in a temporary folder below `folder`, some 500 MB; all warm."""
    folder.mkdir(parents=True, exist_ok=True)
    for classes in CLASSES:
        with tempfile.TemporaryDirectory(dir=folder) as room:
            yield _compared(Path(room), classes, rounds)


def _compared(room: Path, classes: int, rounds: int) -> Comparison:
    shape = Shape(SAMPLES, views=9, classes=classes, prompts=1, embedding=512, columns=len(COLUMNS), block=1024)
    random = np.random.default_rng(0)
    arrays = {name: random.integers(0, 200, spec.shape(shape)).astype(spec.dtype) for name, spec in VIEW_ARRAYS.items()}
    made = _Made(room, shape, arrays)
    cache = reader.open_complete(room / "cache")
    sides = {
        "a column checked": lambda: cache.rows_of("logits"),
        "SHA-256 alone": made.hashed,
        "rows mapped": made.steps_of(cache.rows_of("logits")),
        "rows of a NumPy array": made.steps_of(arrays["logits"]),
        "one step by Zarr's indexing": made.by_zarr,
        "one step from Parquet": made.by_parquet,
        "written, checked": lambda: _write(room / "ours", shape, arrays),
        "written by Zarr alone": lambda: _write_plain(room / "plain", shape, arrays),
    }
    setting = {
        "what": "a teacher cache",
        "samples": shape.samples,
        "views": shape.views,
        "classes": classes,
        "bytes": sum(values.nbytes for values in arrays.values()),
        "bytes of the column": arrays["logits"].nbytes,
        "threads": THREADS,
        "rows a step": DRAWN,
        "steps a round": STEPS,
        "rounds": rounds,
    }
    pairs = {
        "rows mapped / rows of a NumPy array": ("rows mapped", "rows of a NumPy array"),
        "a column checked / SHA-256 alone": ("a column checked", "SHA-256 alone"),
        "written, checked / by Zarr alone": ("written, checked", "written by Zarr alone"),
    }
    return alternate(setting, sides, pairs, rounds, WANTED)


@dataclass(frozen=True)
class _Made:
    """One content as a cache, as a Zarr array, as a Parquet file with a row a sample, and in memory."""

    room: Path
    shape: Shape
    arrays: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        _write(self.room / "cache", self.shape, self.arrays)
        _write_plain(self.room / "zarr", self.shape, self.arrays)
        logits = self.arrays["logits"]
        flat = pa.array(logits.reshape(-1), pa.float16())
        rows = pa.FixedSizeListArray.from_arrays(flat, logits[0].size)
        pq.write_table(pa.table({"logits": rows}), self.room / "rows.parquet", row_group_size=self.shape.block)

    def hashed(self) -> None:
        """The bytes of a column, in memory, by as many threads as check a column."""
        chunks = np.split(self.arrays["logits"], self.shape.blocks)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda chunk: hashlib.sha256(chunk).digest(), chunks))

    def steps_of(self, column: Any) -> Callable[[], None]:
        """Rows of some steps, drawn as training draws them."""

        def run() -> None:
            random = np.random.default_rng(1)
            for _ in range(STEPS):
                column[self._drawn(random)]

        return run

    def by_zarr(self) -> None:
        """Rows of a step."""
        array = zarr.open_group(self.room / "zarr", mode="r")["logits"]
        assert isinstance(array, zarr.Array)
        rows, views = self._drawn(np.random.default_rng(1))
        array.vindex[rows[:, None], views[:, None], np.arange(self.shape.classes)]

    def by_parquet(self) -> None:
        """Rows of a step: of each its row group is read."""
        file = pq.ParquetFile(self.room / "rows.parquet")
        rows, views = self._drawn(np.random.default_rng(1))
        groups = sorted({int(row) // self.shape.block for row in rows})
        read = file.read_row_groups(groups, use_threads=False)["logits"].combine_chunks().flatten()
        values = read.to_numpy(zero_copy_only=False).reshape(-1, self.shape.views, self.shape.classes)
        at = np.searchsorted(groups, rows // self.shape.block) * self.shape.block + rows % self.shape.block
        values[at, views]

    def _drawn(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return random.integers(self.shape.samples, size=DRAWN), random.integers(self.shape.views, size=DRAWN)


def _write(folder: Path, shape: Shape, arrays: dict[str, np.ndarray]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    cache = begun(folder, shape)
    for block in range(shape.blocks):
        span = slice(block * shape.block, (block + 1) * shape.block)
        work = Work(block, 0, tuple(range(shape.views)), tuple(arrays))
        cache.write(work, {name: values[span] for name, values in arrays.items()})


def _write_plain(folder: Path, shape: Shape, arrays: dict[str, np.ndarray]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    group = zarr.create_group(folder)
    for name, values in arrays.items():
        chunks = VIEW_ARRAYS[name].chunk(shape)
        array = group.create_array(name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=None)
        for start in range(0, shape.samples, shape.block):
            array[start : start + shape.block] = values[start : start + shape.block]
