"""Images → samples table and quarantine list."""

from pipeline.experiment.places import Plan
from pipeline.experiment.warnings import require_domain
from pipeline.progress import say, warn
from pipeline.samples import dataset, table


def run(plan: Plan) -> None:
    """Writes the table and says what was found, kept and set aside. Raises InputError where there is no data set."""
    settings = plan.dataset
    found, skipped = dataset.find(settings.root, settings.format, settings.columns, settings.domains, settings.classes)
    samples, quarantine = dataset.build(
        found,
        dataset.open_images(settings.root, settings.format, settings.columns),
        domains=settings.domains,
        classes=settings.classes,
        exif=settings.exif,
        flip=settings.flip,
        warn=warn,
    )
    for held_out in plan.experiment.matrix.held_out:
        require_domain(held_out, samples.domains)
    for domain, count in (settings.expected or {}).items():
        if samples.found.get(domain, 0) != count:
            warn(f"domain `{domain}` has {samples.found.get(domain, 0)} files where the published set has {count}")
    table.write(samples, quarantine, plan.samples_folder)
    for line in dataset.count_lines(samples, quarantine, skipped):
        say(line)
    if quarantine:
        say(f"{len(quarantine)} images set aside, with reasons, in {plan.samples_folder / 'quarantine.parquet'}")
    say(f"{len(samples.rows)} samples in {plan.samples_folder / 'samples.parquet'}; next: {plan.command('teacher')}")
