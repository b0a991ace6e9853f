"""What trials of several methods on the same (style, trial) pairs show: intervals, exact tests, and a correction for many."""

import itertools
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

DRAWS, SEED, LEVEL = 10_000, 0, 0.95
# Sums of differences that are equal but for rounding count as equal.
ROUNDING = 1e-9
Name = TypeVar("Name")


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """(styles, trials) values → the 95 % interval of their mean, by drawing styles anew, and of each its trials."""
    styles, trials = values.shape
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, styles, (DRAWS, styles, 1))
    means = values[drawn, random.integers(0, trials, (DRAWS, styles, trials))].mean((1, 2))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_flip(differences: np.ndarray) -> float:
    """Two-sided p of n paired differences by all 2ⁿ changes of their signs: the share that is as far from zero as they are."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    sums = np.abs(signs @ differences)
    return float((sums >= abs(differences.sum()) - ROUNDING).mean())


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's step-down correction: the p of each hypothesis such that all of them together err at a level's rate at most."""
    corrected, before = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda one: p[one])):
        before = max(before, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = before
    return {name: corrected[name] for name in p}
