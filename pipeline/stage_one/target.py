"""Where a cache is built, and what already stands there: the same cache, its image pass, or nothing of use."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.cache import ledger, reader, writer
from pipeline.cache.files import PARTIAL, STAGED, building, remove_folder, walk
from pipeline.cache.identity import first_difference, image_part
from pipeline.cache.metadata import Attributes
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row
from pipeline.cache.verify import Fault, visible_faults
from pipeline.errors import CacheError


@dataclass(frozen=True)
class Target:
    """The folder to write to, and the rows, views, block size and codec chain that the cache in it shall have.

    `found` tells what stands; a cache that is begun anew starts as a copy of the image pass of `source`, where there is one.
    """

    folder: Path
    rows: list[Row]
    views: int
    block: int
    chain: str
    found: str
    begun: bool
    source: TeacherCache | None = None


def choose(folder: Path, identity: dict[str, Any], rows: list[Row], views: int, block: int, chain: str) -> Target:
    """Goes on in `folder` where its cache is of this identity; else builds beside it. Writes nothing.

    A cache comes into `folder` when it is whole: DVC's checkouts remove what lies there and is not in `dvc.lock`. Rows are
    only appended, and a cache keeps its block size, its codec chain, and the rows and views that a block has begun.
    """
    old, beside = _opened(folder), building(folder)
    begun = _usable(beside)
    if old is None:
        if begun and begun.identity == identity:
            return _extended(begun, rows, views, f"{folder}: an unfinished cache, in {beside}, goes on")
        return Target(beside, rows, views, block, chain, f"{folder}: a new cache", False)
    if old.identity == identity:
        there = {row.id for row in old.rows}
        listed = sum(row.id in there for row in rows)
        return _extended(old, rows, views, f"{folder}: {listed} of {len(rows)} samples listed")
    difference = first_difference(old.identity, identity)
    only_text = image_part(old.identity) == image_part(identity)
    found = (
        f"{folder}: only the text differs ({difference}); no image needs the teacher again"
        if only_text
        else f"{folder}: another cache is built beside it, as {difference}"
    )
    if begun and begun.identity == identity:
        return _extended(begun, rows, views, found)
    if only_text:
        wider = _extended(old, rows, views, found)
        return replace(wider, folder=beside, begun=False, source=old)
    return Target(beside, rows, views, block, chain, found, False)


def standing(folder: Path, rows: list[Row], attributes: Attributes, found: str = "") -> Target:
    """A cache in use that keeps what it says of itself."""
    return Target(folder, rows, attributes.views, attributes.block, attributes.codec, found, begun=True)


def recover(folder: Path) -> None:
    """After a kill, whatever it interrupted: no half-done switch, no file that waits for a decision."""
    writer.finish_switch(folder)
    for place in (folder, building(folder)):
        ledger.recover(place)


def prepare(target: Target, folder: Path) -> list[Fault]:
    """Clears what is of no use and copies what is; returns what a look at a cache in use finds wrong with it."""
    if target.begun:
        return visible_faults(reader.open_any(target.folder))
    for place in (folder, target.folder):
        _require_nothing_else(place)
    remove_folder(building(folder))
    remove_folder(target.folder)
    if target.source:
        writer.copy_image_pass(target.source, target.folder)
    return []


def _require_nothing_else(folder: Path) -> None:
    """Raises CacheError where what shall make room for a cache holds anything but one."""
    for path, _ in walk(folder):
        if not ledger.belongs(path.removesuffix(PARTIAL).removesuffix(STAGED)):
            raise CacheError(f"{folder / path}: no file of the teacher cache that belongs here; move it elsewhere")


def _usable(folder: Path) -> TeacherCache | None:
    """What was begun beside a cache; where it is damaged, it is begun anew."""
    with suppress(CacheError):
        return _opened(folder)
    return None


def _opened(folder: Path) -> TeacherCache | None:
    return reader.open_any(folder) if reader.exists(folder) else None


def _extended(begun: TeacherCache, rows: list[Row], views: int, found: str) -> Target:
    # A run that was to extend the cache may have been stopped between its head and its first block. Rows and views that only
    # the head names bind nobody: their images may be gone again. What a block has begun with stays.
    count, seen = begun.listed()
    kept = begun.rows[:count]
    known = {row.id for row in kept}
    new = [row for row in rows if row.id not in known]
    return replace(standing(begun.folder, [*kept, *new], begun.attributes, found), views=max(views, seen))
