"""A cache beside its images and its teacher: whether they give it again, and what is damaged made anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache import reader
from pipeline.samples import table
from pipeline.stage_one import checks, repair
from pipeline.stage_one.encoding import here
from pipeline.stages.teacher import task

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def draw_again(plan: Plan, folder: Path, count: int) -> None:
    """Draws `count` random views of a cache again and compares them with what the teacher saw."""
    if count:
        checks.draw_again(folder, plan.dataset, table.read(plan.samples_folder), count)


def encode_again(plan: Plan, folder: Path, count: int) -> None:
    """Encodes `count` random views and all prompts again with the live teacher."""
    if count:
        checks.encode_again(folder, task(plan), count)


def repaired(plan: Plan, workers: int | None) -> None:
    """Computes what is damaged in the experiment's cache again. Raises CacheError where there is no cache."""
    reader.require(plan.cache_folder)
    repair.repair(task(plan), here(workers))
