"""Sides of a comparison, measured in turn in one process; what one was, beside another."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.writing import replace_text

WARM_UP = 2


@dataclass(frozen=True)
class Measured:
    """Seconds of one side over all rounds: the middle one, and the quarter and three-quarter points."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Measured":
        """Of two rounds or more."""
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Comparison:
    """`setting` says on what; `sides` are seconds by name; `ratios` of pairs, the median over rounds; `wanted` what some of them
    should be at most."""

    setting: Mapping[str, Any]
    sides: Mapping[str, Measured]
    ratios: Mapping[str, float]
    wanted: Mapping[str, float] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """For a reader."""
        yield ", ".join(f"{name} {value}" for name, value in self.setting.items())
        width = max(map(len, (*self.sides, *self.ratios)))
        for name, one in self.sides.items():
            yield f"  {name:<{width}}  {1e3 * one.median:9.2f} ms  ({1e3 * one.low:.2f} to {1e3 * one.high:.2f})"
        for name, ratio in self.ratios.items():
            yield f"  {name:<{width}}  {ratio:9.3f}{_limit(self.wanted, name)}"


@dataclass(frozen=True)
class Figures:
    """`setting` says on what; `figures` by what they are of, with their unit; `wanted` at most, of those that have a limit."""

    setting: Mapping[str, Any]
    figures: Mapping[str, float]
    wanted: Mapping[str, float]

    def lines(self) -> Iterator[str]:
        """For a reader."""
        yield ", ".join(f"{name} {value}" for name, value in self.setting.items())
        for name, figure in self.figures.items():
            yield f"  {name}  {figure:.2f}{_limit(self.wanted, name)}"


def _limit(wanted: Mapping[str, float], name: str) -> str:
    return f"     (at most {wanted[name]} is wanted)" if name in wanted else ""


def alternate(
    setting: Mapping[str, Any],
    sides: Mapping[str, Callable[[], object]],
    pairs: Mapping[str, tuple[str, str]],
    rounds: int,
    wanted: Mapping[str, float] | None = None,
) -> Comparison:
    """Each side once a round, the order reversed every other round; `pairs` name ratios, taken within a round, and `wanted` what
    they should at most be."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(WARM_UP + rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - started)
    kept = {name: each[WARM_UP:] for name, each in seconds.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(kept[one], kept[other], strict=True))
        for name, (one, other) in pairs.items()
    }
    return Comparison(setting, {name: Measured.of(each) for name, each in kept.items()}, ratios, wanted or {})


def write(found: Sequence[Comparison | Figures], to: Path) -> None:
    """As JSON."""
    replace_text(to, json.dumps([asdict(one) for one in found], indent=1) + "\n")
