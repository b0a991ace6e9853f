"""A cache on its own: what it is, whether it is whole, how it differs from another. Needs neither images nor torch."""

from pathlib import Path

from pipeline.cache import compare, reader, verify
from pipeline.errors import CacheError
from pipeline.progress import show


def info(folder: Path) -> None:
    """What made a cache, its shape, sizes, completeness and digests."""
    show(str(folder))
    for line in compare.description(reader.open_any(folder)):
        show(line)


def diff(one: Path, other: Path) -> None:
    """How two caches differ, in words. Raises CacheError where one of them is damaged."""
    for folder in (one, other):
        if fault := next(verify.faults(folder), None):
            raise CacheError(f"{folder}: {fault}; `scmd cache verify` names every fault of it")
    told = list(compare.sentences(reader.open_any(one), reader.open_any(other)))
    for sentence in told or ["the two caches are equal, byte for byte"]:
        show(sentence)


def verified(folder: Path) -> None:
    """Reads all of a cache. Raises CacheError after naming every fault, or where blocks are missing."""
    found = list(verify.faults(folder))
    for fault in found:
        show(f"{folder}: {fault}")
    if found:
        raise CacheError(f"{folder}: {len(found)} faults; `scmd cache repair` computes what they harm again")
    cache = reader.open_any(folder)
    if lacking := cache.incomplete_blocks():
        raise CacheError(
            f"{folder}: whole as far as it goes, but {len(lacking)} of {cache.shape.blocks} blocks are not finished; "
            "run `scmd teacher`"
        )
    partial = int(cache.absent.any(1).sum())
    gone = f" ({partial} samples have not all, as their images were gone)" if partial else ""
    stands = f"{cache.shape.samples} samples × {cache.shape.views} views{gone}"
    show(f"{folder}: whole, {stands}; content {cache.content_digest()}")
