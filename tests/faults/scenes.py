"""What is interrupted: a small cache under construction (a stand-in encodes), and a larger one, at rest, to be harmed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache import verify
from pipeline.cache.layout import TEXT_CHUNK, VIEW_ARRAYS, Shape
from pipeline.cache.ledger import Entry
from pipeline.cache.writer import Writer
from tests.cache.test_cache import ALL, MADE_BY, TEXTS, attributes, origins, rows
from tests.conftest import files
from tests.faults import shim, small

# The state before, and what is asked for: a new cache; more images and views; images that only fill the last block up;
# other drawing, so one built beside.
_WANTED: dict[str, tuple[dict | None, dict]] = {
    "new": (None, {}),
    "extended": ({}, {"count": 13, "views": 4}),
    "filled": ({}, {"count": 12}),
    "replaced": ({}, {"seed": 1}),
}
NAMES = tuple(_WANTED)
# Those in which a cache stands, and all of its rows remain.
GROWING = ("extended", "filled")
# Of a fault: None where it was survived or refused, a sentence where it went unnoticed.
Verdict = str | None
LARGE = Shape(samples=256, views=4, classes=4, prompts=2, embedding=384, columns=11, block=64)


@dataclass(frozen=True)
class Scene:
    """The work on a cache, the write-side calls that it makes, and the files that it leaves when undisturbed."""

    name: str
    calls: int
    whole: dict[str, bytes]

    def prepare(self, folder: Path) -> Path:
        """The state before the work."""
        folder.parent.mkdir(parents=True)
        before, _ = _WANTED[self.name]
        if before is not None:
            small.build(folder, **before)
        return folder

    def work(self, folder: Path) -> None:
        small.build(folder, **_WANTED[self.name][1])


def scene(name: str, room: Path) -> Scene:
    """Does the work once, undisturbed, in an empty folder."""
    unknown = Scene(name, 0, {})
    folder = unknown.prepare(room / name / "cache")
    calls = shim.count(lambda: unknown.work(folder))
    return Scene(name, calls, files(folder.parent))


def large(folder: Path, seed: int = 0) -> Path:
    """A whole cache of 64 chunks, some 0.9 MB, with random content."""
    random = np.random.default_rng(seed)
    cache = Writer(folder, LARGE, "raw", origins(LARGE), MADE_BY)
    text = random.standard_normal((LARGE.prompts, LARGE.classes, LARGE.embedding)).astype(np.float32)
    cache.write_head(attributes(LARGE, "raw"), rows(LARGE.samples), TEXTS, {TEXT_CHUNK: text})
    for work in cache.missing(ALL):
        shape = (LARGE.rows(work.block), len(work.views))
        made = {name: random.standard_normal((*shape, spec.width(LARGE))) for name, spec in VIEW_ARRAYS.items()}
        cache.write(work, {name: (50 * values).astype(VIEW_ARRAYS[name].dtype) for name, values in made.items()})
    return folder


def listed(folder: Path) -> dict[str, Entry]:
    """Every file that the ledgers of a whole cache list."""
    entries, broken = verify.listed_files(folder)
    assert not broken
    return entries
