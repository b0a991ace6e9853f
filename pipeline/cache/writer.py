"""Arrays of a block → disk; which blocks are still to do. A block counts once its ledger says so."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import chunks, ledger, metadata
from pipeline.cache.files import make_folder, read_file, remove_folder, sha256, sync_folder, write_file
from pipeline.cache.layout import (
    FURTHER_FILES,
    HEAD_FILES,
    PROMPTS,
    ROWS,
    TEXT_CHUNK,
    VIEW_ARRAYS,
    Shape,
    chunk_path,
    encode,
    most_bytes,
)
from pipeline.cache.ledger import HEAD, Entry, Ledger
from pipeline.cache.metadata import Attributes
from pipeline.cache.origin import Origins
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row, prompts_file, rows_file
from pipeline.errors import CacheError

HEAD_PATHS = HEAD_FILES | {ledger.path_of(HEAD)}


@dataclass(frozen=True)
class Work:
    """Rows `first` … of a block are missing in these views of these arrays (rows before stand there already).

    Of these only the rows whose image is there are made (`Writer.rows_of`).
    """

    block: int
    first: int
    views: tuple[int, ...]
    arrays: tuple[str, ...]


@dataclass(frozen=True)
class Writer:
    """A cache under construction in `folder`. Everything in it is decided before the first write.

    Files in `harmed` are known not to be what their ledger lists: they count as missing, as does all of a harmed ledger.
    `gone` are rows whose images are not among the samples any more: what stands of them is kept, and nothing is made.
    """

    folder: Path
    shape: Shape
    chain: str
    origins: Origins
    provenance: dict[str, Any]
    harmed: Set[str] = frozenset()
    gone: Set[int] = frozenset()

    def write_head(
        self, attributes: Attributes, rows: list[Row], texts: list[list[str]], embeddings: Mapping[str, np.ndarray]
    ) -> None:
        """Rows, prompts, text embeddings and metadata: what all blocks share, in one commit.

        `texts` (P + Q, C) of the templates and the further ones, `embeddings` (P, C, D) and (Q, C, D) by the path of their chunk.
        """
        identity = attributes.identity
        templates = [*identity["templates"], *identity.get("further_templates", [])]
        files = {
            ROWS: rows_file(rows),
            PROMPTS: prompts_file(templates, identity["classes"], texts),
            **{path: encode(values, self.chain) for path, values in embeddings.items()},
            **metadata.written(self.shape, self.chain, attributes),
        }
        entries = {path: Entry(size=len(data), sha256=sha256(data)) for path, data in files.items()}
        before = ledger.read(self.folder, HEAD)
        before = before.without(FURTHER_FILES - entries.keys())
        if TEXT_CHUNK in before.files and before.files[TEXT_CHUNK] != entries[TEXT_CHUNK]:
            self._drop_logits_of_unknown_text()
        ledger.commit(self.folder, HEAD, files, before, before.followed_by(entries, self.provenance))

    def _drop_logits_of_unknown_text(self) -> None:
        """Logits of blocks that do not say from which text they follow: it was the one that goes now."""
        for block in range(self.shape.blocks):
            listed = ledger.read(self.folder, ledger.name_of(block))
            if listed.origin is None and listed.files:
                ledger.commit(self.folder, ledger.name_of(block), {}, listed, listed.without(listed.logits()))

    def block_of(self, work: Work) -> range:
        """The rows that are missing."""
        start = work.block * self.shape.block
        return range(start + work.first, start + self.shape.rows(work.block))

    def rows_of(self, work: Work) -> list[int]:
        """The rows that some work on images makes."""
        return [row for row in self.block_of(work) if row not in self.gone]

    def missing(self, arrays: tuple[str, ...]) -> list[Work]:
        """What is still to compute of some arrays, block by block; views with the same gaps together."""
        work = []
        text = self._text()
        for block in range(self.shape.blocks):
            name = ledger.name_of(block)
            harmed = ledger.path_of(name) in self.harmed
            listed = Ledger({}) if harmed else self._usable(ledger.read(self.folder, name), block, text)
            gaps: dict[tuple[int, tuple[str, ...]], list[int]] = {}
            for view in range(self.shape.views):
                for first, lacking in self._gaps(listed, block, view, arrays).items():
                    gaps.setdefault((first, tuple(lacking)), []).append(view)
            work += [Work(block, first, tuple(views), lacking) for (first, lacking), views in sorted(gaps.items())]
        return work

    def _gaps(self, listed: Ledger, block: int, view: int, arrays: tuple[str, ...]) -> dict[int, list[str]]:
        """First missing row → the arrays that lack it."""
        gaps: dict[int, list[str]] = {}
        for name in arrays:
            path = chunk_path(name, block, view)
            start = block * self.shape.block
            came_back = any(start + row not in self.gone for row in listed.absent_of(path))
            done = 0 if path in self.harmed or came_back else listed.rows_of(path)
            if done < self.shape.rows(block):
                gaps.setdefault(done, []).append(name)
        return gaps

    def write(self, work: Work, arrays: Mapping[str, np.ndarray]) -> None:
        """Name → (rows, len(work.views), width): chunks, and with them the block's ledger, in one commit.

        The rows are `rows_of(work)`; of logits, which follow from what stands, all from `work.first` on.
        """
        name, text = ledger.name_of(work.block), self._text()
        before = ledger.read(self.folder, name)
        rows = self.shape.rows(work.block)
        kept = self._usable(before, work.block, text)
        files, entries, outdated = {}, {}, set()
        for array, values in arrays.items():
            for at, view in enumerate(work.views):
                path = chunk_path(array, work.block, view)
                chunk, absent = self._chunk(work, array, view, values[:, at], kept)
                data = encode(chunk, self.chain)
                files[path], entries[path] = data, Entry(size=len(data), sha256=sha256(data), rows=rows, absent=absent)
                if array == "image_features" and not work.first and before.files.get(path) != entries[path]:
                    # Logits follow from the stored features: those of others do not belong to these. Where rows were
                    # only added, the earlier ones stay.
                    outdated.add(chunk_path("logits", work.block, view))
        kept = kept.without(outdated)
        has_logits = "logits" in arrays or kept.logits()
        # What a block without an origin keeps stays unknown.
        unknown = bool(kept.files) and before.origin is None
        origin = None if unknown else self.origins.of(work.block, rows, text if has_logits else "")
        ledger.commit(self.folder, name, files, before, kept.followed_by(entries, self.provenance, origin))

    def _usable(self, listed: Ledger, block: int, text: str) -> Ledger:
        """A block's ledger without what was computed from anything but this cache's: all of it, or its logits."""
        if listed.why_foreign(block, self.origins):
            return Ledger({})
        return listed.without(listed.stale_logits(text))

    def standing_text(self, path: str) -> np.ndarray | None:
        """(P, C, D) or (Q, C, D), by the path of their chunk: text embeddings that the head lists, or that logits which stand
        follow from; None where there are none."""
        try:
            data = read_file(self.folder, path, most_bytes(path, self.shape))
            text = chunks.decoded_text(data, self.shape, self.chain, path)
        except (FileNotFoundError, CacheError):
            return None
        head = self._text(path)
        return text if sha256(data) in ({head} if head else self._followed_texts()) else None

    def _followed_texts(self) -> set[str]:
        listed = (ledger.read(self.folder, ledger.name_of(block)) for block in range(self.shape.blocks))
        return {one.origin.text for one in listed if one.origin}

    def _text(self, path: str = TEXT_CHUNK) -> str:
        """The digest of text embeddings as the head lists it, by default of those that logits must follow from."""
        if ledger.path_of(HEAD) in self.harmed:
            return ""
        entry = ledger.read(self.folder, HEAD).files.get(path)
        return entry.sha256 if entry else ""

    def _chunk(
        self, work: Work, array: str, view: int, values: np.ndarray, kept: Ledger
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """A chunk with what stands and what is new, and the rows of which there is neither."""
        spec, path = VIEW_ARRAYS[array], chunk_path(array, work.block, view)
        chunk = np.zeros(spec.chunk(self.shape), spec.dtype)
        known = set()
        if path in kept.files and path not in self.harmed:
            count = kept.rows_of(path)
            old = chunks.read(self.folder, kept, self.shape, self.chain, array, work.block, view)
            chunk[:count, 0] = old[:count]
            known = set(range(count)) - set(kept.absent_of(path))
        start, rows = work.block * self.shape.block, self.shape.rows(work.block)
        made = range(work.first, rows) if array == "logits" else [row - start for row in self.rows_of(work)]
        chunk[made, 0] = values
        return chunk, tuple(sorted(set(range(rows)) - known - set(made)))

    def read(self, array: str, work: Work) -> np.ndarray:
        """(rows − first, len(work.views), width): what stands of the rows and views of `work`."""
        listed = ledger.read(self.folder, ledger.name_of(work.block))
        stored = [
            chunks.read(self.folder, listed, self.shape, self.chain, array, work.block, view)[work.first :]
            for view in work.views
        ]
        return np.stack(stored, 1)


def copy_image_pass(source: TeacherCache, target: Path) -> None:
    """Starts `target` with everything of `source` that prompts and classes do not change."""
    for block in range(source.shape.blocks):
        name = ledger.name_of(block)
        old = ledger.read(source.folder, name)
        if old.why_foreign(block, source.origins):
            continue  # another cache's: it is computed anew
        kept = old.without(old.logits())
        for path, entry in kept.files.items():
            write_file(target / path, ledger.checked_bytes(source.folder, path, entry, most_bytes(path, source.shape)))
        origin = old.origin.model_copy(update={"text": ""}) if old.origin else None
        write_file(target / ledger.path_of(name), replace(kept, origin=origin).to_bytes())


def switch(building: Path, folder: Path) -> None:
    """The finished cache takes the place of the old one, which stands until then."""
    try:
        make_folder(folder.parent)
        if folder.exists():
            folder.rename(_retired(folder))
        building.rename(folder)
        sync_folder(folder.parent)
        remove_folder(_retired(folder))
    except OSError as error:
        raise CacheError(
            f"{folder}: the finished cache cannot take its place ({error.strerror}); allow writing in its parent folder "
            "and run the same command again"
        ) from error


def finish_switch(folder: Path) -> None:
    """After a kill within `switch`: the old cache comes back if the new one had not taken its place, else it goes."""
    retired = _retired(folder)
    if retired.exists() and not folder.exists():
        retired.rename(folder)
        sync_folder(folder.parent)
    remove_folder(retired)


def _retired(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.retired")
