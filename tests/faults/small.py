"""A small cache and a stand-in encoder: what stage one does with files, without the network and the images."""

from pathlib import Path

import numpy as np

from pipeline.cache import identity as identities
from pipeline.cache import reader
from pipeline.cache.files import sha256
from pipeline.cache.layout import IMAGE_ARRAYS, VIEW_ARRAYS, Shape
from pipeline.cache.rows import Row
from pipeline.cache.writer import Work, Writer, switch
from pipeline.stages import site as sites

MADE_BY = {"encoder": "stand-in"}
CLASSES, TEMPLATES = ["a", "b", "c"], ["{}", "a {}"]
EMBEDDING, BLOCK = 4, 4


def rows(count: int) -> list[Row]:
    return [Row(sha256(str(number).encode()), 10 + number, 20) for number in range(count)]


def attributes(views: int, seed: int) -> dict:
    identity = {"templates": TEMPLATES, "classes": CLASSES, "teacher": {"embedding": EMBEDDING}, "seed": seed}
    return {
        "format": 1,
        "identity": identity,
        "identity_digest": identities.digest(identity),
        "codec": "raw",
        "block": BLOCK,
        "views": views,
        "view_columns": ["left"],
        "render_size": 32,
        "logit_scale": 100.0,
    }


def arrays(shape: Shape, work: Work, seed: int) -> dict[str, np.ndarray]:
    """A recognisable content of each row and view."""
    start = work.block * shape.block
    span = range(start + work.first, start + shape.rows(work.block))
    return {
        name: np.array(
            [[content(name, row, view, VIEW_ARRAYS[name].width(shape), seed) for view in work.views] for row in span],
            VIEW_ARRAYS[name].dtype,
        )
        for name in work.arrays
    }


def content(name: str, row: int, view: int, width: int, seed: int) -> np.ndarray:
    return (np.arange(width) + 7 * row + 31 * view + len(name) + 3 * seed) % 251


def build(folder: Path, count: int = 10, views: int = 3, seed: int = 0) -> None:
    """What `scmd teacher` does: recover, look, complete, and switch where another cache stood."""
    wanted = attributes(views, seed)
    sites.recover(folder)
    site = sites.choose(folder, wanted["identity"], rows(count), views, BLOCK)
    harmed = {fault.path for fault in sites.prepare(site, folder)}
    shape = Shape(len(site.rows), site.views, len(CLASSES), len(TEMPLATES), EMBEDDING, BLOCK)
    cache = Writer(site.folder, shape, "raw", MADE_BY, harmed)
    if not site.begun or reader.open_any(site.folder).shape != shape:
        text = np.arange(24, dtype=np.float32).reshape(2, 3, 4) + seed
        cache.write_head({**wanted, "views": site.views}, site.rows, [CLASSES, CLASSES], text)
    for work in cache.missing(IMAGE_ARRAYS):
        cache.write(work, arrays(shape, work, seed))
    for work in cache.missing(("logits",)):
        cache.write(work, arrays(shape, work, seed))
    if site.folder != folder:
        switch(site.folder, folder)


def files(folder: Path) -> dict[str, bytes]:
    """Everything below the parent of a cache's folder: nothing may be left beside it either."""
    found = sorted(path for path in folder.parent.rglob("*") if path.is_file())
    return {str(path.relative_to(folder.parent)): path.read_bytes() for path in found}
