"""Cards → accuracy by held-out domain, method and trial number, with the average over domains: what every table is made from."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from pipeline.trials.key import TrialKey

ZERO_SHOT, AVERAGE = "teacher zero-shot", "average"
T = TypeVar("T")
# Held-out domain → method (first the teacher) → trial number → accuracy.
Accuracies = dict[str, dict[str, dict[int, float]]]
# What tables put beside a cell of which a trial collapsed, and what it means.
MARK = "†"
MEANING = (
    f"{MARK} a trial of this cell collapsed: for some time its student gave every class the same probability on what was "
    "selected (docs/selection.md)."
)


def accuracies(
    metrics: Mapping[TrialKey, Mapping[str, Any]],
    held_out: Sequence[str],
    methods: Sequence[str],
    others: Mapping[str, Mapping[str, Mapping[int, float]]] = MappingProxyType({}),
) -> Accuracies:
    """`average` is the mean over held-out domains of the trial numbers that have all of them; `others` are columns from
    elsewhere: name → held-out domain → trial number → accuracy."""
    found: Accuracies = {
        domain: {
            **{name: {} for name in (ZERO_SHOT, *methods)},
            **{name: dict(columns.get(domain, {})) for name, columns in others.items()},
        }
        for domain in held_out
    }
    for key, one in metrics.items():
        found[key.held_out][key.method][key.trial] = one["accuracy"]
        found[key.held_out][ZERO_SHOT][key.trial] = one["teacher_zero_shot"]
    found[AVERAGE] = {}
    for name in (ZERO_SHOT, *methods, *others):
        columns = [found[domain][name] for domain in held_out]
        whole = set.intersection(*(set(column) for column in columns))
        found[AVERAGE][name] = {n: sum(column[n] for column in columns) / len(columns) for n in sorted(whole)}
    return found


def collapsed(metrics: Mapping[TrialKey, Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Held-out domain (and `average`) and method of those cells of which a trial collapsed."""
    cells = {(key.held_out, key.method) for key, one in metrics.items() if one.get("collapsed")}
    return cells | {(AVERAGE, method) for _, method in cells}


def mark(collapsed: bool) -> str:
    """What stands behind the figure of a cell."""
    return f" {MARK}" if collapsed else ""


def shown(rows: Mapping[str, T]) -> dict[str, T]:
    """Of held-out domains and their `average` what a table shows: no average of one."""
    return {name: row for name, row in rows.items() if name != AVERAGE or len(rows) > 2}
