"""Format 1 in one table: array names, shapes, dtypes, chunks, and the two codec chains."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numcodecs import Zstd
from numcodecs.checksum32 import CRC32C

from pipeline.cache import documents
from pipeline.errors import CacheError

FORMAT = 1
PROBE = 48
CHAINS = ("raw", "zstd")
# Samples in a block, and views.
BLOCK_LIMIT, VIEWS_LIMIT = 1 << 20, 1 << 16
# Numbers of a view.
COLUMNS_LIMIT = 64
# Bytes of the CRC32C behind a chunk's data.
CHECKSUM = 4
# Bytes of a chunk once decoded: 1,024 rows of the largest CLIP's features are 4 MB. More is a mistake or an attack.
CHUNK_LIMIT = 1 << 30
# Blocks × views: looking at all of them takes a second.
CHUNKS_LIMIT = 1 << 18
# Bytes of `rows.parquet`, which has some 90 for a sample, and of `prompts.parquet`.
TABLE_LIMIT = 1 << 30


@dataclass(frozen=True)
class Shape:
    """N samples in blocks of S, V views of `columns` numbers each, C classes, P prompt templates, D numbers an embedding, and Q
    further templates, from which no logits follow."""

    samples: int
    views: int
    classes: int
    prompts: int
    embedding: int
    columns: int
    block: int
    further: int = 0

    @property
    def blocks(self) -> int:
        """How many there are; the last may be short."""
        return -(-self.samples // self.block)

    def rows(self, block: int) -> int:
        """How many rows of a block are samples; the rest of its chunk is fill."""
        return min(self.block, self.samples - block * self.block)


@dataclass(frozen=True)
class ViewArray:
    """An array with a row a sample and view: one chunk file for each block and view."""

    dtype: str
    width: Callable[[Shape], int]

    def shape(self, shape: Shape) -> tuple[int, int, int]:
        """Of the whole array."""
        return shape.samples, shape.views, self.width(shape)

    def chunk(self, shape: Shape) -> tuple[int, int, int]:
        """Of one chunk: a block of samples, one view."""
        return shape.block, 1, self.width(shape)


VIEW_ARRAYS = {
    "image_features": ViewArray("float16", lambda shape: shape.embedding),
    "logits": ViewArray("float16", lambda shape: shape.classes),
    "pixel_probe": ViewArray("uint8", lambda _: PROBE),
    "views": ViewArray("float32", lambda shape: shape.columns),
}
# What an image pass makes; logits follow from it and the text.
IMAGE_ARRAYS = ("image_features", "pixel_probe", "views")
# What their paths begin with.
LOGITS = "logits/"
TEXT, FURTHER = "text_embeddings", "further_text_embeddings"
TEXT_CHUNK, FURTHER_CHUNK = (f"{name}/c/0/0/0" for name in (TEXT, FURTHER))
METADATA = ("zarr.json", *(f"{name}/zarr.json" for name in (*VIEW_ARRAYS, TEXT)))
ROWS, PROMPTS, VIEWS = "rows.parquet", "prompts.parquet", "views/zarr.json"
HEAD_FILES = frozenset({ROWS, PROMPTS, TEXT_CHUNK, *METADATA})
# What the head of a cache has besides, whose teacher encoded further prompts.
FURTHER_FILES = frozenset({FURTHER_CHUNK, f"{FURTHER}/zarr.json"})


_NUMBER = re.compile("[0-9]{1,9}/[0-9]{1,9}")


def head_files(shape: Shape) -> frozenset[str]:
    """All that the head of a cache of this shape has."""
    return HEAD_FILES | FURTHER_FILES if shape.further else HEAD_FILES


def is_head_file(path: str) -> bool:
    """Whether the head of some cache has a file of this name."""
    return path in HEAD_FILES | FURTHER_FILES


def text_shape(shape: Shape, chunk: str) -> tuple[int, int, int]:
    """Of the text embeddings, or of those of the further prompts, by the path of their one chunk."""
    return (shape.further if chunk == FURTHER_CHUNK else shape.prompts), shape.classes, shape.embedding


def chunk_path(array: str, block: int, view: int) -> str:
    """Zarr's default chunk key of a block and view, relative to the group."""
    return f"{array}/c/{block}/{view}/0"


def place_of(path: str) -> tuple[str, int, int] | None:
    """(array, block, view) of a chunk file, or None for any other path. The inverse of `chunk_path`."""
    match path.split("/"):
        case [array, "c", block, view, "0"] if array in VIEW_ARRAYS and _NUMBER.fullmatch(f"{block}/{view}"):
            place = (array, int(block), int(view))
            return place if chunk_path(*place) == path and place[2] < VIEWS_LIMIT else None
    return None


def require_countable(shape: Shape, folder: Path) -> None:
    """Raises CacheError where a cache would have more chunks than a reader takes."""
    if shape.blocks * shape.views > CHUNKS_LIMIT:
        raise CacheError(
            f"{folder}: {shape.blocks:,} blocks × {shape.views:,} views, where at most {CHUNKS_LIMIT:,} chunks of an array "
            "are expected; set fewer `views`, or for a new cache a larger `block`, in the teacher's configuration"
        )


def most_bytes(path: str, shape: Shape | None) -> int:
    """How large a file of a cache may be, whatever its ledger says. Without a shape, chunks may have `CHUNK_LIMIT`."""
    if path in (ROWS, PROMPTS):
        return TABLE_LIMIT
    place = place_of(path)
    if place is None and path not in (TEXT_CHUNK, FURTHER_CHUNK):
        return documents.LIMIT
    if shape is None:
        return CHUNK_LIMIT
    spec = VIEW_ARRAYS[place[0]] if place else None
    size = byte_count(spec.chunk(shape), spec.dtype) if spec else byte_count(text_shape(shape, path), "float32")
    # What zstd cannot compress grows by less than this.
    return size + size // 128 + 1024


def byte_count(shape: tuple[int, ...], dtype: str) -> int:
    """Of a decoded chunk. Python's integers do not overflow."""
    count = np.dtype(dtype).itemsize
    for side in shape:
        count *= int(side)
    return count


def encode(chunk: np.ndarray, chain: str) -> bytes:
    """A whole chunk → its file: little-endian data (zstd where the chain says so), then CRC32C in four bytes."""
    data = np.ascontiguousarray(chunk).astype(chunk.dtype.newbyteorder("<"), copy=False).tobytes()
    if chain == "zstd":
        data = bytes(Zstd(level=3).encode(data))
    return bytes(CRC32C(location="end").encode(data))


def decode(data: bytes, shape: tuple[int, ...], dtype: str, chain: str, path: str) -> np.ndarray:
    """The inverse of `encode`, in memory for the declared chunk and no more.

    Raises CacheError naming `path` where checksum or size are wrong.
    """
    size = byte_count(shape, dtype)
    try:
        CRC32C(location="end").decode(data)
    except (RuntimeError, ValueError) as error:
        raise CacheError(f"{path}: damaged (its checksum does not match)") from error
    body: memoryview | pa.Buffer = memoryview(data)[:-CHECKSUM]
    if chain == "zstd":
        try:
            body = pa.decompress(body, decompressed_size=size, codec="zstd")
        except (pa.ArrowException, OSError) as error:
            raise CacheError(f"{path}: not {size:,} bytes of data compressed by zstd, as is declared") from error
    if len(body) != size:
        raise CacheError(f"{path}: {len(body):,} bytes of data where {size:,} are declared")
    return np.frombuffer(body, np.dtype(dtype).newbyteorder("<")).reshape(shape)
