"""How well the teacher's features tell classes apart: the majority of the nearest samples, within a domain and across domains."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.queries import index
from pipeline.queries.features import Features


@dataclass(frozen=True)
class Probed:
    """Share of a domain's samples that the majority of their k nearest names rightly: of the same domain, and of the others."""

    domain: str
    samples: int
    within: float
    across: float


def probe(features: Features, k: int) -> list[Probed]:
    """A domain each, in order of appearance. A neighbour is never the same picture, wherever that stands."""
    domains, labels = features.values("domain"), features.values("label")
    _, ids = np.unique(features.values("id"), return_inverse=True)
    found = []
    for domain in dict.fromkeys(domains.tolist()):
        own = domains == domain
        right = [
            _majority(features.rows, np.flatnonzero(own), np.flatnonzero(of), ids, labels, k) == labels[own]
            for of in (own, ~own)
        ]
        found.append(Probed(domain, int(own.sum()), *(float(one.mean()) for one in right)))
    return found


def _majority(
    rows: np.ndarray, asked: np.ndarray, known: np.ndarray, ids: np.ndarray, labels: np.ndarray, k: int
) -> np.ndarray:
    """Of each row `asked` the label that most of its k nearest among `known` have, of equals the one with the larger cosines."""
    # As many more as a picture stands there: its own copies have no vote.
    more = int(np.bincount(ids[known]).max())
    cosines, found = index.build(rows[known], Path(), len(known)).nearest(rows[asked], k + more)
    nearest = known[found]
    theirs = np.where(ids[nearest] == ids[asked][:, None], 0, 1)
    theirs = np.where(np.cumsum(theirs, 1) <= k, theirs, 0)
    # A vote each; its cosine, which is at most one, only settles a draw.
    votes = theirs * (1 + cosines.clip(-1, 1) / (4 * k))
    tally = np.zeros((len(asked), int(labels.max()) + 1))
    np.add.at(tally, (np.arange(len(asked))[:, None], labels[nearest]), votes)
    return np.asarray(tally.argmax(1))
