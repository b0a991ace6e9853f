"""The first table of the page: held-out domain × method, means with intervals, and what is printed bold."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.report.accuracies import ZERO_SHOT, Accuracies, mark, shown
from pipeline.report.intervals import ahead_of_all, interval


@dataclass(frozen=True)
class Cell:
    """`text` as it is shown, `value` to sort by; `bold` where it is ahead of all other methods of its row."""

    text: str
    value: float
    bold: bool


@dataclass(frozen=True)
class Headline:
    """`columns` names teacher and methods; `rows` hold the held-out domains, and their average where there are several."""

    columns: list[str]
    rows: dict[str, list[Cell]]


def headline(found: Accuracies, collapsed: Collection[tuple[str, str]] = ()) -> Headline:
    """Bold is a method whose paired difference from every other has an interval above zero (95 % for all at once); `collapsed`
    cells are marked."""
    rows = {}
    for domain, columns in shown(found).items():
        ahead = ahead_of_all({name: values for name, values in columns.items() if name != ZERO_SHOT})
        rows[domain] = [
            _cell(values, bold=name == ahead, mark=mark((domain, name) in collapsed))
            for name, values in columns.items()
        ]
    return Headline(list(next(iter(found.values()))), rows)


def _cell(values: Mapping[int, float], *, bold: bool, mark: str) -> Cell:
    found = interval(list(values.values()))
    if found is None:
        return Cell("–", -1.0, bold)
    half = "" if found.half is None else f" ± {100 * found.half:.1f}"
    return Cell(f"{100 * found.mean:.1f}{half} ({found.n}){mark}", found.mean, bold)
