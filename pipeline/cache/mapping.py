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

from pipeline.cache.files import open_file, staged
from pipeline.cache.layout import Shape, ViewArray, byte_count
from pipeline.errors import CacheError

# Of a column: a process may have 65,530 maps by Linux's default.
MOST_MAPS = 1 << 14
# Of mmap(2), on Linux and macOS alike; Python does not name it.
_MAP_FIXED = 0x10
_map = ctypes.CDLL(None, use_errno=True).mmap
_map.restype = ctypes.c_void_p
_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_FAILED = ctypes.c_void_p(-1).value


@dataclass(frozen=True)
class MappedColumn:
    """`column[rows, views]` is what an array (N, V, width) would give. `chunks` is (V, blocks, rows of a block, width)."""

    chunks: np.ndarray

    def __getitem__(self, place: tuple[np.ndarray, np.ndarray | int]) -> np.ndarray:
        rows, views = place
        block, row = np.divmod(rows, self.chunks.shape[2])
        return np.asarray(self.chunks[views, block, row])


class ColumnMap:
    """Room for all chunks of a column, each from a page's start; `put` maps one after the other."""

    def __init__(self, spec: ViewArray, shape: Shape) -> None:
        self._spec, self._shape = spec, shape
        self._length = byte_count(spec.chunk(shape), spec.dtype)
        self._stride = -(-self._length // mmap.PAGESIZE) * mmap.PAGESIZE
        self._room = mmap.mmap(-1, shape.views * shape.blocks * self._stride, prot=mmap.PROT_READ)
        self._bytes = np.frombuffer(self._room, np.uint8)

    def put(self, folder: Path, path: str, block: int, view: int, data: bytes) -> None:
        """Maps a chunk's file, of which `data` were read and checked. Raises CacheError where other bytes stand there now."""
        start = (view * self._shape.blocks + block) * self._stride
        place = self._bytes[start : start + self._length]
        for name in (path, str(staged(Path(path)))):
            try:
                descriptor = open_file(folder, name)
            except FileNotFoundError:
                continue
            try:
                if os.fstat(descriptor).st_size == len(data):
                    _map_into(place, descriptor)
                    if np.array_equal(place, np.frombuffer(data, np.uint8, self._length)):
                        return
            finally:
                os.close(descriptor)
        raise CacheError(f"{folder / path}: another file took its place while it was read; run the command again")

    def column(self) -> MappedColumn:
        """What was mapped, once all was put."""
        self._room.madvise(mmap.MADV_DONTNEED)  # pages that were compared count as this process's memory no more
        views, blocks, (rows, _, width) = self._shape.views, self._shape.blocks, self._spec.chunk(self._shape)
        dtype = np.dtype(self._spec.dtype).newbyteorder("<")
        strides = (blocks * self._stride, self._stride, width * dtype.itemsize, dtype.itemsize)
        return MappedColumn(np.ndarray((views, blocks, rows, width), dtype, self._room, strides=strides))


def _map_into(place: np.ndarray, descriptor: int) -> None:
    """Raises CacheError where the system has no more maps to give."""
    found = _map(place.ctypes.data, place.nbytes, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, descriptor, 0)
    if found in (None, _FAILED):
        raise CacheError(
            f"a file of the cache cannot be mapped ({os.strerror(ctypes.get_errno())}); raise `vm.max_map_count`, or make "
            "the cache with a larger `block`"
        )
