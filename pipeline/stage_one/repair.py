"""What is damaged in a cache is computed again, and nothing else: with the rows, views, blocks and codec that it has."""

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.cache import documents, ledger, lock, metadata, reader, verify
from pipeline.cache.files import read_file, sha256
from pipeline.cache.identity import first_difference
from pipeline.cache.layout import CHAINS, ROWS, Shape, place_of
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row, read_rows, rows_file
from pipeline.errors import CacheError
from pipeline.progress import say
from pipeline.stage_one.completing import complete
from pipeline.stage_one.encoding import Engine
from pipeline.stage_one.target import Target, recover, standing
from pipeline.stage_one.task import Task


def repair(task: Task, engine: Engine) -> None:
    """Computes exactly what is harmed again; each file is replaced by its successor, none is deleted first."""
    folder = task.folder
    with lock.writing(folder):
        recover(folder)
        found = list(verify.faults(folder))
        if not found:
            say(f"{folder}: whole; nothing to repair")
            return
        for fault in found:
            say(f"{folder}: {fault}")
        harmed = {fault.path for fault in found}
        target = _mended_target(task, harmed)
        _forget_beyond(folder, task.shape(target))
        complete(task, target, harmed, engine)
        for stray in list(verify.strays(folder)):
            os.unlink(folder / stray.path)
        if left := list(verify.faults(folder)):
            raise CacheError(f"{folder}: {len(left)} faults are left, first {left[0]}")
    say(f"{folder}: whole again")


def _forget_beyond(folder: Path, shape: Shape) -> None:
    """Takes from the ledgers what lies beyond a head that is older than they are; its files are then strays."""
    for name in verify.block_names(folder):
        with suppress(CacheError):  # a damaged one is computed again
            listed = ledger.read(folder, name)
            beyond = {path for path in listed.files if (place := place_of(path)) and place[2] >= shape.views}
            kept = listed.without(beyond) if int(name) < shape.blocks else ledger.Ledger({})
            if kept != listed:
                ledger.commit(folder, name, {}, listed, kept)


def _mended_target(task: Task, harmed: set[str]) -> Target:
    """The target of a cache whose head may be harmed. Its identity and rows must be certain: chunks mean nothing without."""
    folder = task.folder
    if ledger.path_of(ledger.HEAD) in harmed:
        cache = _confirmed_by_blocks(task)
        return standing(folder, cache.rows, cache.attributes)
    head = ledger.read(folder, ledger.HEAD).files
    rows = _listed_rows(task, head[ROWS], harmed)
    if "zarr.json" in harmed:
        return _listed_target(task, head["zarr.json"], rows)
    attributes = metadata.read_group(read_file(folder, "zarr.json", documents.LIMIT), str(folder / "zarr.json"))
    _require_same(attributes.identity, task)
    return standing(folder, rows, attributes)


def _require_same(identity: dict[str, Any], task: Task) -> None:
    if difference := first_difference(identity, task.identity):
        raise CacheError(
            f"{task.folder}: {difference}; repair needs the teacher's and data set's configuration that the cache "
            "was made with"
        )


def _listed_target(task: Task, entry: ledger.Entry, rows: list[Row]) -> Target:
    """What a damaged `zarr.json` said: that which the configuration, or the blocks, give and whose file is the listed one."""
    folder, settings = task.folder, task.settings
    files, _ = verify.listed_files(folder)
    chunks = [(place, listed.rows) for path, listed in files.items() if (place := place_of(path))]
    first = max((count for (_, block, _), count in chunks if block == 0 and count), default=settings.block)
    seen = max((view + 1 for (_, _, view), _ in chunks), default=settings.views)
    for chain, block, views in itertools.product(CHAINS, {settings.block, first}, {settings.views, seen}):
        target = Target(folder, rows, views, block, chain, "", begun=True)
        written = metadata.written(task.shape(target), chain, task.attributes(target))
        if sha256(written["zarr.json"]) == entry.sha256:
            return target
    raise CacheError(
        f"{folder / 'zarr.json'}: damaged, and not what the configuration that is here gives; repair needs the "
        "configuration that the cache was made with, or restore it (`dvc checkout`)"
    )


def _listed_rows(task: Task, entry: ledger.Entry, harmed: set[str]) -> list[Row]:
    """The rows as they stand; where their file is harmed, those of the samples, if that gives the listed file."""
    path = task.folder / ROWS
    if ROWS not in harmed:
        return read_rows(read_file(task.folder, ROWS, entry.size), str(path))
    if sha256(rows_file(task.rows)) == entry.sha256:
        return task.rows
    raise CacheError(
        f"{path}: damaged, and the samples are not those that the cache began with; restore it (`dvc checkout`), or "
        "remove the cache and run `scmd teacher`"
    )


def _confirmed_by_blocks(task: Task) -> TeacherCache:
    """A cache whose head's ledger is damaged, if a block's ledger says that it was made from such rows and features."""
    folder = task.folder
    cache = reader.without_head_ledger(folder)
    _require_same(cache.identity, task)
    if not any(verify.confirmed_blocks(cache)):
        raise CacheError(
            f"{folder}: its head's ledger is damaged, and no block's ledger says that it is of these rows; restore the "
            "cache (`dvc checkout`), or remove it and run `scmd teacher`"
        )
    return cache
