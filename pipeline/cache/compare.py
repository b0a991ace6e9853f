"""What a cache is, and how two of them differ, in words."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.cache import ledger, verify
from pipeline.cache.identity import differences
from pipeline.cache.layout import VIEW_ARRAYS, chunk_path
from pipeline.cache.ledger import Ledger
from pipeline.cache.reader import TeacherCache

# Lines of the map: a larger cache shows several blocks in one.
_MAP_LINES = 32


def provenance(cache: TeacherCache) -> list[dict[str, Any]]:
    """The distinct records of who computed what, in the order of the blocks."""
    records: list[dict[str, Any]] = []
    for name in cache.names:
        records += [record for record in ledger.read(cache.folder, name).provenance if record not in records]
    return records


def description(cache: TeacherCache) -> Iterator[str]:
    """Lines: what made the cache, its shape, its size by array and view, its completeness as a map, its digests."""
    shape, identity = cache.shape, cache.identity
    teacher = identity["teacher"]
    yield f"teacher     {teacher.get('model', '?')}, weights {str(teacher.get('weights_sha256', '?'))[:12]}"
    yield (
        f"shape       {shape.samples} samples × {shape.views} views, {shape.embedding} numbers an embedding, "
        f"{shape.classes} classes × {shape.prompts} prompt templates"
    )
    yield f"storage     format {cache.attributes.format}, {cache.attributes.codec}, blocks of {shape.block} samples"
    for record in provenance(cache):
        yield "made with   " + ", ".join(f"{key} {' '.join(str(value).split())}" for key, value in record.items())
    listed = [cache.block_ledger(block) for block in range(shape.blocks)]
    for array in VIEW_ARRAYS:
        size = sum(entry.size for one in listed for path, entry in one.files.items() if path.startswith(f"{array}/"))
        yield f"{array:<15} {size:>15,} bytes, {size // shape.views:>13,} a view"
    if count := int(cache.absent.any(1).sum()):
        yield f"gone        {count} samples have not all views, as their images were gone when those were made"
    yield f"blocks down, views across (■ whole, ▪ some arrays, · nothing): {len(cache.incomplete_blocks())} to finish"
    step = -(-shape.blocks // _MAP_LINES)
    for first in range(0, shape.blocks, step):
        blocks = range(first, min(first + step, shape.blocks))
        name = str(first) if step == 1 else f"{first}–{blocks[-1]}"
        yield f"{name:>10} {''.join(_mark(cache, listed, blocks, view) for view in range(shape.views))}"
    yield f"identity    {cache.identity_digest}"
    yield f"content     {cache.content_digest()}"


def _mark(cache: TeacherCache, listed: list[Ledger], blocks: range, view: int) -> str:
    there = [
        listed[block].rows_of(chunk_path(array, block, view)) == cache.shape.rows(block)
        for block in blocks
        for array in VIEW_ARRAYS
    ]
    return "■" if all(there) else "▪" if any(there) else "·"


def sentences(one: TeacherCache, other: TeacherCache) -> Iterator[str]:
    """One sentence for each way in which two caches differ; none where they are equal, byte for byte."""
    for sentence in differences(one.identity, other.identity):
        yield f"identity: {sentence}"
    ids = [{row.id for row in cache.rows} for cache in (one, other)]
    if ids[0] != ids[1]:
        common = len(ids[0] & ids[1])
        yield f"samples: {common} in both, {len(ids[0]) - common} only in the first, {len(ids[1]) - common} only in the second"
    elif one.rows != other.rows:
        yield "samples: the same ones in another order"
    for name in ("views", "block", "codec", "view_columns", "render_size", "logit_scale"):
        here, there = getattr(one.attributes, name), getattr(other.attributes, name)
        if here != there:
            yield f"{name}: {here} in the first, {there} in the second"
    made = [provenance(cache) for cache in (one, other)]
    if made[0] != made[1]:
        for key in sorted({key for records in made for record in records for key in record}):
            values = [sorted({str(record.get(key)) for record in records}) for records in made]
            if values[0] != values[1]:
                yield f"made with {key}: {', '.join(values[0])} in the first, {', '.join(values[1])} in the second"
    yield from _bytes(one, other)
    yield from _numbers(one, other)


def _text(one: TeacherCache, other: TeacherCache) -> Iterator[str]:
    first, second = (cache.read_prompts() for cache in (one, other))
    both = [(first[name], second[name]) for name in first if name in second and first[name].shape == second[name].shape]
    if len(both) < max(len(first), len(second)):
        yield f"text embeddings: {len(both)} of {len(first)} and {len(second)} prompts are comparable"
    if gap := max((float(np.abs(here.astype(np.float64) - there).max()) for here, there in both), default=0.0):
        yield f"text embeddings: they differ by up to {gap:.4g}"


def _bytes(one: TeacherCache, other: TeacherCache) -> Iterator[str]:
    """Which files differ, whatever they hold."""
    here, there = (verify.listed_files(cache.folder)[0] for cache in (one, other))
    differing = sorted(path for path in {*here, *there} if here.get(path) != there.get(path))
    if differing:
        yield f"files: {len(differing)} of {len({*here, *there})} are not the same bytes in both, first {differing[0]}"
    elif one.content_digest() != other.content_digest():
        yield "ledgers: they list the same files, and say other things of them"


def _numbers(one: TeacherCache, other: TeacherCache) -> Iterator[str]:
    """The largest difference of what both hold, where both are finished and comparable."""
    if one.content_digest() == other.content_digest():
        return
    if one.incomplete_blocks() or other.incomplete_blocks():
        yield "numbers: not compared, as not all blocks are finished"
        return
    yield from _text(one, other)
    row_of = {row.id: at for at, row in enumerate(other.rows)}
    pairs = [(at, row_of[row.id]) for at, row in enumerate(one.rows) if row.id in row_of]
    views = min(one.shape.views, other.shape.views)
    absent = [np.asarray(cache.absent[:, :views].any(1)) for cache in (one, other)]
    pairs = [(here, there) for here, there in pairs if not absent[0][here] and not absent[1][there]]
    for array in VIEW_ARRAYS:
        first, second = one.column(array), other.column(array)
        if not pairs or first.shape[2] != second.shape[2]:
            yield f"{array}: not comparable"
            continue
        here, there = (np.array(side) for side in zip(*pairs, strict=True))
        gap = float(np.abs(first[here, :views].astype(np.float64) - second[there, :views].astype(np.float64)).max())
        if gap:
            yield f"{array}: the same rows and views differ by up to {gap:.4g}"
