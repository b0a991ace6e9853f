"""Format 1 in one table: array names, shapes, dtypes, chunks, and the two codec chains."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numcodecs import Zstd
from numcodecs.checksum32 import CRC32C
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from pipeline.errors import CacheError

FORMAT = 1
PROBE = 48
VIEW_COLUMNS = 11


@dataclass(frozen=True)
class Shape:
    """N samples in blocks of S, V views, C classes, P prompt templates, D numbers an embedding."""

    samples: int
    views: int
    classes: int
    prompts: int
    embedding: int
    block: int

    @property
    def blocks(self) -> int:
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
        return shape.samples, shape.views, self.width(shape)

    def chunk(self, shape: Shape) -> tuple[int, int, int]:
        return shape.block, 1, self.width(shape)


VIEW_ARRAYS = {
    "image_features": ViewArray("float16", lambda shape: shape.embedding),
    "logits": ViewArray("float16", lambda shape: shape.classes),
    "pixel_probe": ViewArray("uint8", lambda _: PROBE),
    "views": ViewArray("float32", lambda _: VIEW_COLUMNS),
}
TEXT = "text_embeddings"
TEXT_CHUNK = f"{TEXT}/c/0/0/0"


def chunk_path(array: str, block: int, view: int) -> str:
    """Zarr's default chunk key of a block and view, relative to the group."""
    return f"{array}/c/{block}/{view}/0"


def metadata(shape: Shape, chain: str, attributes: dict) -> dict[str, bytes]:
    """Path → content of every `zarr.json`, as zarr itself writes them."""
    store = MemoryStore()
    group = zarr.create_group(store, attributes=attributes)
    codecs: dict[str, list[Any]] = {"raw": [Crc32cCodec()], "zstd": [ZstdCodec(level=3), Crc32cCodec()]}
    arrays = {name: (a.shape(shape), a.chunk(shape), a.dtype) for name, a in VIEW_ARRAYS.items()}
    text = (shape.prompts, shape.classes, shape.embedding)
    arrays[TEXT] = (text, text, "float32")
    for name, (size, chunk, dtype) in arrays.items():
        group.create_array(
            name,
            shape=size,
            chunks=chunk,
            dtype=dtype,
            fill_value=0,
            serializer=BytesCodec(),
            compressors=codecs[chain],
        )
    paths = ["zarr.json", *(f"{name}/zarr.json" for name in arrays)]
    return {path: store._store_dict[path].to_bytes() for path in paths}


def encode(chunk: np.ndarray, chain: str) -> bytes:
    """A whole chunk → its file: little-endian data (zstd where the chain says so), then CRC32C in four bytes."""
    data = np.ascontiguousarray(chunk).astype(chunk.dtype.newbyteorder("<"), copy=False).tobytes()
    if chain == "zstd":
        data = bytes(Zstd(level=3).encode(data))
    return bytes(CRC32C(location="end").encode(data))


def decode(data: bytes, shape: tuple[int, ...], dtype: str, chain: str, path: str) -> np.ndarray:
    """The inverse of `encode`. Raises CacheError naming `path` where checksum or size are wrong."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        body = bytes(CRC32C(location="end").decode(data))
        if chain == "zstd":
            body = bytes(Zstd().decode(body, np.empty(size, np.uint8)))
    except (RuntimeError, ValueError):
        raise CacheError(f"{path}: damaged (its checksum does not match)") from None
    if len(body) != size:
        raise CacheError(f"{path}: {len(body)} bytes of data where {size} are declared")
    return np.frombuffer(body, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def attributes_of(data: bytes, where: str) -> dict:
    """The attributes of a group's `zarr.json`. Raises CacheError where it is no teacher cache of format 1."""
    try:
        attributes = json.loads(data)["attributes"]["scmd"]
        version = attributes["format"]
    except (ValueError, KeyError, TypeError):
        raise CacheError(f"{where}: not a teacher cache") from None
    if version != FORMAT:
        raise CacheError(f"{where}: a teacher cache of format {version!r}; this version reads format {FORMAT}")
    return attributes
