"""Whole columns of a cache, each file checked against the ledger while it is read. Needs neither open_clip nor a GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.cache import chunks, ledger
from pipeline.cache import identity as identities
from pipeline.cache.files import sha256
from pipeline.cache.layout import TEXT, TEXT_CHUNK, VIEW_ARRAYS, Shape, attributes_of, chunk_path, decode
from pipeline.cache.ledger import HEAD
from pipeline.cache.rows import Row, read_rows
from pipeline.errors import CacheError


@dataclass(frozen=True)
class TeacherCache:
    """A cache on disk: its attributes, rows and shape are read; arrays are read when asked for."""

    folder: Path
    attributes: dict
    rows: list[Row]
    shape: Shape

    @property
    def identity(self) -> dict:
        return self.attributes["identity"]

    def column(self, array: str) -> np.ndarray:
        """(N, V, width) of one of `VIEW_ARRAYS`. Raises CacheError naming a chunk that is missing or damaged."""
        spec = VIEW_ARRAYS[array]
        values = np.empty(spec.shape(self.shape), spec.dtype)
        for block in range(self.shape.blocks):
            listed = ledger.read(self.folder, str(block))
            start = block * self.shape.block
            for view in range(self.shape.views):
                chunk = chunks.read(self.folder, listed, self.shape, self.attributes["codec"], array, block, view)
                values[start : start + len(chunk), view] = chunk
        return values

    def read_text_embeddings(self) -> np.ndarray:
        """(P, C, D) float32, not normalised."""
        data = ledger.checked_bytes(self.folder, TEXT_CHUNK, ledger.read(self.folder, HEAD).files.get(TEXT_CHUNK))
        shape = (self.shape.prompts, self.shape.classes, self.shape.embedding)
        return decode(data, shape, "float32", self.attributes["codec"], TEXT_CHUNK)

    @cached_property
    def identity_digest(self) -> str:
        return identities.digest(self.identity)

    def content_digest(self) -> str:
        """SHA-256 over the digests of all ledgers: equal caches, byte for byte, have equal digests."""
        names = [HEAD, *(str(block) for block in range(self.shape.blocks))]
        return sha256("".join(ledger.read(self.folder, name).digest() for name in names).encode())

    def incomplete_blocks(self) -> list[int]:
        """Blocks that lack a chunk of any array, or rows of one."""
        lacking = []
        for block in range(self.shape.blocks):
            files = ledger.read(self.folder, str(block)).files
            paths = [chunk_path(array, block, view) for array in VIEW_ARRAYS for view in range(self.shape.views)]
            if any(path not in files or files[path].rows < self.shape.rows(block) for path in paths):
                lacking.append(block)
        return lacking


def exists(folder: Path) -> bool:
    return (folder / "zarr.json").is_file()


def open_any(folder: Path) -> TeacherCache:
    """A cache as it stands, complete or not. Raises CacheError where there is none, or its head is damaged."""
    if not exists(folder):
        raise CacheError(f"{folder}: no teacher cache here; run `scmd teacher`, or `dvc pull` where a team shares it")
    head = ledger.read(folder, HEAD).files
    for path in ("prompts.parquet", *(f"{name}/zarr.json" for name in (*VIEW_ARRAYS, TEXT))):
        ledger.checked_bytes(folder, path, head.get(path))
    return _opened(folder, lambda path: ledger.checked_bytes(folder, path, head.get(path)))


def open_interrupted(folder: Path) -> TeacherCache:
    """A cache whose head may be newer than its ledger, as a killed extension leaves it: for a writer to go on with.

    Rows are only ever appended and each file is whole, so the newer head is the one that was to be.
    """
    return _opened(folder, lambda path: (folder / path).read_bytes())


def _opened(folder: Path, read: Callable[[str], bytes]) -> TeacherCache:
    attributes = attributes_of(read("zarr.json"), str(folder))
    rows = read_rows(read("rows.parquet"), str(folder / "rows.parquet"))
    identity = attributes["identity"]
    shape = Shape(
        samples=len(rows),
        views=attributes["views"],
        classes=len(identity["classes"]),
        prompts=len(identity["templates"]),
        embedding=identity["teacher"]["embedding"],
        block=attributes["block"],
    )
    return TeacherCache(folder, attributes, rows, shape)


def open_complete(folder: Path) -> TeacherCache:
    """A cache that can be trained from. Raises CacheError where blocks are missing."""
    cache = open_any(folder)
    if lacking := cache.incomplete_blocks():
        raise CacheError(
            f"{folder}: {len(lacking)} of {cache.shape.blocks} blocks are not finished; run `scmd teacher` to complete it"
        )
    return cache
