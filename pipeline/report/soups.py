"""Soups of hyperparameter seeds (`scmd soups`) beside the trials that they were made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.progress import warn
from pipeline.report.accuracies import collapsed
from pipeline.report.outcome import Outcome
from pipeline.report.table import Cell, cell, markdown
from pipeline.trials import files
from pipeline.trials.key import TrialKey

RULES = ("uniform", "greedy")


def section(results: Path, outcomes: Sequence[Outcome]) -> str:
    """A Markdown table of the soups that were made of these very trials; empty where there is none."""
    cells: dict[tuple[str, str, int], list[Outcome]] = {}
    for one in outcomes:
        cells.setdefault(one.key.cell, []).append(one)
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for (held_out, method, _), trials in cells.items():
        for rule in RULES:
            card = _card(results, trials[0].key, rule)
            if card and card["soup"].get("of") == sorted(one.card["weights_sha256"] for one in trials):
                found.setdefault((held_out, method), {}).setdefault(rule, []).append(card["metrics"]["accuracy"])
    if not found:
        return ""
    marked = collapsed({one.key: one.card["metrics"] for one in outcomes})
    rows: dict[str, list[Cell | None]] = {
        f"{held_out}, {method}": [cell(of_rule.get(rule, []), collapsed=(held_out, method) in marked) for rule in RULES]
        for (held_out, method), of_rule in found.items()
    }
    said = (
        "Accuracy in % on the held-out domain's in split of the mean of the weights of a cell's hyperparameter seeds (number of "
        "trials in brackets); `greedy` keeps those with which the sources' out splits are named no worse."
    )
    return "\n".join(["## Soups", "", *markdown([f"{rule} soup" for rule in RULES], rows), "", said, ""])


def _card(results: Path, key: TrialKey, rule: str) -> dict[str, Any] | None:
    """None where there is no soup, or not a whole one, which is said."""
    folder = key.soup_folder(results, rule)
    try:
        card = files.read_card(folder)
        if card is not None:
            files.require_files(folder, card)
            if not isinstance(card.get("soup"), dict):
                raise InputError(f"{folder}: not a soup")
    except InputError:
        warn(f"{folder}: not a whole soup, and left out; `scmd soups` makes it anew")
        return None
    return card
