"""A data set's settings, and the pass over its files that makes the samples table."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from pydantic import field_validator

from pipeline import package
from pipeline.config import Section
from pipeline.errors import InputError
from pipeline.progress import track
from pipeline.samples import folders, judging, parquet
from pipeline.samples.images import UnreadableError, decode, peculiarities
from pipeline.samples.table import Found, Sample, Samples, SetAside


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

    @field_validator("root")
    @classmethod
    def _found(cls, root: Path) -> Path:
        return package.own(root)


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
) -> tuple[list[Found], list[SetAside]]:
    """Every place where the configuration says an image is, and the files and folders that were passed by."""
    if format == "folder":
        return folders.scan(root, domains)
    if not root.exists():
        raise InputError(
            f"{root}: no such file or folder; the data set's Parquet belongs there, or name another `root`"
        )
    return parquet.scan(root, columns, domains, classes), []


def build(
    found: list[Found],
    images: Images,
    *,
    domains: tuple[str, ...] | None,
    classes: tuple[str, ...] | None,
    exif: bool,
    flip: bool,
    warn: Callable[[str], None],
) -> tuple[Samples, list[SetAside]]:
    """Reads every image once. Raises InputError where what is left is no data set to generalise over."""
    domains = domains or tuple(sorted({place.domain for place in found}))
    classes = classes or tuple(sorted({place.class_name for place in found}))
    judging.require_data_set(found, domains, classes)
    labels = {name: label for label, name in enumerate(classes)}
    positions: Counter[str] = Counter()
    samples, quarantine = [], []
    odd: dict[str, list[str]] = defaultdict(list)
    for place in track(found, len(found), "reading images"):
        position = positions[place.domain]
        positions[place.domain] += 1
        try:
            data = images.read(place.key)
            picture = decode(data, exif=exif)
        except (UnreadableError, OSError) as error:
            quarantine.append(SetAside(place.key, place.domain, place.class_name, str(error)))
            continue
        for what in peculiarities(data, picture):
            odd[what].append(place.key)
        digest = hashlib.sha256(data).hexdigest()
        label = labels[place.class_name]
        samples.append(
            Sample(digest, place.key, place.domain, place.class_name, label, position, picture.width, picture.height)
        )
    judging.require_readable(samples, quarantine, domains, classes)
    for sentence in (*judging.gaps(samples, domains, classes), *judging.copies(samples), *judging.oddities(odd)):
        warn(sentence)
    return Samples(tuple(samples), domains, classes, dict(positions), exif, flip), quarantine
