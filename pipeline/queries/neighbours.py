"""The nearest samples that are other pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.queries import index
from pipeline.queries.index import Index


@dataclass(frozen=True)
class Others:
    """Of each question the nearest among the known, nearest first: `cosines` and `known` (q, ·), and `counted` (q, ·), which are
    its k nearest of other pictures: where the known are fewer, less than k."""

    cosines: np.ndarray
    known: np.ndarray
    counted: np.ndarray


@dataclass(frozen=True)
class Known:
    """Samples that can be asked for neighbours. Equal `ids` (n,) are one picture; `copies` is how often one stands there."""

    ids: np.ndarray
    index: Index
    copies: int

    @classmethod
    def of(cls, rows: np.ndarray, ids: np.ndarray) -> "Known":
        """Unit rows (n, D), all of which are searched."""
        copies = int(np.unique(ids, return_counts=True)[1].max())
        return cls(ids, index.build(np.asarray(rows, np.float32), Path(), len(rows)), copies)

    def nearest(self, asked: np.ndarray, ids: np.ndarray, k: int) -> Others:
        """Unit questions (q, D). A picture is no neighbour of itself, wherever it stands, whichever view is asked about."""
        # As many more as a picture stands there: its own copies do not count.
        cosines, found = self.index.nearest(asked, k + self.copies)
        other = self.ids[found] != ids[:, None]
        return Others(cosines, found, other & (np.cumsum(other, 1) <= k))
