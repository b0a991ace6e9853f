"""A cache on its own: what it is, whether it is whole, whether images and teacher give it again, how it differs from another."""

from pathlib import Path

from pipeline.cache import compare, reader, verify
from pipeline.errors import CacheError
from pipeline.experiment.places import Plan
from pipeline.progress import say
from pipeline.samples import table
from pipeline.stage_one import checks, repair
from pipeline.stages.teacher import task


def info(folder: Path) -> None:
    """What made a cache, its shape, sizes, completeness and digests."""
    say(str(folder))
    for line in compare.description(reader.open_any(folder)):
        say(line)


def diff(one: Path, other: Path) -> None:
    """How two caches differ, in words. Raises CacheError where one of them is damaged."""
    for folder in (one, other):
        if fault := next(verify.faults(folder), None):
            raise CacheError(f"{folder}: {fault}; `scmd cache verify` names every fault of it")
    told = list(compare.sentences(reader.open_any(one), reader.open_any(other)))
    for sentence in told or ["the two caches are equal, byte for byte"]:
        say(sentence)


def verified(folder: Path) -> None:
    """Reads all of a cache. Raises CacheError after naming every fault, or where blocks are missing."""
    found = list(verify.faults(folder))
    for fault in found:
        say(f"{folder}: {fault}")
    if found:
        raise CacheError(f"{folder}: {len(found)} faults; `scmd cache repair` computes what they harm again")
    cache = reader.open_any(folder)
    if lacking := cache.incomplete_blocks():
        raise CacheError(
            f"{folder}: whole as far as it goes, but {len(lacking)} of {cache.shape.blocks} blocks are not finished; "
            "run `scmd teacher`"
        )
    say(f"{folder}: whole, {cache.shape.samples} samples × {cache.shape.views} views; content {cache.content_digest()}")


def drawn_again(plan: Plan, folder: Path, count: int) -> None:
    """Draws `count` random views of a cache again and compares them with what the teacher saw."""
    checks.draw_again(folder, plan.dataset, table.read(plan.samples_folder), count)


def encoded_again(plan: Plan, folder: Path, count: int) -> None:
    """Encodes `count` random views and all prompts again with the live teacher."""
    checks.encode_again(folder, task(plan), count)


def repaired(plan: Plan, workers: int) -> None:
    """Computes what is damaged in the experiment's cache again. Raises CacheError where there is no cache."""
    reader.require(plan.cache_folder)
    repair.repair(task(plan), workers)
