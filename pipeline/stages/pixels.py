"""Recorded views → the student's pictures, all of them, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.matching import open_matching
from pipeline.progress import say
from pipeline.recorded import store_of_views, wanted_pictures
from pipeline.samples import table
from pipeline.views import pixels
from pipeline.views.pictures import gigabytes, stored_views

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def run(plan: Plan, workers: int | None) -> None:
    """Renders what the store of these views lacks, or says what of them is too much for one."""
    samples, settings = table.read(plan.samples_folder), plan.experiment.pixels
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    wanted = wanted_pictures(plan.dataset, samples, cache, plan.teacher.views, settings.size)
    views, rows = plan.teacher.views, len(wanted.ids)
    plan.pixels_folder.mkdir(parents=True, exist_ok=True)
    stored = stored_views(rows, views, settings.size, settings.max_gb)
    if stored < views:
        which = "those of the augmented views" if stored else "they"
        say(
            f"{gigabytes(rows, views, settings.size):.1f} GB of pixels, more than pixels.max_gb: {which} will be drawn while "
            "training"
        )
    if stored:
        folder = store_of_views(plan.pixels_folder, cache)
        rendered = pixels.complete(folder, wanted.first(stored), workers)
        say(f"{rendered} pictures rendered; {gigabytes(rows, stored, settings.size):.2f} GB of pixels in {folder}")
    say(f"next: {plan.command('students')}")
