"""How well the teacher's features tell classes apart: the majority of the nearest samples, within a domain and across domains."""

from dataclasses import dataclass

import numpy as np

from pipeline.queries.features import Features

# Rows whose cosines with all others are held at once.
BATCH = 2048


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
    classes, answers = int(labels.max()) + 1, []
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        cosines = rows[some] @ rows[known].T
        cosines[ids[some][:, None] == ids[known][None]] = -np.inf
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        weights = np.take_along_axis(cosines, nearest, 1)
        # A vote each; its cosine, which is below one, only settles a draw.
        votes = np.where(np.isfinite(weights), 1 + np.nan_to_num(weights, neginf=0) / (4 * k), 0)
        tally = np.zeros((len(some), classes))
        np.add.at(tally, (np.arange(len(some))[:, None], labels[known][nearest]), votes)
        answers.append(tally.argmax(1))
    return np.concatenate(answers)
