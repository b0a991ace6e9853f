"""A folder of images → what is in it, in sentences, before anything is written."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.queries import index
from pipeline.queries.duplicates import pattern
from pipeline.samples import building, folders, judging
from pipeline.samples.images import decode
from pipeline.samples.table import Sample, Samples, SetAside

# The least correlation of pictures that look the same, and up to how many that is looked for.
ALIKE, MOST = 0.98, 20_000
# A class or domain that has so many times the images of another is said.
LOPSIDED = 5


@dataclass(frozen=True)
class Findings:
    """A data set as `scmd samples` would make it; `alike` are pairs that look the same, exact copies among them."""

    root: Path
    samples: Samples
    quarantine: list[SetAside]
    skipped: list[SetAside]
    warnings: list[str] = field(default_factory=list)
    alike: list[tuple[Sample, Sample]] | None = None


def look(root: Path) -> Findings:
    """Reads every image of a folder in DomainBed's layout. Raises InputError where it is no data set to generalise over."""
    found, skipped = folders.scan(root, None)
    warnings: list[str] = []
    images = folders.FolderImages(root)
    samples, quarantine = building.build(
        found, images, domains=None, classes=None, exif=True, flip=True, excluded=(), warn=warnings.append
    )
    return Findings(root, samples, quarantine, skipped, warnings, _alike(samples, images))


def lines(found: Findings) -> Iterator[str]:
    """What was found, for its owner."""
    samples = found.samples
    yield f"{len(samples.rows)} images, {len(samples.domains)} domains, {len(samples.classes)} classes"
    yield from judging.count_lines(samples, found.quarantine, found.skipped)
    yield from judging.set_aside_lines([*found.quarantine, *found.skipped])
    yield from (f"note: {warning}" for warning in found.warnings)
    yield from _imbalance(samples)
    if len(samples.domains) == 2:
        yield "note: of two domains one is held out, so that every student learns from one alone; three or more make it general"
    if found.alike is None:
        yield "note: too many images, or too many alike, to list those that look the same; `scmd cache duplicates` does"
    elif found.alike:
        across = [(one, other) for one, other in found.alike if one.domain != other.domain]
        told = f"{len(found.alike)} pairs look the same, {len(across)} of them in two domains"
        yield f"note: {told}; `scmd cache duplicates` tells more"
        yield from (f"  {one.key} and {other.key}" for one, other in (across or found.alike)[: judging.NAMED])


def _imbalance(samples: Samples) -> Iterator[str]:
    for what, names, part in (("class", samples.classes, "class_name"), ("domain", samples.domains, "domain")):
        counts = Counter(getattr(row, part) for row in samples.rows)
        most, least = max(names, key=lambda name: counts[name]), min(names, key=lambda name: counts[name])
        if counts[most] >= LOPSIDED * counts[least]:
            yield f"note: {what} `{most}` has {counts[most]} images, `{least}` {counts[least]}"


def _alike(samples: Samples, images: folders.FolderImages) -> list[tuple[Sample, Sample]] | None:
    if len(samples.rows) > MOST:
        return None
    rows = np.stack([pattern(decode(images.read(row.key), exif=True)) for row in samples.rows])
    # Pictures of one colour have no pattern to compare.
    plain = np.linalg.norm(rows, axis=1) < 0.5
    try:
        _, firsts, seconds = index.build(rows, Path(), len(rows)).pairs(ALIKE)
    except InputError:  # too many to list, as of a fixed camera
        return None
    pairs = zip(firsts.tolist(), seconds.tolist(), strict=True)
    return [(samples.rows[one], samples.rows[other]) for one, other in pairs if not plain[one] and not plain[other]]


def require_layout(root: Path) -> None:
    """Raises InputError where images lie at another depth than `root/domain/class/image`."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the folder of your images")
    places = [path.relative_to(root).parts for path in folders.below(root)]
    if not places:
        raise InputError(f"{root}: no image in it; images end in {', '.join(folders.SUFFIXES)}")
    deepest = max(len(parts) for parts in places)
    if deepest < 3:
        raise InputError(
            f"{root}: the images lie at {root}/{'<folder>/' * (deepest - 1)}<image>; put them at "
            f"{root}/<domain>/<class>/<image>, where a domain is a source of images with its own style (photo, sketch …)"
        )
    only, *others = sorted({parts[0] for parts in places})
    if not others and all(len(parts) > 3 for parts in places):
        raise InputError(
            f"{root}: all images lie in its one folder, at {root / only}/<domain>/<class>/<image>; name "
            "that folder instead"
        )
