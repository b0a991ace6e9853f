"""The samples table and the quarantine list: records, and their Parquet files."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, InputError, reason
from pipeline.records import made_at_once
from pipeline.writing import replacing


@dataclass(frozen=True)
class Found:
    """A place where a picture should be: its key, and the domain and class that the place says."""

    key: str
    domain: str
    class_name: str


@dataclass(frozen=True)
class Sample:
    """A readable image. `id` is the SHA-256 of its bytes, `position` its place among all files found in its domain."""

    id: str
    key: str
    domain: str
    class_name: str
    label: int
    position: int
    width: int
    height: int


@dataclass(frozen=True)
class SetAside:
    """A place that makes no sample, and why: `class_name` is empty where no image was expected."""

    key: str
    domain: str
    class_name: str
    reason: str


@dataclass(frozen=True)
class Samples:
    """All samples of a data set and what a later stage must know of it, wherever the images lie.

    `found` counts the files of each domain before any was set aside: DomainBed splits over those.
    """

    rows: tuple[Sample, ...]
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    found: dict[str, int]
    exif: bool
    flip: bool

    def require_domain(self, held_out: str) -> None:
        """Raises ConfigError for a held-out domain that is none of the data set's."""
        if held_out not in self.domains:
            there = ", ".join(self.domains)
            raise ConfigError(f"held-out domain `{held_out}` is not in the data set (its domains: {there})")

    def count(self) -> dict[str, int]:
        """How many there are of each domain."""
        counts = Counter(row.domain for row in self.rows)
        return {domain: counts[domain] for domain in self.domains}

    def unique(self) -> list[Sample]:
        """One sample an id, in order of first appearance."""
        first: dict[str, Sample] = {}
        for sample in self.rows:
            first.setdefault(sample.id, sample)
        return list(first.values())


_COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.string()),
        ("domain", pa.string()),
        ("class_name", pa.string()),
        ("label", pa.int64()),
        ("position", pa.int64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
    ]
)
_QUARANTINE = pa.schema([(name, pa.string()) for name in ("key", "domain", "class_name", "reason")])
NAME, QUARANTINE = "samples.parquet", "quarantine.parquet"
_FACTS = b"scmd"


def write(samples: Samples, set_aside: Sequence[SetAside], folder: Path) -> None:
    """Writes `samples.parquet` and, with all that is no sample, `quarantine.parquet`, each renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "domains": samples.domains,
        "classes": samples.classes,
        "found": samples.found,
        "exif": samples.exif,
        "flip": samples.flip,
    }
    schema = _COLUMNS.with_metadata({_FACTS: json.dumps(facts, sort_keys=True)})
    _replace(pa.Table.from_pylist([vars(row) for row in samples.rows], schema), folder / NAME)
    _replace(pa.Table.from_pylist([vars(row) for row in set_aside], _QUARANTINE), folder / QUARANTINE)


def _replace(table: pa.Table, path: Path) -> None:
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_set_aside(folder: Path) -> list[SetAside]:
    """What `write` set aside. Raises InputError where there is no such list or it is another file."""
    path = folder / QUARANTINE
    try:
        return [SetAside(**row) for row in pq.ParquetFile(path).read(use_threads=False).to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as error:
        raise InputError(f"{path}: no list of what was set aside ({reason(error)}); run `scmd samples`") from error


def stands(folder: Path) -> bool:
    """Whether a table has been written here."""
    return (folder / NAME).is_file()


def read(folder: Path) -> Samples:
    """The table that `write` made. Raises InputError where there is none or it is another file."""
    path = folder / NAME
    if not stands(folder):
        raise InputError(
            f"{path}: no samples table here; run `scmd samples` first, or `dvc pull` where a team shares it"
        )
    try:
        # Without threads: where memory is short, Arrow waits for ever for those that cannot start.
        table = pq.ParquetFile(path).read(use_threads=False)
        facts = json.loads(table.schema.metadata[_FACTS])
        if not table.schema.remove_metadata().equals(_COLUMNS):
            raise KeyError("columns")
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a samples table ({reason(error)}); delete it and run `scmd samples` again"
        ) from error
    with made_at_once():
        rows = tuple(Sample(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True))
    return Samples(
        rows=rows,
        domains=tuple(facts["domains"]),
        classes=tuple(facts["classes"]),
        found=facts["found"],
        exif=facts["exif"],
        flip=facts["flip"],
    )
