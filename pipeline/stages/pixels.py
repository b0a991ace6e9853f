"""Recorded views → the student's pictures, all of them, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.matching import open_matching
from pipeline.progress import say
from pipeline.recorded import store_of_views, wanted_pictures
from pipeline.samples import table
from pipeline.views import pixels
from pipeline.views.pictures import fits, gigabytes

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def run(plan: Plan, workers: int | None) -> None:
    """Renders what the store of these views lacks, or says that the set is too large for one."""
    samples, settings = table.read(plan.samples_folder), plan.experiment.pixels
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    wanted = wanted_pictures(plan.dataset, samples, cache, plan.teacher.views, settings.size)
    needed = gigabytes(len(wanted.ids), plan.teacher.views, settings.size)
    plan.pixels_folder.mkdir(parents=True, exist_ok=True)
    if fits(len(wanted.ids), plan.teacher.views, settings.size, settings.max_gb):
        folder = store_of_views(plan.pixels_folder, cache)
        rendered = pixels.complete(folder, wanted, workers)
        say(f"{rendered} pictures rendered; {needed:.2f} GB of pixels in {folder}")
    else:
        say(f"{needed:.1f} GB of pixels, more than pixels.max_gb: they will be drawn while training")
    say(f"next: {plan.command('students')}")
