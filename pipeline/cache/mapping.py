"""Chunk files of a raw column, one behind the other in one range of addresses: the system reads of them what is asked for, and no
memory need hold the column.

Python's own maps cannot be put side by side, and each keeps a file open; so the files are mapped by the C library into a range
that Python reserves, and gives back.
"""

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache.files import open_file
from pipeline.cache.layout import CHECKSUM, Shape, ViewArray, byte_count

# Of a column: a process may have 65,530 maps by Linux's default.
MOST_MAPS = 1 << 14
# MAP_FIXED of mmap(2), on Linux and macOS alike; Python does not name it.
_OVER_WHAT_IS_THERE = mmap.MAP_SHARED | 0x10
_map = ctypes.CDLL(None, use_errno=True).mmap
_map.restype = ctypes.c_void_p
_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_FAILED = ctypes.c_void_p(-1).value


class UnmappableError(Exception):
    """The system has no more maps to give, or the file system has none."""


@dataclass(frozen=True)
class MappedColumn:
    """`column[rows, views]` is what an array (N, V, width) would give. `chunks` is (blocks, V, rows of a block, width)."""

    chunks: np.ndarray

    def __getitem__(self, place: tuple[np.ndarray, np.ndarray | int]) -> np.ndarray:
        rows, views = place
        block, row = np.divmod(rows, self.chunks.shape[2])
        return np.asarray(self.chunks[block, views, row])


class ColumnMap:
    """Room for all chunks of a column, block by block, each from a page's start."""

    def __init__(self, spec: ViewArray, shape: Shape) -> None:
        self._spec, self._shape = spec, shape
        self._size = byte_count(spec.chunk(shape), spec.dtype) + CHECKSUM
        self._stride = -(-self._size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._room = mmap.mmap(-1, shape.blocks * shape.views * self._stride, mmap.MAP_PRIVATE, mmap.PROT_READ)
        self._bytes = np.frombuffer(self._room, np.uint8)

    def look(self, block: int, view: int, folder: Path, path: str, limit: int) -> bytes:
        """Reads a chunk's file and maps it into its place; of one of another size it does neither, and gives nothing.
        Raises UnmappableError, and what `files.read_file` does."""
        start = (block * self._shape.views + view) * self._stride
        with os.fdopen(open_file(folder, path), "rb", buffering=0) as stream:
            if self._size > limit or os.fstat(stream.fileno()).st_size != self._size:
                return b""
            _map_over(self._bytes[start : start + self._size], stream.fileno())
            return stream.read(self._size)

    def column(self) -> MappedColumn:
        """Once all chunks are in their places."""
        blocks, views, (rows, _, width) = self._shape.blocks, self._shape.views, self._spec.chunk(self._shape)
        dtype = np.dtype(self._spec.dtype).newbyteorder("<")
        strides = (views * self._stride, self._stride, width * dtype.itemsize, dtype.itemsize)
        return MappedColumn(np.ndarray((blocks, views, rows, width), dtype, self._room, strides=strides))


def _map_over(place: np.ndarray, descriptor: int) -> None:
    found = _map(place.ctypes.data, place.nbytes, mmap.PROT_READ, _OVER_WHAT_IS_THERE, descriptor, 0)
    if found in (None, _FAILED):
        raise UnmappableError(os.strerror(ctypes.get_errno()))
