"""Means over trials with their 95 % intervals, and differences of methods trial by trial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

LEVEL = 0.95
# Shares that deviate by less are equal but for rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """The mean of n values and half the width of its interval (Student's t), which one value does not have."""

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float:
        """Minus infinity where there is no interval."""
        return -math.inf if self.half is None else self.mean - self.half

    @property
    def high(self) -> float:
        """Plus infinity where there is no interval."""
        return math.inf if self.half is None else self.mean + self.half

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of zero; of values that are all equal nothing is known of how they vary,
        and it does not."""
        return self.half != 0 and (self.low > 0 or self.high < 0)


def interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """None where there is no value."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation < ROUNDING:
        return Interval(mean, 0.0, n)
    return Interval(mean, float(stats.t.ppf((1 + level) / 2, n - 1)) * deviation / math.sqrt(n), n)


def difference(one: Mapping[int, float], other: Mapping[int, float], level: float = LEVEL) -> Interval | None:
    """Of two methods' accuracies by trial number, over the numbers that both have: a trial number fixes split and start."""
    return interval([one[number] - other[number] for number in sorted(one.keys() & other.keys())], level)


def level_of_each(comparisons: int) -> float:
    """Of so many intervals, such that all of them together hold at `LEVEL` (Bonferroni)."""
    return 1 - (1 - LEVEL) / comparisons


def ahead_of_all(accuracies: Mapping[str, Mapping[int, float]]) -> str | None:
    """The method whose paired difference from each of the others has an interval above zero, if there is one; the intervals are
    those that hold for all of its comparisons together (Bonferroni).

    `accuracies` holds of each method its accuracy by trial number.
    """
    level = level_of_each(max(1, len(accuracies) - 1))
    for name, values in accuracies.items():
        others = [difference(values, theirs, level) for other, theirs in accuracies.items() if other != name]
        if others and all(one is not None and one.excludes_zero and one.mean > 0 for one in others):
            return name
    return None
