"""Is every file of a cache the one that its ledger lists? All of it is read, and every fault named."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache import chunks, documents, ledger, reader
from pipeline.cache.files import read_file, sha256, walk
from pipeline.cache.layout import HEAD_FILES, head_files, is_head_file, most_bytes, place_of
from pipeline.cache.ledger import HEAD, Entry, Ledger
from pipeline.cache.reader import TeacherCache
from pipeline.errors import CacheError


@dataclass(frozen=True)
class Fault:
    """A file of a cache, by its path in it, and what is wrong with it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def listed_files(folder: Path) -> tuple[dict[str, Entry], list[Fault]]:
    """Every file that the ledgers of a cache list, and the ledgers that are damaged or missing."""
    files: dict[str, Entry] = {}
    faults = []
    for name in _ledger_names(folder):
        path = ledger.path_of(name)
        try:
            here = ledger.read(folder, name).files
        except CacheError as error:
            faults.append(Fault(path, _reason(error)))
            continue
        files |= here
    return files, faults


def _ledger_names(folder: Path) -> list[str]:
    return [HEAD, *block_names(folder)]


def block_names(folder: Path) -> list[str]:
    """The ledgers of blocks that stand in the ledger folder, in the order of the blocks."""
    try:
        found = [name.removesuffix(".json") for name in os.listdir(folder / "ledger") if name.endswith(".json")]
    except OSError:
        found = []
    return sorted((name for name in found if name.isdecimal()), key=int)


def visible_faults(cache: TeacherCache) -> list[Fault]:
    """What a look at the folder tells, without reading arrays: ledgers that are damaged or another cache's, files that are
    missing or have not the listed size."""
    folder = cache.folder
    files, faults = listed_files(folder)
    faults += blocks_of_other_caches(cache)
    sizes = {path: state.st_size for path, state in walk(folder) if stat.S_ISREG(state.st_mode)}
    return faults + [fault for path, entry in files.items() if (fault := _misfit(path, entry, sizes.get(path)))]


def blocks_of_other_caches(cache: TeacherCache) -> Iterator[Fault]:
    """Blocks that are whole, but of another cache: their ledgers, as nothing that those list counts here."""
    for block, listed in _readable_ledgers(cache):
        if what := listed.why_foreign(block, cache.origins):
            yield Fault(ledger.path_of(ledger.name_of(block)), f"of another cache: {what}")


def confirmed_blocks(cache: TeacherCache) -> Iterator[int]:
    """Blocks whose ledgers say that they are of this cache."""
    for block, listed in _readable_ledgers(cache):
        if listed.origin and not listed.why_foreign(block, cache.origins):
            yield block


def _of_other_text(cache: TeacherCache) -> Iterator[Fault]:
    for _, listed in _readable_ledgers(cache):
        for path in listed.stale_logits(cache.text):
            yield Fault(path, "follows from other text embeddings than this cache's: stale")


def _readable_ledgers(cache: TeacherCache) -> Iterator[tuple[int, Ledger]]:
    """(block, its ledger) of blocks that have begun."""
    for block in range(cache.shape.blocks):
        with suppress(CacheError):
            listed = ledger.read(cache.folder, ledger.name_of(block))
            if listed.files:
                yield block, listed


def _misfit(path: str, entry: Entry, size: int | None) -> Fault | None:
    if size is None:
        return Fault(path, "missing")
    if size == entry.size:
        return None
    return Fault(path, f"{'cut short' if size < entry.size else 'too long'}: {size:,} bytes, {entry.size:,} are listed")


def check(
    path: str, data: bytes, entry: Entry, by_digest: Mapping[str, str], cache: TeacherCache | None
) -> Fault | None:
    """One file's content against its entry. `by_digest` tells which file a content belongs to."""
    digest = sha256(data)
    if len(data) == entry.size and digest == entry.sha256:
        return _unreadable(path, data, cache)
    if digest in by_digest:
        return Fault(path, f"holds what {by_digest[digest]} should (swapped or duplicated)")
    if len(data) != entry.size:
        return _misfit(path, entry, len(data))
    if cache and place_of(path) and _unreadable(path, data, cache) is None:
        return Fault(path, "whole, but not the one that is listed: stale, of another run")
    return Fault(path, "damaged: not the bytes that are listed")


