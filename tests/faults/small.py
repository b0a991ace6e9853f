"""What stage one does with the files of a small cache, with a stand-in for the teacher: no images, no network."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.cache import reader
from pipeline.cache.files import require_writable
from pipeline.cache.layout import FURTHER_CHUNK, FURTHER_FILES, IMAGE_ARRAYS, TEXT_CHUNK, VIEW_ARRAYS
from pipeline.cache.origin import Origins
from pipeline.cache.writer import HEAD_PATHS, Writer, switch
from pipeline.stage_one import target
from tests.cache.test_cache import MADE_BY, TEXTS, arrays, attributes, rows
from tests.cache.test_cache import SHAPE as WITHOUT

SHAPE = replace(WITHOUT, further=1)
FURTHER = {"further_templates": ["the {}"]}


def build(folder: Path, count: int = 10, views: int = 3, seed: int = 0, chain: str = "raw") -> None:
    """What `scmd teacher` does: recover, look, complete, and switch where another cache stood."""
    identity = attributes(SHAPE, "raw", **FURTHER, seed=seed).identity
    target.recover(folder)
    there = target.choose(folder, identity, rows(count), views, SHAPE.block, chain)
    harmed = {fault.path for fault in target.prepare(there, folder)}
    shape = replace(SHAPE, samples=len(there.rows), views=there.views)
    origins = Origins.of_cache(identity, there.rows, there.block)
    cache = Writer(there.folder, shape, there.chain, origins, MADE_BY, harmed)
    if cache.missing(tuple(VIEW_ARRAYS)):
        require_writable(there.folder)
    if not there.begun or harmed & (HEAD_PATHS | FURTHER_FILES) or reader.open_any(there.folder).shape != shape:
        text = np.arange(40, dtype=np.float32).reshape(2, 4, 5) + seed
        cache.write_head(
            attributes(shape, there.chain, **FURTHER, seed=seed),
            there.rows,
            [*TEXTS, ["the a", "the b", "the c", "the d"]],
            {TEXT_CHUNK: text, FURTHER_CHUNK: text[:1] + 100},
        )
    for some in (IMAGE_ARRAYS, ("logits",)):
        for work in cache.missing(some):
            cache.write(work, {name: values + values.dtype.type(seed) for name, values in arrays(shape, work).items()})
    if there.folder != folder:
        switch(there.folder, folder)
