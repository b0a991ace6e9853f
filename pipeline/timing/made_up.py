"""A teacher cache of no images, and samples of a folder of made-up ones, for what is measured on them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.cache import metadata
from pipeline.cache.layout import TEXT_CHUNK, VIEW_ARRAYS, Shape
from pipeline.cache.origin import Origins
from pipeline.cache.rows import Row
from pipeline.cache.writer import Writer
from pipeline.samples import building, dataset
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.table import Samples
from pipeline.views.distribution import CLEAN, COLUMNS

SIDES = (500, 375)
# How each view but the clean one is drawn: the upper left part, in its own colours.
VIEW = CLEAN.copy()
VIEW[[COLUMNS.index(side) for side in ("width", "height")]] = 0.8


def begun(folder: Path, shape: Shape) -> Writer:
    """A cache with its head and no block yet; row n has the id n."""
    classes = [f"class {number}" for number in range(shape.classes)]
    identity = {
        "templates": ["{}"],
        "classes": classes,
        "teacher": {"embedding": shape.embedding},
        "decoding": {},
        "drawing": {},
    }
    rows = [Row(f"{number:064x}", *SIDES) for number in range(shape.samples)]
    cache = Writer(folder, shape, "raw", Origins.of_cache(identity, rows, shape.block), {})
    text = np.random.default_rng(0).standard_normal((1, shape.classes, shape.embedding)).astype(np.float32)
    attributes = metadata.attributes(shape, "raw", identity, COLUMNS, render_size=224, logit_scale=100.0)
    cache.write_head(attributes, rows, [classes], {TEXT_CHUNK: text})
    return cache


def samples_of(settings: DatasetSettings) -> Samples:
    """All images of a data set, none set aside."""
    found, _ = building.find(settings.root, settings.format, settings.columns, None, None)
    images = dataset.open_images(settings.root, settings.format, settings.columns)
    samples, _ = building.build(
        found, images, domains=None, classes=None, exif=True, flip=True, excluded=(), warn=lambda _: None
    )
    return samples


def fill(cache: Writer, known: Mapping[str, np.ndarray] | None = None) -> None:
    """Writes all blocks of a cache that was begun; arrays that are `known` (block, V, width) are the same in each."""
    random, shape, known = np.random.default_rng(0), cache.shape, known or {}
    block = {name: _noise(random, name, shape) for name in VIEW_ARRAYS}
    for work in cache.missing(tuple(VIEW_ARRAYS)):
        block = {name: np.roll(values, 1, axis=0) for name, values in block.items()}  # no two blocks are alike
        cache.write(work, {name: values[: shape.rows(work.block)] for name, values in {**block, **known}.items()})


def _noise(random: np.random.Generator, name: str, shape: Shape) -> np.ndarray:
    spec = VIEW_ARRAYS[name]
    size = (shape.block, shape.views, spec.width(shape))
    if name == "views":
        numbers = np.tile(CLEAN, (*size[:2], 1))
        numbers[:, 1:] = VIEW
        return numbers
    return (8 * random.standard_normal(size)).astype(spec.dtype)
