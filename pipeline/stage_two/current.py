"""Which trials of an experiment are done, and which are to be run: one rule for all who ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.progress import warn
from pipeline.stage_two.materials import Assignment, is_of
from pipeline.trials.files import read_card, require_files


@dataclass(frozen=True)
class Standing:
    """Of an experiment's trials: cards of those that are current, those that are missing, those made from other things."""

    done: dict[Assignment, dict[str, Any]]
    missing: list[Assignment]
    outdated: list[Assignment]

    @property
    def todo(self) -> list[Assignment]:
        """Those that are to be run."""
        return [*self.missing, *self.outdated]


def look(
    results: Path, assignments: Sequence[Assignment], expected: Callable[[Assignment], dict[str, Any]]
) -> Standing:
    """`expected` is what a trial's card must say (`materials.made_from`). Damaged cards and missing files are said, and their
    trials count as made from other things."""
    done, missing, outdated = {}, [], []
    for one in assignments:
        folder = one.key.folder(results)
        try:
            card = read_card(folder)
            if card is not None:
                require_files(folder, card)
        except InputError as error:
            warn(str(error))
            outdated.append(one)
            continue
        if card is None:
            missing.append(one)
        elif is_of(card, expected(one)):
            done[one] = card
        else:
            outdated.append(one)
    return Standing(done, missing, outdated)
