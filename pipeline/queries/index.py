"""Nearest rows by cosine (FAISS): exact up to so many rows; above, an inverted file that is kept for the next question."""

import hashlib
import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.writing import replacing

EXACT_UP_TO = 1_000_000
# Of an inverted file's lists, the share that a question looks into; FAISS advises 4√n to 16√n lists.
LISTS, LOOKED_INTO = 4, 0.1
# Questions that are answered at once, and pairs that are worth listing.
BATCH, MOST_PAIRS = 1024, 1_000_000


@dataclass(frozen=True)
class Index:
    """`rows` (n, D) float32 of length 1, behind an index of FAISS; `exact` says whether its answers are all and the nearest."""

    rows: np.ndarray
    faiss: Any
    exact: bool

    def nearest(self, questions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(q, D) → cosines (q, k) and rows (q, k), nearest first; where there are less, −1 stands for a row."""
        scores, rows = self.faiss.search(np.ascontiguousarray(questions, np.float32), min(k, len(self.rows)))
        return scores, rows

    def pairs(self, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of rows with a cosine of at least `least`: cosines, first and second row, first < second, by first and second.

        Raises InputError above `MOST_PAIRS`.
        """
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for start in range(0, len(self.rows), BATCH):
            # FAISS takes those above its radius, not at it.
            limits, scores, others = self.faiss.range_search(
                self.rows[start : start + BATCH], float(np.nextafter(np.float32(least), np.float32(-1)))
            )
            firsts = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
            later = others > firsts
            found.append((scores[later], firsts[later], others[later]))
            if sum(len(part[0]) for part in found) > MOST_PAIRS:
                raise InputError(
                    f"more than {MOST_PAIRS:,} pairs of pictures are alike at {least}, as those of a fixed camera are; ask "
                    "with a larger `--near`"
                )
        scores, firsts, seconds = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((seconds, firsts))
        return scores[order], firsts[order], seconds[order]


def build(rows: np.ndarray, kept: Path, exact_up_to: int = EXACT_UP_TO) -> Index:
    """Exact up to `exact_up_to` rows; above, approximate, said so, and kept below the folder `kept` by the digest of the rows."""
    if len(rows) <= exact_up_to:
        flat = faiss.IndexFlatIP(rows.shape[1])
        flat.add(rows)
        return Index(rows, flat, exact=True)
    say(f"{len(rows):,} rows are more than {exact_up_to:,}: the search is approximate, and may miss some")
    file = kept / f"{hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()}.faiss"
    if file.is_file():
        with suppress(RuntimeError):  # cut off, or another library's: it is made again
            return Index(rows, faiss.read_index(str(file)), exact=False)
    index = _inverted(rows)
    shutil.rmtree(kept, ignore_errors=True)  # of rows that are no longer asked about
    kept.mkdir(parents=True)
    with replacing(file) as partial:
        faiss.write_index(index, str(partial))
    return Index(rows, index, exact=False)


def _inverted(rows: np.ndarray) -> Any:
    lists = max(1, int(LISTS * math.sqrt(len(rows))))
    index: Any = faiss.index_factory(rows.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    index.nprobe = max(1, round(LOOKED_INTO * lists))
    return index
