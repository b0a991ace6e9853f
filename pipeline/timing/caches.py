"""What the ledger's checks cost, beside plain Zarr on one made-up cache."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from pipeline.cache import metadata, reader, verify
from pipeline.cache.files import read_file
from pipeline.cache.layout import VIEW_ARRAYS, Shape, place_of
from pipeline.cache.ledger import Entry
from pipeline.cache.origin import Origins
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row
from pipeline.cache.writer import Work, Writer
from pipeline.views.distribution import COLUMNS

SHAPE = Shape(samples=8192, views=9, classes=20, prompts=1, embedding=512, columns=len(COLUMNS), block=1024)
TIMES = 3


def lines(folder: Path) -> Iterator[str]:
    """Writes and reads in a temporary folder below `folder`; lines with the best of three times each, warm."""
    random = np.random.default_rng(0)
    arrays = {name: random.integers(0, 200, spec.shape(SHAPE)).astype(spec.dtype) for name, spec in VIEW_ARRAYS.items()}
    size, features = sum(values.nbytes for values in arrays.values()), arrays["image_features"].nbytes
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as room:
        ours, plain = Path(room) / "ours", Path(room) / "plain"
        written, plainly = _best(lambda: _write(ours, arrays)), _best(lambda: _write_plain(plain, arrays))
        cache = reader.open_complete(ours)
        lines = [
            ("written, checked", size, written),
            ("written, plain Zarr", size, plainly),
            ("opened and read, checked", size, _best(lambda: _read(ours))),
            ("opened and read, plain Zarr", size, _best(lambda: _read_plain(plain))),
            ("its image features, checked", features, _best(lambda: cache.column("image_features"))),
            ("the checks alone, in memory", size, _best(partial(_check, cache, *_contents(ours)))),
        ]
    yield (
        f"{size / 1e6:.0f} MB: {SHAPE.samples} samples × {SHAPE.views} views, {SHAPE.embedding} numbers an embedding"
    )
    for what, count, took in lines:
        yield (f"{what:<28} {took:6.2f} s  {count / took / 1e9:5.2f} GB/s")
    added = (written - plainly) / (SHAPE.samples * SHAPE.views)
    yield (f"checks, syncing and ledgers add {added * 1e6:.0f} µs a picture to the build")


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _write(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    names = [str(number) for number in range(SHAPE.classes)]
    identity = {"templates": ["{}"], "classes": names, "teacher": {"embedding": SHAPE.embedding}}
    attributes = metadata.attributes(SHAPE, "raw", identity, COLUMNS, render_size=224, logit_scale=100.0)
    rows = [Row(f"{number:064x}", 1, 1) for number in range(SHAPE.samples)]
    cache = Writer(folder, SHAPE, "raw", Origins.of_cache(identity, rows, SHAPE.block), {})
    text = np.zeros((SHAPE.prompts, SHAPE.classes, SHAPE.embedding), np.float32)
    cache.write_head(attributes, rows, [names], text)
    for block in range(SHAPE.blocks):
        span = slice(block * SHAPE.block, (block + 1) * SHAPE.block)
        work = Work(block, 0, tuple(range(SHAPE.views)), tuple(arrays))
        cache.write(work, {name: values[span] for name, values in arrays.items()})


def _write_plain(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    group = zarr.create_group(folder)
    for name, values in arrays.items():
        chunks = VIEW_ARRAYS[name].chunk(SHAPE)
        array = group.create_array(name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=None)
        for start in range(0, SHAPE.samples, SHAPE.block):
            array[start : start + SHAPE.block] = values[start : start + SHAPE.block]


def _read(folder: Path) -> None:
    cache = reader.open_complete(folder)
    for name in VIEW_ARRAYS:
        cache.column(name)


def _contents(folder: Path) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """Every chunk of the arrays with a row a sample: what is listed of it, and its file."""
    files, _ = verify.listed_files(folder)
    chunks = {path: entry for path, entry in files.items() if place_of(path)}
    return chunks, {path: read_file(folder, path, entry.size) for path, entry in chunks.items()}


def _check(cache: TeacherCache, files: dict[str, Entry], contents: dict[str, bytes]) -> None:
    """SHA-256, CRC32C, sizes, and that all are numbers."""
    for path, data in contents.items():
        assert verify.check(path, data, files[path], {}, cache) is None


def _read_plain(folder: Path) -> None:
    group = zarr.open_group(folder, mode="r")
    for name in VIEW_ARRAYS:
        array = group[name]
        assert isinstance(array, zarr.Array)
        array[:]
