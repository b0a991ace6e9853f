"""How far a label is borne out: how many of a sample's nearest other pictures, in the teacher's space, have it, too."""

import numpy as np

from pipeline.adapters.labelled import Labelled
from pipeline.queries.neighbours import Known

NEIGHBOURS = 20


def agreement(labelled: Labelled, k: int = NEIGHBOURS) -> np.ndarray:
    """(n,) from 0 to 1: of the k nearest others the share that has the label, of a rare label of as many as there are; 1 for a
    sample that no other bears out or contradicts."""
    return borne_out(labelled, tally(labelled, k), k)


def borne_out(labelled: Labelled, said: np.ndarray, k: int) -> np.ndarray:
    """(n,) the agreement, from what the k nearest say (`tally`)."""
    alike = _others_alike(labelled)
    own = said[np.arange(len(alike)), labelled.labels]
    return np.asarray(np.where(alike > 0, own / np.minimum(np.maximum(alike, 1), k), 1.0))


def tally(labelled: Labelled, k: int) -> np.ndarray:
    """(n, labels) how many of a sample's k nearest others have which label."""
    others = Known.of(labelled.features, labelled.rows).nearest(labelled.features, labelled.rows, k)
    said = np.zeros((len(labelled.labels), int(labelled.labels.max()) + 1), int)
    np.add.at(said, (np.arange(len(said))[:, None], labelled.labels[others.known]), others.counted)
    return said


def _others_alike(labelled: Labelled) -> np.ndarray:
    """(n,) how many samples of other pictures have a sample's label."""
    pairs = np.stack([labelled.rows, labelled.labels], 1)
    _, own, copies = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(labelled.labels)[labelled.labels] - copies[own.ravel()])
