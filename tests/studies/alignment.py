"""Accuracy apart for images that the teacher knows under their class's name and for those that it does not (IP and OOP, arXiv
2412.02856): does a student only repeat its teacher?"""

import numpy as np

from pipeline.teacher.zero_shot import class_embeddings, unit


def alignments(features: np.ndarray, text: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, D) image features, (P, C, D) text, (N,) true classes → (N,) cosines of image and true class."""
    return np.asarray((unit(features.astype(np.float64)) * class_embeddings(text)[labels]).sum(1))


def threshold(aligned: np.ndarray, right: np.ndarray) -> float:
    """The alignment from which on the teacher is taken to know an image: of all that stand in (n,) `aligned`, the one that best
    tells images that it names `right` from others, by the mean of the two shares told rightly; the smallest of several."""
    order = np.argsort(aligned, kind="stable")
    values, is_right = aligned[order], right[order].astype(np.int64)
    rights, wrongs = is_right.sum(), len(is_right) - is_right.sum()
    above = rights - (np.cumsum(is_right) - is_right)
    below = np.arange(len(is_right)) - (rights - above)
    first = np.concatenate([[True], values[1:] > values[:-1]])
    told = above * max(1, wrongs) + below * max(1, rights)  # the shares' sum, in whole numbers: several may be equal
    return float(values[np.argmax(np.where(first, told, -1))])
