"""Where stage one builds, and what already stands there: the same cache, its image pass, or nothing of use."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache import identity as identities
from pipeline.cache import reader, writer
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row
from pipeline.progress import say


@dataclass(frozen=True)
class Site:
    """The folder to write to, and the rows, views and block size that the cache in it shall have."""

    folder: Path
    rows: list[Row]
    views: int
    block: int


def choose(folder: Path, identity: dict, rows: list[Row], views: int, block: int) -> Site:
    """Goes on in `folder` where its cache is of this identity or there is none; else builds beside it.

    Says what was found. Rows are only appended, and a cache keeps its block size and the views that it has.
    """
    beside = folder.with_name(f".{folder.name}.building")
    writer.finish_switch(folder)
    old = _opened(folder)
    if old is None or old.identity == identity:
        shutil.rmtree(beside, ignore_errors=True)
        say(f"{folder}: {len(old.rows)} of {len(rows)} samples listed" if old else f"{folder}: a new cache")
        return _extended(folder, old, rows, views, block)
    difference = identities.first_difference(old.identity, identity)
    begun = _opened(beside)
    if begun and begun.identity != identity:
        begun = None
    if begun is None:
        shutil.rmtree(beside, ignore_errors=True)
    if identities.image_part(old.identity) == identities.image_part(identity):
        say(f"{folder}: only the text differs ({difference}); no image needs the teacher again")
        if begun is None:
            writer.copy_image_pass(folder, beside, old.shape)
        return _extended(beside, begun or old, rows, views, block)
    say(f"{folder}: another cache is built beside it, as {difference}")
    return _extended(beside, begun, rows, views, block)


def _opened(folder: Path) -> TeacherCache | None:
    return reader.open_interrupted(folder) if reader.exists(folder) else None


def _extended(folder: Path, begun: TeacherCache | None, rows: list[Row], views: int, block: int) -> Site:
    if begun is None:
        return Site(folder, rows, views, block)
    known = {row.id for row in begun.rows}
    new = [row for row in rows if row.id not in known]
    return Site(folder, [*begun.rows, *new], max(views, begun.shape.views), begun.shape.block)
