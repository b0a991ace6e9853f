"""Trials → one table: per held-out domain and on average, each method's accuracy with its number of trials."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from pipeline.report.accuracies import Accuracies, mark, shown
from pipeline.trials.files import OUTDATED

_PAGE = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
{{ about }}

{{ verdict }}

{% for leak in leaks %}
**Leak:** {{ leak }}.

{% endfor %}
| held out | {{ methods | join(" | ") }} |
|---|{{ "---|" * methods | length }}
{% for row in rows %}
| {{ row.name }} | {{ row.cells | join(" | ") }} |
{% endfor %}

Accuracy in % on the held-out domain's in split ({{ inside }} %), mean ± standard error over trials (their number in brackets).
The checkpoint of each trial is the one with the best mean accuracy on the *source* domains' out splits
(training-domain validation); the held-out domain has no part in that choice.
Teacher zero-shot is the cached CLIP's own accuracy on the same images.
{% for line in missing %}
{{ line }}
{% endfor %}
"""
)


@dataclass(frozen=True)
class Cell:
    """Mean accuracy and standard error (population std / √n, DomainBed's) of `trials` trials, as shares."""

    mean: float
    error: float
    trials: int
    collapsed: bool = False

    def __str__(self) -> str:
        spread = f" ± {100 * self.error:.1f}" if self.trials > 1 else ""
        return f"{100 * self.mean:.1f}{spread} ({self.trials}){mark(self.collapsed)}"


def cell(values: Sequence[float], *, collapsed: bool = False) -> Cell | None:
    """None where there is no trial."""
    if not values:
        return None
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return Cell(mean, math.sqrt(variance / len(values)), len(values), collapsed)


def tabulate(found: Accuracies, collapsed: Collection[tuple[str, str]] = ()) -> dict[str, dict[str, Cell | None]]:
    """Held-out domain (then `average`) → method (first the teacher) → cell; `collapsed` names those that are marked."""
    return {
        domain: {
            name: cell(list(values.values()), collapsed=(domain, name) in collapsed) for name, values in columns.items()
        }
        for domain, columns in found.items()
    }


def page(
    about: str,
    verdict: str,
    leaks: list[str],
    table: dict[str, dict[str, Cell | None]],
    inside: float,
    missing: list[str],
) -> str:
    """The table as Markdown, below lines that say of what it is, what it shows and where pictures leak, above those of what is
    missing; `inside` is the in split's share."""
    methods = list(next(iter(table.values())))
    rows = [
        {"name": name, "cells": [str(c) if c else "–" for c in cells.values()]} for name, cells in shown(table).items()
    ]
    return _PAGE.render(
        about=about,
        verdict=verdict,
        leaks=leaks,
        methods=methods,
        rows=rows,
        inside=f"{100 * inside:.3g}",
        missing=missing,
    )


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[object]]) -> list[str]:
    """The lines of a plain table of held-out domains; what there is nothing of is a dash."""
    lines = [f"| held out | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return lines + [
        f"| {name} | {' | '.join('–' if one is None else str(one) for one in cells)} |" for name, cells in rows.items()
    ]


def gap_lines(done: int, wanted: int, outdated: int, command: str) -> list[str]:
    """Nothing where every wanted trial is there; else n of N, what is left out and why, and the command that fills the gap."""
    if done == wanted:
        return []
    others = f" {outdated} more are damaged, or {OUTDATED}, and are left out." if outdated else ""
    return ["", f"{done} of {wanted} trials are done.{others} `{command}` runs the rest."]


def plain(table: dict[str, dict[str, Cell | None]]) -> dict[str, dict[str, float]]:
    """The table as DVC metrics: held-out domain → method → accuracy in %, to two places."""
    return {domain: {name: round(100 * c.mean, 2) for name, c in cells.items() if c} for domain, cells in table.items()}
