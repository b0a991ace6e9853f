"""How well the teacher's features tell classes apart: the majority of the nearest samples, within a domain and across domains."""

from dataclasses import dataclass

import numpy as np

from pipeline.queries.features import Features
from pipeline.queries.neighbours import Known


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
    others = Known.of(rows[known], ids[known]).nearest(rows[asked], ids[asked], k)
    # A vote each; its cosine, which is at most one, only settles a draw.
    votes = others.counted * (1 + others.cosines.clip(-1, 1) / (4 * k))
    tally = np.zeros((len(asked), int(labels.max()) + 1))
    np.add.at(tally, (np.arange(len(asked))[:, None], labels[known[others.known]]), votes)
    return np.asarray(tally.argmax(1))
