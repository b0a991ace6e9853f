"""Which trials of an experiment are done, and which are to be run: one rule for all who ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.progress import warn
from pipeline.stage_two.materials import Assignment, Materials, made_from
from pipeline.trials.files import is_of, read_card


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


def look(results: Path, materials: Materials, assignments: Sequence[Assignment]) -> Standing:
    """A damaged card is said, and its trial counts as one made from other things."""
    done, missing, outdated = {}, [], []
    for one in assignments:
        try:
            card = read_card(one.key.folder(results))
        except InputError as error:
            warn(str(error))
            outdated.append(one)
            continue
        if card is None:
            missing.append(one)
        elif is_of(card, made_from(materials, one.key, one.method, one.settings)):
            done[one] = card
        else:
            outdated.append(one)
    return Standing(done, missing, outdated)
