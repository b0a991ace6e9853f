"""Finished trials → the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.progress import say, show
from pipeline.report import table
from pipeline.stage_two import current
from pipeline.stages.gathering import assigned, gathered
from pipeline.writing import replace_text

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def run(plan: Plan, results: Path) -> None:
    """`report.md`, `report.json` and the table on the terminal. Raises InputError where no trial is current."""
    matrix = plan.experiment.matrix
    standing = current.look(results, gathered(plan), [assigned(plan, key) for key in plan.experiment.trials()])
    if not standing.done:
        raise InputError(
            f"{results}: no finished trial of this experiment here; run `{plan.command('students')}` first"
        )
    cells = table.tabulate([card["metrics"] for card in standing.done.values()], matrix.held_out, matrix.method)
    missing, outdated = len(standing.missing), len(standing.outdated)
    gaps = table.gap_lines(len(standing.done), missing, outdated, plan.command("students"))
    student = plan.student
    about = (
        f"Data set `{plan.experiment.dataset}`, teacher `{plan.experiment.teacher}` ({plan.teacher.views} views), student "
        f"`{plan.experiment.student}` (`{student.model.backbone}`, {plan.experiment.pixels.size} px, {student.steps} steps of "
        f"{student.batch} images a source domain)."
    )
    text = table.page(about, cells, gaps)
    replace_text(results / "report.md", text)
    replace_text(results / "report.json", json.dumps(table.plain(cells), indent=1) + "\n")
    show(text)
    say(f"in {results / 'report.md'}")
