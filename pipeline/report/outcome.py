"""What a finished trial left, as a report reads it; and all trials of a method on one held-out domain together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.accuracies import mark
from pipeline.trials import files, predictions
from pipeline.trials.key import TrialKey


@dataclass(frozen=True)
class Outcome:
    """`history` has a row an evaluation; `times` may be empty. Predictions are large, and read when asked for."""

    key: TrialKey
    folder: Path
    card: dict[str, Any]
    history: list[dict[str, Any]]
    times: dict[str, float]

    def answers(self) -> predictions.Answers:
        """Raises InputError where the file is missing or damaged."""
        return predictions.read(self.folder / files.PREDICTIONS)

    def named(self) -> predictions.Named:
        """As `answers`, and less of it."""
        return predictions.named(self.folder / files.PREDICTIONS)

    @property
    def weights_bytes(self) -> int:
        """Size of the student's file."""
        return (self.folder / files.WEIGHTS).stat().st_size


def read(results: Path, key: TrialKey, card: dict[str, Any]) -> Outcome:
    """Raises InputError where the trial's history or predictions are missing or damaged."""
    folder = key.folder(results)
    predictions.require(folder / files.PREDICTIONS)
    return Outcome(key, folder, card, files.read_history(folder), files.read_times(folder))


def best_by_validation(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Of each held-out domain, method and trial number the hyperparameter seed of the highest validation accuracy; of equals the
    largest, as DomainBed's sorting has it. In order of first appearance."""
    best: dict[tuple[str, str, int], Outcome] = {}
    for one in outcomes:
        before = best.get(one.key.cell)
        if before is None or _rank(one) > _rank(before):
            best[one.key.cell] = one
    return list(best.values())


def _rank(one: Outcome) -> tuple[float, int]:
    return one.card["metrics"]["validation"], one.key.hparams_seed


@dataclass(frozen=True)
class Group:
    """Trials of one method on one held-out domain, in order of their numbers."""

    held_out: str
    method: str
    outcomes: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        """As headings have it."""
        return f"{self.method}, {self.held_out} held out"

    @property
    def mark(self) -> str:
        """What stands beside its figures where a trial collapsed."""
        return mark(any(one.card["metrics"].get("collapsed") for one in self.outcomes))

    def mean(self, metric: str) -> float:
        """Of a metric of the cards."""
        return float(sum(one.card["metrics"][metric] for one in self.outcomes) / len(self.outcomes))

    @property
    def selects(self) -> bool:
        """Whether the method learns from a part of what it draws."""
        return self.mean("images_learnt_from") < self.mean("images_drawn")


def grouped(outcomes: list[Outcome]) -> list[Group]:
    """In order of first appearance."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        found.setdefault((one.key.held_out, one.key.method), []).append(one)
    return [Group(*names, tuple(sorted(them, key=lambda one: one.key.trial))) for names, them in found.items()]
