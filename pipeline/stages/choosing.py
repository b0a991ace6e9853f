"""Which of an experiment's students to take, where the user names none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.stage_two import current
from pipeline.stages.gathering import assigned, gathered

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def best(plan: Plan, results: Path) -> Path:
    """The folder of the current trial with the highest training-domain validation accuracy, the first of equals.

    Says which and why. Raises InputError where no trial is current.
    """
    standing = current.look(results, gathered(plan), [assigned(plan, key) for key in plan.experiment.trials()])
    if not standing.done:
        raise InputError(
            f"{results}: no finished trial of this experiment here; run `{plan.command('students', results)}` first"
        )
    one, card = max(standing.done.items(), key=lambda pair: pair[1]["metrics"]["validation"])
    say(
        f"student: {one.key}, of {len(standing.done)} trials the one with the highest accuracy on its source domains' out splits "
        f"({card['metrics']['validation']:.1%}); the held-out domain has no part in the choice"
    )
    return one.key.folder(results)
