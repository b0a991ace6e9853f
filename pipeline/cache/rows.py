"""`rows.parquet` and `prompts.parquet`: what the rows of the arrays are. No paths, no labels.

Plain columns without compression or dictionary: a reader's memory then never exceeds the file's size by much, whatever a
stranger wrote into it.
"""

import io
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import CacheError, reason
from pipeline.records import made_at_once

_ROWS = pa.schema([("id", pa.string()), ("width", pa.int64()), ("height", pa.int64())])
_PROMPTS = pa.schema([("template", pa.string()), ("class_name", pa.string()), ("text", pa.string())])
_PHYSICAL = {pa.string(): "BYTE_ARRAY", pa.int64(): "INT64"}
_ID = "^[0-9a-f]{64}$"
_LARGEST_SIDE = 1 << 24
# Bytes. A row group has some 600 and a million rows; parsing a footer costs fifty times its size.
_FOOTER = 1 << 16


class Row(NamedTuple):
    """A unique image: SHA-256 of its bytes, upright width and height in pixels."""

    id: str
    width: int
    height: int


def rows_file(rows: list[Row]) -> bytes:
    """The bytes of `rows.parquet`."""
    return _parquet(pa.Table.from_pylist([row._asdict() for row in rows], _ROWS))


def read_rows(data: bytes, path: str) -> list[Row]:
    """Raises CacheError where a row is impossible, or an id stands twice."""
    table = _table(data, _ROWS, path)
    if (at := pc.index(_possible(table), False).as_py()) >= 0:
        raise CacheError(f"{path}: row {at} is no image's id with a width and a height")
    with made_at_once():
        rows = [Row(*values) for values in zip(*(column.to_pylist() for column in table.columns), strict=True)]
    if not rows or len({row.id for row in rows}) < len(rows):
        raise CacheError(f"{path}: {'an id stands twice' if rows else 'it has no row'}")
    return rows


def _possible(table: pa.Table) -> pa.ChunkedArray:
    """(N,) bool: whether a row has an id and two sides that an image can have."""
    good = pc.match_substring_regex(table["id"], _ID)
    for side in (table["width"], table["height"]):
        good = pc.and_(good, pc.and_(pc.greater(side, 0), pc.less_equal(side, _LARGEST_SIDE)))
    return pc.fill_null(good, False)


def prompts_file(templates: list[str], classes: list[str], texts: list[list[str]]) -> bytes:
    """A row for each template and class, in the order of P × C."""
    return _parquet(
        pa.Table.from_pylist(
            [
                {"template": template, "class_name": name, "text": text}
                for template, row in zip(templates, texts, strict=True)
                for name, text in zip(classes, row, strict=True)
            ],
            _PROMPTS,
        )
    )


def require_prompts(data: bytes, templates: list[str], classes: list[str], path: str) -> None:
    """Raises CacheError where the rows are not templates × classes, in this order."""
    table = _table(data, _PROMPTS, path)
    if table.num_rows != len(templates) * len(classes):
        raise CacheError(f"{path}: {table.num_rows:,} rows for {len(templates):,} templates × {len(classes):,} classes")
    found = list(zip(table["template"].to_pylist(), table["class_name"].to_pylist(), strict=True))
    if found != [(template, name) for template in templates for name in classes]:
        raise CacheError(f"{path}: not the templates and classes of this cache's identity, in their order")


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression="none", use_dictionary=False, write_page_checksum=True, store_schema=False
    )
    return buffer.getvalue()


def _table(data: bytes, schema: pa.Schema, path: str) -> pa.Table:
    if (footer := int.from_bytes(data[-8:-4], "little")) > _FOOTER:
        raise CacheError(f"{path}: a footer of {footer:,} bytes, where at most {_FOOTER:,} are expected")
    try:
        _require_plain(_opened(data, []).metadata, schema, len(data), path)
        # A footer may call a dictionary plain: read as one, it stays small.
        table = _opened(data, [field.name for field in schema if field.type == pa.string()]).read(use_threads=False)
        table.validate(full=True)
        table = _spelled_out(table, len(data), path)
        if not table.schema.remove_metadata().equals(schema):
            raise CacheError(f"{path}: its columns are not {', '.join(schema.names)} in their types")
        return table
    except (pa.ArrowException, OSError, ValueError, IndexError, MemoryError, OverflowError) as error:
        raise CacheError(f"{path}: not a readable Parquet file ({reason(error)})") from error


def _opened(data: bytes, dictionaries: list[str]) -> pq.ParquetFile:
    return pq.ParquetFile(
        io.BytesIO(data),
        read_dictionary=dictionaries,
        page_checksum_verification=True,
        thrift_string_size_limit=1 << 20,
        thrift_container_size_limit=1 << 20,
    )


def _spelled_out(table: pa.Table, size: int, path: str) -> pa.Table:
    """Texts without a dictionary, where they are then no longer than the `size` bytes of the file that they came from."""
    for at, column in enumerate(table.columns):
        if not pa.types.is_dictionary(column.type):
            continue
        lengths = (pc.take(pc.binary_length(chunk.dictionary), chunk.indices) for chunk in column.chunks)
        if (length := sum(pc.sum(some).as_py() or 0 for some in lengths)) > size:
            raise CacheError(f"{path}: {length:,} bytes of text from a file of {size:,}: a cache compresses no column")
        table = table.set_column(at, table.field(at).name, column.cast(pa.string()))
    return table


def _require_plain(metadata: pq.FileMetaData, schema: pa.Schema, size: int, path: str) -> None:
    names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    if names != schema.names:
        raise CacheError(f"{path}: its columns are {names}, expected {schema.names}")
    if metadata.metadata:
        raise CacheError(f"{path}: it carries key-value metadata, which no cache has")
    # A row has three values, and none is shorter than four bytes: a smaller file claims too much.
    if not 0 <= metadata.num_rows <= size // 12:
        raise CacheError(f"{path}: {metadata.num_rows:,} rows cannot stand in {size:,} bytes")
    for group in range(metadata.num_row_groups):
        for at, field in enumerate(schema):
            column = metadata.row_group(group).column(at)
            plain = column.compression == "UNCOMPRESSED" and set(column.encodings) <= {"PLAIN", "RLE"}
            if not plain or column.physical_type != _PHYSICAL[field.type]:
                raise CacheError(f"{path}: column `{field.name}` is not plain: a cache compresses no Parquet column")
