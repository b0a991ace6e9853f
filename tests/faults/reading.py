"""What a reader gets beside a writer: the rows of one cache, as they were written, or a sentence that blames no file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from pipeline.cache import ledger, reader
from pipeline.cache.files import read_file
from pipeline.cache.layout import VIEW_ARRAYS
from pipeline.errors import CacheError
from tests.faults import scenes, shim
from tests.faults.scenes import Scene, Verdict

# Identity's digest and columns by name.
Content = tuple[str, dict[str, np.ndarray]]


def while_written(scene: Scene, room: Path, step: int) -> Iterator[Verdict]:
    """Case 8 again: a writer does all its work between two reads of a reader, or stands still in the middle of it.

    Of a growing cache a reader gets its rows even so; one who opens it in the middle may be told that it is not finished.
    """
    contents = known(scene, room)
    replaced = scene.name not in scenes.GROWING
    reads: list[None] = []
    with _before_each_read(lambda: reads.append(None)):
        read(scene.prepare(room / "count" / "cache"))
    for at in range(0, len(reads), step):
        folder = scene.prepare(room / f"read{at}" / "cache")
        countdown = iter(range(at, -1, -1))
        with _before_each_read(
            lambda folder=folder, left=countdown: scene.work(folder) if next(left, 1) == 0 else None
        ):
            what = f"{scene.name}: work before read {at}"
            yield is_one_cache(contents, lambda folder=folder: read(folder), what, may_refuse=replaced)
    for at in range(0, scene.calls, step):
        folder = scene.prepare(room / f"call{at}" / "cache")
        old = reader.open_any(folder)
        shim.killed(lambda folder=folder: scene.work(folder), at, after=True)
        what = f"{scene.name}: opened before call {at}"
        yield is_one_cache(contents, lambda old=old: _content(old), what, may_refuse=replaced)
        what = f"{scene.name}: opened after call {at}"
        yield is_one_cache(contents, lambda folder=folder: read(folder), what, may_refuse=True)


def known(scene: Scene, room: Path) -> list[Content]:
    """What may be read: the cache before the work, where there is one, and the one after it."""
    folder = scene.prepare(room / "known" / "cache")
    before = [read(folder)] if reader.exists(folder) else []
    scene.work(folder)
    return [*before, read(folder)]


def read(folder: Path) -> Content:
    return _content(reader.open_any(folder))


def _content(cache: reader.TeacherCache) -> Content:
    columns = {array: cache.column(array) for array in VIEW_ARRAYS}
    return cache.identity_digest, {**columns, **cache.read_prompts()}


@contextmanager
def _before_each_read(act: Callable[[], None]) -> Iterator[None]:
    """Calls `act` before a reader opens a file, but not while `act` itself reads."""
    acting = False

    def reading(*arguments):
        nonlocal acting
        if not acting:
            acting = True
            try:
                act()
            finally:
                acting = False
        return read_file(*arguments)

    with mock.patch.object(ledger, "read_file", reading), mock.patch.object(reader, "read_file", reading):
        yield


def is_one_cache(contents: list[Content], read: Callable[[], Content], what: str, *, may_refuse: bool) -> Verdict:
    """Judges what `read` gives by the contents that it may have, or what it says."""
    try:
        identity, columns = read()
    except CacheError as error:
        blames = "damaged" in str(error) or "although" in str(error)
        return f"{what}: {error}" if blames or not may_refuse else None
    same = [others for name, others in contents if name == identity]
    for array, values in columns.items():
        if not any(_begins(others[array], values) for others in same):
            return f"{what}: other rows in {array}"
    return None


def _begins(whole: np.ndarray, values: np.ndarray) -> bool:
    """Whether an array is another one's first rows and views."""
    first = whole[: values.shape[0], : values.shape[1]]
    return first.shape == values.shape and bool((first == values).all())
