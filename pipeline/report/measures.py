"""Answers and labels → what is looked at: confusions, calibration, and the samples worth a picture. Arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np

BINS = 15


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """(n,), (n,) → (C, C) counts: a row a label, a column an answer."""
    return np.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)


def largest_confusions(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """(label, answer, count) of the largest counts off the diagonal, largest first, ties by label and answer."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [(int(at) // len(wrong), int(at) % len(wrong)) for at in order]
    return [(label, answer, int(wrong[label, answer])) for label, answer in places if wrong[label, answer]]


@dataclass(frozen=True)
class Reliability:
    """Of answers in equal bins of their confidence, (BINS,) each: `counts`, sums of `confidence`, and how many are `right`."""

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray) -> "Reliability":
        """(n,) probabilities of the answers given, (n,) whether they are right."""
        bins = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(int) - 1, 0, BINS - 1)
        sums = [np.bincount(bins, weights, BINS) for weights in (None, confidence, right)]
        return cls(*sums)

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(self.counts + other.counts, self.confidence + other.confidence, self.right + other.right)

    @property
    def filled(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean confidence and accuracy of each bin that has answers."""
        some = self.counts > 0
        return self.confidence[some] / self.counts[some], self.right[some] / self.counts[some]

    @property
    def ece(self) -> float:
        """Expected calibration error (Guo et al., 2017): |accuracy − confidence|, averaged over answers bin by bin."""
        return float(np.abs(self.right - self.confidence).sum() / max(1, self.counts.sum()))


def most_selected(selected: np.ndarray, most: int) -> np.ndarray:
    """Samples that were learnt from most often, most often first, ties by row."""
    order = np.argsort(-selected, kind="stable")[:most]
    return order[selected[order] > 0]


def surest(confidence: np.ndarray, among: np.ndarray, most: int) -> np.ndarray:
    """Of the samples where `among` (n,) is true those with the largest confidence, ties by row."""
    there = np.flatnonzero(among)
    return there[np.argsort(-confidence[there], kind="stable")[:most]]
