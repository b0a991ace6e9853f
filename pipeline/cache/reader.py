"""Whole columns of a cache, each file checked against the ledger while it is read. Needs neither open_clip nor a GPU."""

from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import chunks, documents, ledger, metadata
from pipeline.cache.files import building, read_file, sha256
from pipeline.cache.layout import (
    FURTHER_CHUNK,
    HEAD_FILES,
    IMAGE_ARRAYS,
    PROMPTS,
    ROWS,
    TEXT_CHUNK,
    VIEW_ARRAYS,
    VIEWS,
    Shape,
    byte_count,
    chunk_path,
    head_files,
    most_bytes,
    place_of,
    require_countable,
)
from pipeline.cache.ledger import HEAD, Entry, Ledger
from pipeline.cache.mapping import MOST_MAPS, ColumnMap, MappedColumn, UnmappableError
from pipeline.cache.metadata import Attributes
from pipeline.cache.origin import Origins
from pipeline.cache.rows import Row, read_rows, require_prompts
from pipeline.errors import CacheError, ResourceError

# Threads that check a column's chunks.
THREADS = 2
# `column[rows, views]` → (…, width).
Column = np.ndarray | MappedColumn


@dataclass(frozen=True)
class TeacherCache:
    """A cache on disk: its attributes, rows and shape are read; arrays are read when asked for.

    `text` is the SHA-256 of its text embeddings' file, `head` its head's ledger, as a file. A writer may extend it meanwhile:
    its rows and views stay what they were when it was opened. Where another cache takes its place, reading raises CacheError.
    """

    folder: Path
    attributes: Attributes
    rows: list[Row]
    shape: Shape
    head: bytes
    text: str

    @property
    def identity(self) -> dict[str, Any]:
        """All that determines its numbers."""
        return self.attributes.identity

    @property
    def identity_digest(self) -> str:
        """SHA-256 of the identity."""
        return self.attributes.identity_digest

    @cached_property
    def origins(self) -> Origins:
        """What each block must have been computed from."""
        return Origins.of_cache(self.identity, self.rows, self.shape.block)

    @cached_property
    def names(self) -> list[str]:
        """The ledgers of this cache."""
        return [HEAD, *(ledger.name_of(block) for block in range(self.shape.blocks))]

    def block_ledger(self, block: int) -> Ledger:
        """Raises CacheError where it is damaged, or another cache's. It may list more views and rows: an extension's."""
        listed = ledger.read(self.folder, ledger.name_of(block))
        self._require_usable(block, listed)
        return listed

    def why_unusable(self, block: int, listed: Ledger) -> str | None:
        """Why what a block's ledger lists is of no use to this cache, in words, or None."""
        if listed.stale_logits(self.text):
            return "its logits follow from other text embeddings"
        return listed.why_foreign(block, self.origins) if listed.files else None

    def _require_usable(self, block: int, listed: Ledger) -> None:
        # A writer may have extended the cache since it was opened: this block's ledger then speaks of rows, or of text, that
        # the head of that time does not know, and fits the head that stands now.
        if self.why_unusable(block, listed) and (what := self._newest().why_unusable(block, listed)):
            raise CacheError(
                f"{self.folder / ledger.path_of(ledger.name_of(block))}: of another cache than `head.json` ({what}); run "
                "`scmd cache repair`, or restore the whole cache (`dvc checkout`)"
            )

    def column(self, array: str) -> np.ndarray:
        """(N, V, width) of one of `VIEW_ARRAYS`. Raises CacheError naming a chunk that is missing or damaged."""
        spec = VIEW_ARRAYS[array]
        samples, views, width = spec.shape(self.shape)
        # In memory view by view, as on disk: a chunk is then copied in one piece.
        try:
            values = np.empty((views, samples, width), spec.dtype)
        except (MemoryError, ValueError) as error:
            size = byte_count(spec.shape(self.shape), spec.dtype)
            raise ResourceError(f"{self.folder}: `{array}` has {size:,} bytes, more than this memory holds") from error
        self._each_block(partial(self._fill, values, array))
        return values.swapaxes(0, 1)

    def rows_of(self, array: str) -> Column:
        """A column of which rows are read here and there: checked, and of a raw cache that can be mapped not held in memory.

        Raises CacheError as `column` does.
        """
        if self.attributes.codec != "raw" or self.shape.blocks * self.shape.views > MOST_MAPS:
            return self.column(array)
        mapping = ColumnMap(VIEW_ARRAYS[array], self.shape)
        try:
            self._each_block(partial(self._map, mapping, array))
        except UnmappableError:
            return self.column(array)
        return mapping.column()

    def clean_features(self) -> np.ndarray:
        """(N, D) image features of view 0, read alone. Raises CacheError naming a chunk that is missing or damaged."""
        values = np.empty((self.shape.samples, self.shape.embedding), VIEW_ARRAYS["image_features"].dtype)
        self._each_block(partial(self._fill, values[None], "image_features"))
        return values

    def _each_block(self, work: Callable[[int, Ledger], None]) -> None:
        """Does it with each block and its ledger, several at a time: what it costs are checksums."""

        def with_ledger(block: int) -> None:
            ledger.using(self.folder, ledger.name_of(block), partial(work, block))

        with self._in_place(), ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(with_ledger, range(self.shape.blocks)):
                pass

    def _fill(self, values: np.ndarray, array: str, block: int, listed: Ledger) -> None:
        """Reads a block's chunks into its rows of (V, N, width)."""
        self._require_usable(block, listed)
        start = block * self.shape.block
        for view, rows in enumerate(values[:, start : start + self.shape.rows(block)]):
            rows[:] = chunks.read_whole(self.folder, listed, self.shape, self.attributes.codec, array, block, view)

    def _map(self, mapping: ColumnMap, array: str, block: int, listed: Ledger) -> None:
        self._require_usable(block, listed)
        for view in range(self.shape.views):
            look = partial(mapping.look, block, view)
            chunks.read_whole(self.folder, listed, self.shape, self.attributes.codec, array, block, view, look)

    def read_text_embeddings(self) -> np.ndarray:
        """(P, C, D) float32, not normalised."""
        return self._texts(TEXT_CHUNK)

    def read_prompts(self) -> dict[str, np.ndarray]:
        """Template → (C, D) float32, not normalised: of every prompt, those from which no logits follow among them."""
        identity = self.identity
        prompts = dict(zip(identity["templates"], self._texts(TEXT_CHUNK), strict=True))
        if not self.shape.further:
            return prompts
        return {**dict(zip(identity["further_templates"], self._texts(FURTHER_CHUNK), strict=True)), **prompts}

    def _texts(self, path: str) -> np.ndarray:
        with self._in_place():
            return ledger.using(
                self.folder,
                HEAD,
                lambda head: chunks.read_text(self.folder, head, self.shape, self.attributes.codec, path),
            )

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Raises CacheError, whatever else fails, where what is read may be another cache's, as its folder was exchanged."""
        try:
            yield
        finally:
            self._newest()

    def _newest(self) -> "TeacherCache":
        """This cache, or what a writer made of it since it was opened. Raises CacheError where it is another one now."""
        if _head_file(self.folder) == self.head:
            return self
        now = open_any(self.folder)
        if (now.identity, now.text, now.rows[: len(self.rows)]) != (self.identity, self.text, self.rows):
            raise CacheError(
                f"{self.folder}: another cache took its place while this one was read; run the command again"
            )
        return now

    @cached_property
    def absent(self) -> np.ndarray:
        """(N, V) bool: of which views of which rows nothing was made, as their images were gone."""
        absent = np.zeros((self.shape.samples, self.shape.views), bool)
        for block in range(self.shape.blocks):
            listed, start = self.block_ledger(block), block * self.shape.block
            for view in range(self.shape.views):
                for array in IMAGE_ARRAYS:
                    rows = listed.absent_of(chunk_path(array, block, view))
                    absent[[start + row for row in rows if start + row < self.shape.samples], view] = True
        return absent

    @property
    def size(self) -> int:
        """Bytes of all files that are listed."""
        return sum(entry.size for name in self.names for entry in ledger.read(self.folder, name).files.values())

    def content_digest(self) -> str:
        """SHA-256 over the digests of all ledgers: equal caches, byte for byte, have equal digests."""
        return sha256("".join(ledger.read(self.folder, name).digest() for name in self.names).encode())

    def listed(self) -> tuple[int, int]:
        """How many of the rows, and how many views, some block of this cache has begun with."""
        rows = views = 0
        for block in range(self.shape.blocks):
            one = ledger.read(self.folder, ledger.name_of(block))
            if one.files and not one.why_foreign(block, self.origins):
                rows = block * self.shape.block + min(one.longest, self.shape.rows(block))
                views = max([views, *(1 + place[2] for path in one.files if (place := place_of(path)))])
        return rows, min(views, self.shape.views)

    def incomplete_blocks(self) -> list[int]:
        """Blocks that lack a chunk of any array, or rows of one."""
        lacking = []
        for block in range(self.shape.blocks):
            listed, rows = self.block_ledger(block), self.shape.rows(block)
            places = ((array, view) for array in VIEW_ARRAYS for view in range(self.shape.views))
            paths = (chunk_path(array, block, view) for array, view in places)
            if any(listed.rows_of(path) < rows for path in paths):
                lacking.append(block)
        return lacking


