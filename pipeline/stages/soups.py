"""`scmd soups`: of every cell with several hyperparameter seeds the mean of the students' weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pipeline.averaging.soup import Rule
from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.stage_two import current, data, running, soups
from pipeline.stage_two.materials import made_from
from pipeline.stage_two.soups import Ingredient
from pipeline.stages.gathering import assigned, gathered

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def run(plan: Plan, results: Path) -> None:
    """Writes a uniform and a greedy soup of each cell and trial number. Raises InputError where no cell has several trials."""
    materials = gathered(plan)
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    cells: dict[tuple[str, str, int], list[Ingredient]] = {}
    for one, card in current.look(results, assignments, partial(made_from, materials)).done.items():
        cells.setdefault(one.key.cell, []).append(Ingredient(one, card, one.key.folder(results)))
    several = [cell for cell in cells.values() if len(cell) > 1]
    if not several:
        raise InputError(
            f"{results}: no held-out domain, method and trial number with several finished hyperparameter seeds; name them as "
            f"`matrix.hparams` in {plan.file}, and run `{plan.command('students', results)}`"
        )
    for cell in several:
        one = cell[0].one
        sources = running.sources_of(materials, one)
        max_gb = plan.experiment.pixels.max_gb
        pictures = data.student_pictures(materials, plan.dataset, plan.pixels_folder, max_gb, one.key.trial)
        for rule in get_args(Rule):
            folder = one.key.soup_folder(results, rule)
            metrics, seeds = soups.cook(materials, cell, sources, pictures, rule, folder)
            best = soups.by_validation(cell)[0].card["metrics"]
            finished = f"{len(cell)} of {len(plan.experiment.matrix.hparams)} seeds are finished"
            made_of = f"seeds {', '.join(map(str, seeds))} ({finished})"
            say(
                f"{one.key.method}, {one.key.held_out} held out, trial {one.key.trial}: {rule} soup of {made_of} "
                f"{metrics['accuracy']:.1%}, validation {metrics['validation']:.1%}; the best of them {best['accuracy']:.1%}, "
                f"validation {best['validation']:.1%}; in {folder}"
            )
