"""Parquet with image bytes, as Hugging Face serves data sets: which rows are samples, and their bytes."""

import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import Section
from pipeline.errors import InputError, reason
from pipeline.samples.table import Found

_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError, IndexError)
# Rows that are read at a time.
BATCH = 64


class Columns(Section):
    """Where the table keeps a sample's parts; a dot goes into a struct, as in `image.bytes`."""

    image: str = "image.bytes"
    """The bytes of an image file."""
    domain: str = "domain"
    """The domain: a name, or a number with names in the file."""
    label: str = "label"
    """The class: a name, or a number with names in the file or in `classes`."""


def files_of(root: Path) -> list[Path]:
    """The Parquet files of a data set: `root` itself, or those directly below it, sorted."""
    below = [] if root.is_file() else [one for one in sorted(root.iterdir()) if one.suffix.lower() == ".parquet"]
    files = [root] if root.is_file() else [one for one in below if one.is_file() and not one.name.startswith(".")]
    if not files:
        raise InputError(f"{root}: no Parquet file here; the data set's `root` must name one or a folder of them")
    return files


def scan(root: Path, columns: Columns, domains: tuple[str, ...] | None, classes: tuple[str, ...] | None) -> list[Found]:
    """All rows of the wanted domains. Integers take their names from the file's metadata.

    Without published names `classes` gives those of labels, in their order, and a domain is called by its number. Raises
    InputError for rows without a domain or a label that has a name.
    """
    found, others = [], set()
    for path in files_of(root):
        file = _open(path)
        domain_column, label_column = (_column(file, path, name) for name in (columns.domain, columns.label))
        _require_bytes(file, path, _column(file, path, columns.image))
        with _told_as_damage(path):
            table = file.read([domain_column, label_column], use_threads=False)
            domain_values, class_values = _values(table, columns.domain), _values(table, columns.label)
        domain_names = _published(file, columns.domain)
        class_names = _published(file, columns.label) or classes
        of_domain = _named(domain_values, domain_names, f"{path}, column `{columns.domain}`", numbers=True)
        of_class = _named(class_values, class_names, f"{path}, column `{columns.label}`", numbers=False)
        for row, (domain, name) in enumerate(zip(of_domain, of_class, strict=True)):
            if domains is None or domain in domains:
                found.append(Found(f"{path.name}#{row}", domain, name))
            else:
                others.add(domain)
    if missing := sorted(set(domains or ()) - {place.domain for place in found}):
        there = ", ".join(sorted({place.domain for place in found} | others)) or "none"
        raise InputError(f"{root}: no row of domain `{missing[0]}`; column `{columns.domain}` has {there}")
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable Parquet file ({reason(error)})") from error


@contextmanager
def _told_as_damage(path: Path) -> Iterator[None]:
    """Whatever Arrow raises on pages that are none."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(f"{path}: damaged ({reason(error)})") from error


def _column(file: pq.ParquetFile, path: Path, name: str) -> str:
    """Checks a (dotted) name and returns it. Raises InputError that lists what there is."""
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    if any(leaf.startswith(f"{name}.list.") or (leaf == name and ".list." in name) for leaf in leaves):
        raise InputError(f"{path}: column `{name}` holds a list a row, where one value is expected")
    if name not in leaves:
        raise InputError(f"{path}: no column `{name}`; the columns are {', '.join(leaves)} (name them under `columns`)")
    return name


def _values(table: pa.Table, name: str) -> list[Any]:
    """A column, or the field of a struct that a dotted name leads to; a plain column may have a dot in its name."""
    first, *rest = [name] if name in table.column_names else name.split(".")
    values: list[Any] = []
    for chunk in table.column(first).chunks:
        for part in rest:
            chunk = pc.struct_field(chunk, part)  # of a struct that is missing, too
        values += chunk.to_pylist()
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


def _named(values: list[Any], names: tuple[str, ...] | None, where: str, *, numbers: bool) -> list[str]:
    """The name of each value: itself, or that of its number; where `numbers`, one without a name is its own.

    Raises InputError that says of how many rows there is none, and why not of the first.
    """
    named = [_name(value, names, numbers=numbers) for value in values]
    lacking = [row for row, name in enumerate(named) if name is None]
    if lacking:
        raise InputError(
            f"{where}: {len(lacking)} of {len(values)} rows, {_why_nameless(values[lacking[0]], lacking[0], names)}"
        )
    return [name for name in named if name is not None]


def _name(value: object, names: tuple[str, ...] | None, *, numbers: bool) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    if names is None:
        return str(value) if numbers else None
    return names[value] if value < len(names) else None


def _why_nameless(value: object, row: int, names: tuple[str, ...] | None) -> str:
    first = f"first row {row}"
    if value is None or value == -1:
        return f"{first}, have none ({value}: missing); give them one, or take them out of the file"
    if isinstance(value, int) and not isinstance(value, bool):
        if names is None:
            return (
                f"{first}, have a number ({value}) and the file does not say its name; list `classes` in the data set's "
                "configuration in the order of the labels"
            )
        return f"{first}, have a number ({value}) beyond the {len(names)} names; list all `classes`, in the order of the labels"
    return (
        f"{first}, have {value!r}, which is {type(value).__name__} and no name; write names, or integers with names in "
        "`classes`"
    )


def _row_group(file: pq.ParquetFile, group: int, column: str) -> list[Any]:
    """The values of a column in a row group; in small batches, as Arrow cannot hold more than 2 GiB of bytes in one array."""
    values = []
    for batch in file.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False):
        values += _values(pa.Table.from_batches([batch]), column)
    return values


class ParquetImages:
    """Bytes of image rows, by key. Keeps the last file and row group, so that reading in order opens and decodes each once."""

    def __init__(self, root: Path, column: str):
        self.folder = root.parent if root.is_file() else root
        self.column = column
        self._opened: tuple[tuple[str, int, int, int], pq.ParquetFile, list[int]] | None = None
        self._cached: tuple[str, int, list[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without file and row group: they would go to every worker, by value."""
        return {**vars(self), "_opened": None, "_cached": None}

    def read(self, key: str) -> bytes:
        """Raises OSError where file, row or bytes are missing, InputError where the file is damaged or of other columns."""
        name, _, row = key.rpartition("#")
        path = self.folder / name
        file, starts = self._file(name)
        if int(row) >= starts[-1]:
            raise FileNotFoundError(f"{name} has no row {row}")
        group = bisect_right(starts, int(row)) - 1
        if self._cached is None or self._cached[:2] != (name, group):
            _column(file, path, self.column)
            with _told_as_damage(path):
                self._cached = (name, group, _row_group(file, group, self.column))
        data = self._cached[2][int(row) - starts[group]]
        if data is None:
            raise OSError(
                "the row has no image bytes; where it has a path instead, put the files' bytes into the column"
            )
        return bytes(data)

    def _file(self, name: str) -> tuple[pq.ParquetFile, list[int]]:
        """With the first rows of its row groups, and the number of all; opened anew where another file took its place."""
        path = self.folder / name
        state = path.stat()
        which = (name, state.st_ino, state.st_size, state.st_mtime_ns)
        if self._opened is None or self._opened[0] != which:
            file = _open(path)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._opened, self._cached = (which, file, [0, *accumulate(sizes)]), None
        return self._opened[1:]
