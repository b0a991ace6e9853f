"""Samples whose labels may be used: what an adapter is fitted to, or chosen by."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """Of n samples of the source domains, on the clean view: `features` (n, D) float64 of length 1, and (n,) each: `rows` in the
    cache, equal ones being one picture, `labels`, and `domains`."""

    features: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    domains: np.ndarray

    def part(self, which: np.ndarray) -> "Labelled":
        """The samples where `which` (n,) is true."""
        return Labelled(self.features[which], self.rows[which], self.labels[which], self.domains[which])

    def accuracy(self, logits: np.ndarray) -> float:
        """(n, C) → the mean over domains of the share that is named rightly, as training-domain validation counts."""
        right = logits.argmax(1) == self.labels
        return float(np.mean([right[self.domains == one].mean() for one in np.unique(self.domains)]))