def _unreadable(path: str, data: bytes, cache: TeacherCache | None) -> Fault | None:
    """What a reader would refuse although the ledger lists it."""
    place = place_of(path)
    if cache is None or place is None or place[1] >= cache.shape.blocks:
        return None
    try:
        chunks.decoded(data, cache.shape, cache.attributes.codec, *place)
    except CacheError as error:
        return Fault(path, _reason(error))
    return None


def faults(folder: Path) -> Iterator[Fault]:
    """Everything that is wrong with a cache, complete or not, file by file.

    Raises CacheError where there is no cache at all.
    """
    reader.require(folder)
    files, broken = listed_files(folder)
    yield from broken
    by_digest = {entry.sha256: path for path, entry in files.items()}
    cache, head_fault = None, None
    try:
        cache = reader.from_head(folder, {path: entry for path, entry in files.items() if is_head_file(path)})
        cache.read_prompts()
    except CacheError as error:
        head_fault = _reason(error)
    named = set()
    for path, entry in files.items():
        try:
            limit = max(most_bytes(path, cache.shape if cache else None), documents.LIMIT)
            fault = check(path, read_file(folder, path, limit), entry, by_digest, cache)
        except FileNotFoundError:
            fault = Fault(path, "missing")
        except CacheError as error:
            fault = Fault(path, _reason(error))
        if fault:
            named.add(path)
            yield fault
    head = ledger.path_of(HEAD)
    if all(fault.path != head for fault in broken):
        if not (folder / head).exists():
            yield Fault(head, "missing")
        elif lacking := HEAD_FILES - files.keys():
            yield Fault(head, f"does not list {min(lacking)}, which every cache has")
        elif head_fault and not any(map(is_head_file, named)):
            yield Fault(head, head_fault)
    if cache:
        yield from blocks_of_other_caches(cache)
        yield from _of_other_text(cache)
        yield from _beyond(cache, files)
    yield from _strays(folder, files, broken)


def _beyond(cache: TeacherCache, files: Mapping[str, Entry]) -> Iterator[Fault]:
    """Chunks that are listed for blocks, views or rows that the head does not have."""
    for path, entry in files.items():
        if place := place_of(path):
            _, block, view = place
            if block >= cache.shape.blocks or view >= cache.shape.views or entry.rows > cache.shape.rows(block):
                yield Fault(path, "listed, but beyond the blocks, views or rows that this cache has")
        elif path not in head_files(cache.shape) and is_head_file(path):
            yield Fault(path, "listed, but this cache's identity has no such prompts")


def strays(folder: Path) -> Iterator[Fault]:
    """What lies in the folder and is named by no ledger, and what is no plain file."""
    yield from _strays(folder, *listed_files(folder))


def _strays(folder: Path, files: Mapping[str, Entry], broken: list[Fault]) -> Iterator[Fault]:
    undecided = {fault.path for fault in broken}
    ledgers = {ledger.path_of(name) for name in _ledger_names(folder)}
    for path, state in walk(folder):
        if path in ledgers:
            if not stat.S_ISREG(state.st_mode):
                yield Fault(path, "a link or no plain file; a cache holds its own files only")
        elif path not in files and _ledger_of(path) not in undecided:
            yield Fault(path, "named by no ledger: no file of this cache")


def _ledger_of(path: str) -> str | None:
    """The ledger that would list a file of this name."""
    if is_head_file(path):
        return ledger.path_of(HEAD)
    place = place_of(path)
    return ledger.path_of(ledger.name_of(place[1])) if place else None


def _reason(error: CacheError) -> str:
    """An error's sentence without the path that it begins with."""
    return str(error).split(": ", 1)[-1]
