"""How far a label is borne out: the share of a sample's nearest other pictures, in the teacher's space, that have it, too."""

import numpy as np

from pipeline.adapters.labelled import Labelled
from pipeline.queries.neighbours import Known

NEIGHBOURS = 20


def agreement(labelled: Labelled, k: int = NEIGHBOURS) -> np.ndarray:
    """(n,) shares from 0 to 1, each over the k nearest of the others; 0 for a sample without any."""
    said = tally(labelled, k)
    return np.asarray(said[np.arange(len(said)), labelled.labels] / np.maximum(said.sum(1), 1))


def tally(labelled: Labelled, k: int) -> np.ndarray:
    """(n, labels) how many of a sample's k nearest others have which label."""
    others = Known.of(labelled.features, labelled.rows).nearest(labelled.features, labelled.rows, k)
    said = np.zeros((len(labelled.labels), int(labelled.labels.max()) + 1), int)
    np.add.at(said, (np.arange(len(said))[:, None], labelled.labels[others.known]), others.counted)
    return said
