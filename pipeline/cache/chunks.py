"""One stored chunk, checked against its block's ledger: the same for whoever reads and whoever extends."""

from pathlib import Path

import numpy as np

from pipeline.cache.layout import VIEW_ARRAYS, Shape, chunk_path, decode
from pipeline.cache.ledger import Ledger, checked_bytes


def read(folder: Path, ledger: Ledger, shape: Shape, chain: str, array: str, block: int, view: int) -> np.ndarray:
    """(rows of the block, width), without the chunk's fill. Raises CacheError where it is not what the ledger lists."""
    path = chunk_path(array, block, view)
    spec = VIEW_ARRAYS[array]
    data = checked_bytes(folder, path, ledger.files.get(path))
    return decode(data, spec.chunk(shape), spec.dtype, chain, path)[: shape.rows(block), 0]
