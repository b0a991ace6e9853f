"""A data set's settings, and the pass over its files that makes the samples table."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from pipeline.config import Section
from pipeline.errors import InputError
from pipeline.progress import track
from pipeline.samples import folders, parquet
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.table import Found, Quarantined, Sample, Samples


class DatasetSettings(Section):
    """`configs/datasets/*.yaml`. `domains` and `classes` fix names and order; without them the files decide, sorted.

    `expected` holds the published number of files of each domain; a different count is reported.
    `exif: false` ignores the rotation flag (as DomainBed's loaders do), `flip: false` keeps views unmirrored.
    """

    root: Path
    format: Literal["folder", "parquet"] = "folder"
    columns: parquet.Columns = parquet.Columns()
    domains: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    expected: dict[str, int] | None = None
    exif: bool = True
    flip: bool = True


class Images(Protocol):
    """Where image bytes come from."""

    def read(self, key: str) -> bytes:
        """Raises OSError where there are none."""
        ...


def open_images(root: Path, format: str, columns: parquet.Columns) -> Images:
    """The bytes behind the keys of a samples table."""
    return parquet.ParquetImages(root, columns.image) if format == "parquet" else folders.FolderImages(root)


def find(
    root: Path, format: str, columns: parquet.Columns, domains: tuple[str, ...] | None, classes: tuple[str, ...] | None
) -> tuple[list[Found], Counter[str]]:
    """Every place where the configuration says an image is, and the number of other files by domain."""
    if format == "folder":
        return folders.scan(root, domains)
    if not root.exists():
        raise InputError(
            f"{root}: no such file or folder; the data set's Parquet belongs there, or name another `root`"
        )
    return parquet.scan(root, columns, domains, classes), Counter()


def build(
    found: list[Found],
    images: Images,
    *,
    domains: tuple[str, ...] | None,
    classes: tuple[str, ...] | None,
    exif: bool,
    flip: bool,
    warn: Callable[[str], None],
) -> tuple[Samples, list[Quarantined]]:
    """Reads every image once. Raises InputError where what is left is no data set to generalise over."""
    domains = domains or tuple(sorted({place.domain for place in found}))
    classes = classes or tuple(sorted({place.class_name for place in found}))
    _check_names(found, domains, classes, warn)
    labels = {name: label for label, name in enumerate(classes)}
    positions: Counter[str] = Counter()
    samples, quarantine = [], []
    for place in track(found, len(found), "reading images"):
        position = positions[place.domain]
        positions[place.domain] += 1
        try:
            data = images.read(place.key)
            picture = decode(data, exif=exif)
        except (UnreadableError, OSError) as error:
            quarantine.append(Quarantined(place.key, place.domain, place.class_name, str(error)))
            continue
        digest = hashlib.sha256(data).hexdigest()
        label = labels[place.class_name]
        samples.append(
            Sample(digest, place.key, place.domain, place.class_name, label, position, picture.width, picture.height)
        )
    _check_readable(samples, quarantine, domains)
    _report_copies(samples, warn)
    return Samples(tuple(samples), domains, classes, dict(positions), exif, flip), quarantine


def _check_names(
    found: list[Found], domains: tuple[str, ...], classes: tuple[str, ...], warn: Callable[[str], None]
) -> None:
    if len(domains) < 2:
        only = f"`{domains[0]}`" if domains else "none"
        raise InputError(f"domain generalisation needs at least two domains, found {only}; check the data set's `root`")
    if len(classes) < 2:
        raise InputError(f"at least two classes are needed, found {', '.join(classes) or 'none'}; check the `root`")
    unknown = sorted({place.class_name for place in found} - set(classes))
    if unknown:
        raise InputError(f"class `{unknown[0]}` is not among the configuration's `classes` ({', '.join(classes)})")
    for domain in domains:
        present = {place.class_name for place in found if place.domain == domain}
        if not present:
            raise InputError(f"domain `{domain}` has no image; check the data set's `root` and `domains`")
        if lacking := [name for name in classes if name not in present]:
            warn(f"domain `{domain}` has no image of {', '.join(lacking)}; the other domains teach {_them(lacking)}")


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _check_readable(samples: list[Sample], quarantine: list[Quarantined], domains: tuple[str, ...]) -> None:
    alive = {sample.domain for sample in samples}
    for domain in domains:
        if domain not in alive:
            first = next(q for q in quarantine if q.domain == domain)
            raise InputError(
                f"none of the images of domain `{domain}` can be read (the first, {first.key}: {first.reason}); "
                "replace them or leave the domain out of `domains`"
            )


def _report_copies(samples: list[Sample], warn: Callable[[str], None]) -> None:
    """The same picture under two labels cannot be learnt; in two domains the held-out one is not unseen."""
    places: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        places[sample.id].append(sample)
    for what, part in (("labels", "label"), ("domains", "domain")):
        clashes = [group for group in places.values() if len({getattr(s, part) for s in group}) > 1]
        if clashes:
            example = " and ".join(sample.key for sample in clashes[0][:2])
            warn(f"{len(clashes)} pictures stand under several {what}, first {example}")


def count_lines(samples: Samples, quarantine: list[Quarantined], skipped: Counter[str]) -> list[str]:
    """Found, kept and skipped of each domain, a line each, with the images of each class."""
    lines = []
    for domain in samples.domains:
        kept = [sample for sample in samples.rows if sample.domain == domain]
        bad = sum(q.domain == domain for q in quarantine)
        by_class = Counter(sample.class_name for sample in kept)
        each = ", ".join(f"{name} {by_class[name]}" for name in samples.classes)
        lines.append(
            f"{domain}: {samples.found[domain]} found, {len(kept)} kept, {bad} quarantined, "
            f"{skipped[domain]} other files skipped ({each})"
        )
    return lines
