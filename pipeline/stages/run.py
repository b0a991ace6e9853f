"""A whole experiment without DVC: every stage in turn; finished trials of the same materials are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import journal
from pipeline.progress import say
from pipeline.stages import pixels, report, samples, students, teacher
from pipeline.writing import replace_text

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.stage_one.encoding import Engine
    from pipeline.stages.students import Runner


def run(plan: Plan, results: Path, page: Path | None, engine: Engine, runner: Runner, workers: int | None) -> None:
    """Ends with the report and, where one is asked for, a page to publish."""
    samples.run(plan)
    teacher.run(plan, engine)
    pixels.run(plan, workers)
    failed = students.train(plan, results, runner)
    if len(failed) < len(plan.experiment.trials()):
        report.run(plan, results)
    students.require_none(failed)
    if page:
        _write_page(plan, results, page)


def _write_page(plan: Plan, results: Path, page: Path) -> None:
    """The report with the command, machine and duration that made it."""
    command = f"scmd run --experiment {plan.file} --results {results} --page {page}"
    made = [
        f"Made by `{command}`.",
        "",
        *journal.lines(journal.read(results)),
    ]
    page.parent.mkdir(parents=True, exist_ok=True)
    table_text = (results / "report.md").read_text(encoding="utf-8").rstrip()
    replace_text(page, "\n".join([f"# {plan.experiment.dataset}: {plan.file.stem}", "", table_text, "", *made]) + "\n")
    say(f"page in {page}")