def exists(folder: Path) -> bool:
    """Whether a cache was begun here. Its head comes first; blocks without one are a cache that has lost it."""
    return any((folder / "ledger").glob("*.json"))


def require(folder: Path) -> None:
    """Raises CacheError where no cache was begun."""
    if not exists(folder):
        if exists(unfinished := building(folder)):
            raise CacheError(f"{folder}: this cache is not finished ({unfinished} is to become it); run `scmd teacher`")
        raise CacheError(f"{folder}: no teacher cache here; run `scmd teacher`, or `dvc pull` where a team shares it")


def open_any(folder: Path) -> TeacherCache:
    """A cache as it stands, complete or not. Raises CacheError where there is none, or its head is not of format 1."""
    require(folder)
    return ledger.using(folder, HEAD, lambda head: from_head(folder, head.files))


def _head_file(folder: Path) -> bytes:
    try:
        return read_file(folder, ledger.path_of(HEAD), documents.LIMIT)
    except FileNotFoundError:
        return b""


def from_head(folder: Path, head: Mapping[str, Entry]) -> TeacherCache:
    """The cache whose head files are these. Each is checked before the next is believed."""
    _require_listed(folder, head, HEAD_FILES)
    head_file = _head_file(folder)

    def whole(path: str) -> bytes:
        return ledger.checked_bytes(folder, path, head.get(path), most_bytes(path, None))

    attributes = metadata.read_group(whole("zarr.json"), str(folder / "zarr.json"))
    rows = read_rows(whole(ROWS), str(folder / ROWS))
    shape = attributes.shape(len(rows), metadata.read_columns(whole(VIEWS), str(folder / VIEWS)))
    require_countable(shape, folder)
    _require_listed(folder, head, head_files(shape))
    for name in metadata.arrays(shape):
        path = f"{name}/zarr.json"
        metadata.require_array(whole(path), name, shape, attributes.codec, str(folder / path))
    identity = attributes.identity
    templates = [*identity["templates"], *identity.get("further_templates", [])]
    require_prompts(whole(PROMPTS), templates, identity["classes"], str(folder / PROMPTS))
    return TeacherCache(folder, attributes, rows, shape, head_file, head[TEXT_CHUNK].sha256)


