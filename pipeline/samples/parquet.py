"""Parquet with image bytes, as Hugging Face serves data sets: which rows are samples, and their bytes."""

import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import Section
from pipeline.errors import InputError, reason
from pipeline.samples.table import Found


class Columns(Section):
    """Where the table keeps a sample's parts; a dot goes into a struct, as in `image.bytes`."""

    image: str = "image.bytes"
    domain: str = "domain"
    label: str = "label"


def files_of(root: Path) -> list[Path]:
    """The Parquet files of a data set: `root` itself, or those directly below it, sorted."""
    files = [root] if root.is_file() else sorted(root.glob("*.parquet"))
    if not files:
        raise InputError(f"{root}: no Parquet file here; the data set's `root` must name one or a folder of them")
    return files


def scan(root: Path, columns: Columns, domains: tuple[str, ...] | None, classes: tuple[str, ...] | None) -> list[Found]:
    """All rows of the wanted domains. Integers take their names from the file's metadata.

    Without published names `classes` gives those of labels, in their order, and a domain is called by its number.
    """
    found, others = [], set()
    for path in files_of(root):
        file = _open(path)
        domain_column, label_column = (_column(file, path, name) for name in (columns.domain, columns.label))
        _require_bytes(file, path, _column(file, path, columns.image))
        domain_names, class_names = _published(file, columns.domain), _published(file, columns.label) or classes
        table = file.read([domain_column, label_column], use_threads=False)
        pairs = zip(_values(table, columns.domain), _values(table, columns.label), strict=True)
        for row, (value, label) in enumerate(pairs):
            domain = _name(value, domain_names) or str(value)
            if domains is None or domain in domains:
                found.append(Found(f"{path.name}#{row}", domain, _class_name(label, class_names, path, row)))
            else:
                others.add(domain)
    if missing := sorted(set(domains or ()) - {place.domain for place in found}):
        there = ", ".join(sorted({place.domain for place in found} | others)) or "none"
        raise InputError(f"{root}: no row of domain `{missing[0]}`; column `{columns.domain}` has {there}")
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({reason(error)})") from error


def _column(file: pq.ParquetFile, path: Path, name: str) -> str:
    """Checks a (dotted) name and returns it. Raises InputError that lists what there is."""
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    if name not in leaves:
        raise InputError(f"{path}: no column `{name}`; the columns are {', '.join(leaves)} (name them under `columns`)")
    return name


def _values(table: pa.Table, name: str) -> list[Any]:
    first, *rest = name.split(".")
    column = table.column(first).combine_chunks()
    for part in rest:
        column = column.field(part)
    values: list[Any] = column.to_pylist()
    return values


def _require_bytes(file: pq.ParquetFile, path: Path, name: str) -> None:
    leaf = next(c for i in range(len(file.schema)) if (c := file.schema.column(i)).path == name)
    if leaf.physical_type != "BYTE_ARRAY" or leaf.logical_type.type != "NONE":
        kind = leaf.physical_type if leaf.logical_type.type == "NONE" else leaf.logical_type.type
        raise InputError(
            f"{path}: column `{name}` holds {kind.lower()}, not the bytes of image files; name theirs as `columns.image`"
        )


def _published(file: pq.ParquetFile, column: str) -> tuple[str, ...] | None:
    """The names that Hugging Face's metadata gives the integers of a column."""
    try:
        features = json.loads((file.schema_arrow.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _name(value: object, names: tuple[str, ...] | None) -> str | None:
    if isinstance(value, str):
        return value
    return names[value] if isinstance(value, int) and names and 0 <= value < len(names) else None


def _class_name(label: object, names: tuple[str, ...] | None, path: Path, row: int) -> str:
    if name := _name(label, names):
        return name
    raise InputError(
        f"{path}, row {row}: label {label!r} has no class name; list `classes` in the data set's configuration "
        "in the order of the labels"
    )


class ParquetImages:
    """Bytes of image rows, by key. Keeps the last row group read, so reading in order reads each once."""

    def __init__(self, root: Path, column: str):
        self.folder = root.parent if root.is_file() else root
        self.column = column
        self._cached: tuple[str, int, list[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the row group: it would go to every worker, by value."""
        return {**vars(self), "_cached": None}

    def read(self, key: str) -> bytes:
        """Raises OSError where the file or the row is missing, InputError where the file is damaged or of other columns."""
        name, _, row = key.rpartition("#")
        path = self.folder / name
        if not path.exists():
            raise FileNotFoundError(path)
        file = _open(path)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        starts = [0, *accumulate(sizes)]
        if int(row) >= starts[-1]:
            raise FileNotFoundError(f"{name} has no row {row}")
        group = bisect_right(starts, int(row)) - 1
        if self._cached is None or self._cached[:2] != (name, group):
            _column(file, path, self.column)
            try:
                images = file.read_row_group(group, [self.column], use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{path}: damaged ({reason(error)})") from error
            self._cached = (name, group, _values(images, self.column))
        return self._cached[2][int(row) - starts[group]] or b""
