"""Arrays of a block → disk; which blocks are still to do. A block counts once its ledger says so."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.cache import chunks, ledger
from pipeline.cache.files import sha256, sync_folder, write_file
from pipeline.cache.layout import (
    TEXT_CHUNK,
    VIEW_ARRAYS,
    Shape,
    chunk_path,
    encode,
    metadata,
)
from pipeline.cache.ledger import HEAD, Entry, Ledger
from pipeline.cache.rows import Row, prompts_file, rows_file


@dataclass(frozen=True)
class Work:
    """Rows `first` … of a block are missing in these views (rows before stand there already)."""

    block: int
    first: int
    views: tuple[int, ...]


@dataclass(frozen=True)
class Writer:
    """A cache under construction in `folder`. Everything in it is decided before the first write."""

    folder: Path
    shape: Shape
    chain: str
    provenance: dict

    def write_head(
        self, attributes: dict, rows: list[Row], texts: list[list[str]], text_embeddings: np.ndarray
    ) -> None:
        """Rows, prompts, text embeddings and metadata: what all blocks share. The rows come first, for a later resume."""
        identity = attributes["identity"]
        files = {
            "rows.parquet": rows_file(rows),
            "prompts.parquet": prompts_file(identity["templates"], identity["classes"], texts),
            TEXT_CHUNK: encode(text_embeddings, self.chain),
            **metadata(self.shape, self.chain, {"scmd": attributes}),
        }
        for path, data in files.items():
            write_file(self.folder / path, data)
        entries = {path: Entry(len(data), sha256(data)) for path, data in files.items()}
        ledger.write(self.folder, HEAD, Ledger(entries, (self.provenance,)))

    def missing(self, array: str) -> list[Work]:
        """What is still to compute of an array, block by block; views with the same gap together."""
        work = []
        for block in range(self.shape.blocks):
            files = ledger.read(self.folder, str(block)).files
            gaps: dict[int, list[int]] = {}
            for view in range(self.shape.views):
                entry = files.get(chunk_path(array, block, view))
                done = entry.rows if entry else 0
                if done < self.shape.rows(block):
                    gaps.setdefault(done, []).append(view)
            work += [Work(block, first, tuple(views)) for first, views in sorted(gaps.items())]
        return work

    def write(self, work: Work, arrays: Mapping[str, np.ndarray]) -> None:
        """Name → (rows − first, len(work.views), width). Chunks first, synced; the block's ledger last."""
        before = ledger.read(self.folder, str(work.block))
        rows = self.shape.rows(work.block)
        entries = {}
        for name, values in arrays.items():
            spec = VIEW_ARRAYS[name]
            for at, view in enumerate(work.views):
                path = chunk_path(name, work.block, view)
                chunk = np.zeros(spec.chunk(self.shape), spec.dtype)
                if work.first:
                    old = chunks.read(self.folder, before, self.shape, self.chain, name, work.block, view)
                    chunk[: work.first, 0] = old[: work.first]
                chunk[work.first : rows, 0] = values[:, at]
                data = encode(chunk, self.chain)
                write_file(self.folder / path, data)
                entries[path] = Entry(len(data), sha256(data), rows)
        ledger.write(self.folder, str(work.block), before.with_files(entries, self.provenance))

    def read(self, array: str, work: Work) -> np.ndarray:
        """(rows − first, len(work.views), width): what stands of the rows and views of `work`."""
        block = ledger.read(self.folder, str(work.block))
        stored = [
            chunks.read(self.folder, block, self.shape, self.chain, array, work.block, view)[work.first :]
            for view in work.views
        ]
        return np.stack(stored, 1)


def copy_image_pass(source: Path, target: Path, shape: Shape) -> None:
    """Starts `target` with everything of `source` that prompts and classes do not change."""
    for block in range(shape.blocks):
        old = ledger.read(source, str(block))
        kept = {path: entry for path, entry in old.files.items() if not path.startswith("logits/")}
        for path, entry in kept.items():
            write_file(target / path, ledger.checked_bytes(source, path, entry))
        ledger.write(target, str(block), Ledger(kept, old.provenance))


def switch(building: Path, folder: Path) -> None:
    """The finished cache takes the place of the old one, which stands until then."""
    folder.rename(_retired(folder))
    building.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(_retired(folder))


def finish_switch(folder: Path) -> None:
    """After a kill within `switch`: the old cache comes back if the new one had not taken its place, else it goes."""
    retired = _retired(folder)
    if retired.exists() and not folder.exists():
        retired.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)


def _retired(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.retired")
