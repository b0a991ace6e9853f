"""Recorded views → the student's pictures, all of them, once."""

from pipeline.experiment.places import Plan
from pipeline.matching import drawn_pictures, open_matching, views_digest
from pipeline.progress import say
from pipeline.samples import table
from pipeline.views import pictures


def run(plan: Plan, workers: int) -> None:
    """Renders into a memory map, or records that the set is too large for one."""
    samples, size = table.read(plan.samples_folder), plan.experiment.pixels.size
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    rendered = drawn_pictures(plan.dataset, samples, cache, size)
    digest = views_digest(samples, cache, rendered.numbers)
    needed = rendered.numbers.shape[0] * rendered.numbers.shape[1] * size * size * 3 / 1e9
    if needed > plan.experiment.pixels.max_gb:
        pictures.write_facts(plan.pixels_folder, digest, stored=False)
        say(f"{needed:.1f} GB of pixels, more than pixels.max_gb: they will be drawn while training")
    else:
        pictures.store(rendered, digest, plan.pixels_folder, workers)
        say(f"{needed:.2f} GB of pixels in {plan.pixels_folder}")
    say(f"next: {plan.command('student')}")