def _require_listed(folder: Path, head: Mapping[str, Entry], files: Set[str]) -> None:
    if files - head.keys():
        raise CacheError(
            f"{folder / ledger.path_of(HEAD)}: missing, or without what every cache has; run `scmd cache repair`, or "
            "`dvc checkout` where a team shares it"
        )


def without_head_ledger(folder: Path) -> TeacherCache:
    """A cache as its head files stand, without knowing that they are the right ones: for a repair that finds out."""
    try:
        attributes = metadata.read_group(read_file(folder, "zarr.json", documents.LIMIT), str(folder / "zarr.json"))
        rows = read_rows(read_file(folder, ROWS, most_bytes(ROWS, None)), str(folder / ROWS))
        columns = metadata.read_columns(read_file(folder, VIEWS, documents.LIMIT), str(folder / VIEWS))
    except FileNotFoundError as error:
        raise CacheError(
            f"{folder / str(error.filename)}: missing, as is the ledger that would tell what it was; restore the cache (`dvc "
            "checkout`), or remove it and run `scmd teacher`"
        ) from error
    return TeacherCache(folder, attributes, rows, attributes.shape(len(rows), columns), _head_file(folder), "")


def open_complete(folder: Path) -> TeacherCache:
    """A cache that can be trained from. Raises CacheError where blocks are missing."""
    cache = open_any(folder)
    if lacking := cache.incomplete_blocks():
        raise CacheError(
            f"{folder}: {len(lacking)} of {cache.shape.blocks} blocks are not finished; run `scmd teacher` to complete it"
        )
    return cache
