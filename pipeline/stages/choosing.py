"""Which of an experiment's students to take, where the user names none."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache import reader
from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.samples import table
from pipeline.stage_two import current
from pipeline.stage_two.materials import configured, made_from
from pipeline.stages.gathering import assigned, gathered
from pipeline.trials.files import PROJECTION

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.stage_two.current import Standing


def best(plan: Plan, results: Path, *, with_projection: bool) -> Path:
    """The folder of the current trial with the highest training-domain validation accuracy, the first of equals; where new class
    names are asked for, of those alone that taught a projection.

    Says which and why. Raises InputError where no trial is current, or none has a projection.
    """
    standing = _standing(plan, results)
    if not standing.done:
        others = f"; {len(standing.outdated)} that are here were made from other things" if standing.outdated else ""
        raise InputError(
            f"{results}: no finished trial of this experiment here{others}; run `{plan.command('students', results)}`, or name "
            "one by its folder (`--student`)"
        )
    able = {
        one: card
        for one, card in standing.done.items()
        if not with_projection or (one.key.folder(results) / PROJECTION).is_file()
    }
    if not able:
        raise InputError(
            f"{results}: no trial of this experiment taught a projection into the teacher's space, by which a student answers to "
            "new class names; add `scmd` to `matrix.method`"
        )
    one, card = max(able.items(), key=lambda pair: (pair[1]["metrics"]["validation"], pair[0].key.hparams_seed))
    which = f"{len(able)} trials with a projection" if with_projection else f"{len(able)} trials"
    say(
        f"student: {one.key}, of {which} the one with the highest accuracy on its source domains' out splits "
        f"({card['metrics']['validation']:.1%}); the held-out domain has no part in the choice"
    )
    return one.key.folder(results)


def _standing(plan: Plan, results: Path) -> Standing:
    """Of the experiment's trials. Without samples or cache, as where the results alone were pulled, configurations decide."""
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    if table.stands(plan.samples_folder) and reader.exists(plan.cache_folder):
        return current.look(results, assignments, partial(made_from, gathered(plan)))
    say("samples or teacher cache are not here: which trials are current is told by their settings alone")
    name, size, views = plan.experiment.dataset, plan.experiment.pixels.size, plan.teacher.views
    return current.look(results, assignments, partial(configured, name, size, views))
