"""One stored chunk, checked against its block's ledger: the same for whoever reads and whoever extends."""

from pathlib import Path

import numpy as np

from pipeline.cache.files import read_file
from pipeline.cache.layout import VIEW_ARRAYS, Shape, chunk_path, decode, most_bytes, text_shape
from pipeline.cache.ledger import Ledger, Read, checked_bytes
from pipeline.errors import CacheError


def read(
    folder: Path,
    ledger: Ledger,
    shape: Shape,
    chain: str,
    array: str,
    block: int,
    view: int,
    look: Read = read_file,
) -> np.ndarray:
    """(rows of the block, width), without the chunk's fill. Raises CacheError where `look` finds other than what is listed."""
    path = chunk_path(array, block, view)
    data = checked_bytes(folder, path, ledger.files.get(path), most_bytes(path, shape), look)
    return decoded(data, shape, chain, array, block, view)


def read_whole(
    folder: Path,
    ledger: Ledger,
    shape: Shape,
    chain: str,
    array: str,
    block: int,
    view: int,
    look: Read = read_file,
) -> np.ndarray:
    """Like `read`. Raises CacheError also where only the first rows of the block are finished: the rest is fill."""
    path = chunk_path(array, block, view)
    if path in ledger.files and ledger.rows_of(path) < shape.rows(block):
        raise CacheError(
            f"{folder / path}: {ledger.rows_of(path)} of {shape.rows(block)} rows are finished; run `scmd teacher` to "
            "complete it"
        )
    return read(folder, ledger, shape, chain, array, block, view, look)


def decoded(data: bytes, shape: Shape, chain: str, array: str, block: int, view: int) -> np.ndarray:
    """(rows of the block, width) of a chunk's file. Raises CacheError for wrong sizes and for values that are no number."""
    path = chunk_path(array, block, view)
    spec = VIEW_ARRAYS[array]
    values = decode(data, spec.chunk(shape), spec.dtype, chain, path)[: shape.rows(block), 0]
    require_finite(values, path)
    return values


def read_text(folder: Path, head: Ledger, shape: Shape, chain: str, path: str) -> np.ndarray:
    """(P, C, D) float32: the text embeddings, or those of further prompts, by the path of their chunk.

    Raises CacheError where they are not what the head's ledger lists.
    """
    data = checked_bytes(folder, path, head.files.get(path), most_bytes(path, shape))
    return decoded_text(data, shape, chain, path)


def decoded_text(data: bytes, shape: Shape, chain: str, path: str) -> np.ndarray:
    """(P, C, D) of such a file. Raises CacheError as `decoded` does."""
    text = decode(data, text_shape(shape, path), "float32", chain, path)
    require_finite(text, path)
    return text


def require_finite(values: np.ndarray, path: str) -> None:
    """Raises CacheError naming the first row with NaN or infinity."""
    if values.dtype.kind == "f" and not _all_finite(values):
        row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
        raise CacheError(f"{path}: row {row} holds NaN or infinity, which no teacher wrote")


def _all_finite(values: np.ndarray) -> bool:
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    # NaN and infinity are the largest of either sign by their bits; NumPy's isfinite is slower than SHA-256 for half precision.
    return bool(values.view(np.int16).max(initial=0) < 0x7C00 and values.view(np.uint16).max(initial=0) < 0xFC00)
