"""The pass over a data set's files that makes the samples table."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.errors import InputError, reason
from pipeline.progress import track
from pipeline.samples import folders, judging, parquet
from pipeline.samples.dataset import Images
from pipeline.samples.images import UnreadableError, decode, peculiarities
from pipeline.samples.table import Found, Sample, Samples, SetAside

# Why a sample that the configuration's list names is none.
EXCLUDED = "excluded by the configuration's list"


def excluded_keys(file: Path | None) -> frozenset[str]:
    """The keys of a list, a line each. Raises InputError where it cannot be read."""
    try:
        return frozenset(file.read_text(encoding="utf-8").splitlines()) - {""} if file else frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: the list that `exclude` of the data set's configuration names cannot be read ({reason(error)}); write it "
            "with `scmd cache duplicates --exclude`, or take the key out"
        ) from error


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
    excluded: Collection[str],
    warn: Callable[[str], None],
) -> tuple[Samples, list[SetAside]]:
    """Reads every image once but those whose key is `excluded`. Raises InputError where what is left is no data set to generalise
    over, and for an excluded key that is none."""
    domains = domains or tuple(sorted({place.domain for place in found}))
    classes = classes or tuple(sorted({place.class_name for place in found}))
    judging.require_data_set(found, domains, classes)
    judging.require_there(found, excluded)
    labels = {name: label for label, name in enumerate(classes)}
    positions: Counter[str] = Counter()
    samples, quarantine = [], []
    odd: dict[str, list[str]] = defaultdict(list)
    for place in track(found, len(found), "reading images"):
        position = positions[place.domain]
        positions[place.domain] += 1
        if place.key in excluded:
            quarantine.append(SetAside(place.key, place.domain, place.class_name, EXCLUDED))
            continue
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
