"""Images → samples table and the list of what makes no sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.progress import say, show, warn
from pipeline.samples import building, dataset, judging, table

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.samples.table import Samples


def run(plan: Plan) -> Samples:
    """Writes the table and says what was found, kept and set aside. Raises InputError where there is no data set."""
    settings = plan.dataset
    found, skipped = building.find(settings.root, settings.format, settings.columns, settings.domains, settings.classes)
    samples, quarantine = building.build(
        found,
        dataset.open_images(settings.root, settings.format, settings.columns),
        domains=settings.domains,
        classes=settings.classes,
        exif=settings.exif,
        flip=settings.flip,
        excluded=building.excluded_keys(settings.exclude),
        warn=warn,
    )
    for held_out in plan.experiment.matrix.held_out:
        samples.require_domain(held_out)
    for domain, count in (settings.expected or {}).items():
        if samples.found.get(domain, 0) != count:
            warn(f"domain `{domain}` has {samples.found.get(domain, 0)} files where the published set has {count}")
    table.write(samples, [*quarantine, *skipped], plan.samples_folder)
    for line in (*judging.count_lines(samples, quarantine, skipped), *judging.set_aside_lines([*quarantine, *skipped])):
        say(line)
    say(f"{len(samples.rows)} samples in {plan.samples_folder / table.NAME}; next: {plan.command('teacher')}")
    return samples


def list_set_aside(plan: Plan) -> None:
    """Every file and folder that makes no sample, with the reason, as `run` left them."""
    for place in table.read_set_aside(plan.samples_folder):
        show(judging.line_of(place))
