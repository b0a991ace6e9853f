"""`rows.parquet` and `prompts.parquet`: what the rows of the arrays are. No paths, no labels."""

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import CacheError

_ROWS = pa.schema([("id", pa.string()), ("width", pa.int64()), ("height", pa.int64())])
_PROMPTS = pa.schema([("template", pa.string()), ("class_name", pa.string()), ("text", pa.string())])


@dataclass(frozen=True)
class Row:
    """A unique image: SHA-256 of its bytes, upright width and height in pixels."""

    id: str
    width: int
    height: int


def rows_file(rows: list[Row]) -> bytes:
    return _parquet(pa.Table.from_pylist([vars(row) for row in rows], _ROWS))


def read_rows(data: bytes, path: str) -> list[Row]:
    return [Row(**row) for row in _table(data, _ROWS, path)]


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


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _table(data: bytes, schema: pa.Schema, path: str) -> list[dict]:
    try:
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        raise CacheError(f"{path}: not a readable Parquet file") from None
    if not table.schema.remove_metadata().equals(schema):
        raise CacheError(f"{path}: its columns are {table.schema.names}, expected {schema.names}")
    return table.to_pylist()
