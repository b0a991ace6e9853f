"""Finished trials → the table."""

import json
from pathlib import Path

from pipeline import report, results
from pipeline.errors import InputError
from pipeline.experiment.places import Plan
from pipeline.progress import say


def run(plan: Plan, results_folder: Path) -> None:
    """Finished trials → `report.md` and `report.json`, and the table on the terminal."""
    matrix = plan.experiment.matrix
    wanted = matrix.trials()
    settings = {method: plan.trained_with(method) for method in matrix.method}
    trials = [
        t
        for t in report.read_trials(results_folder, settings)
        if (t["held_out"], t["method"], t["trial"]) in set(wanted)
    ]
    if not trials:
        raise InputError(
            f"{results_folder}: no finished trial of this experiment's settings here; run `scmd student` first"
        )
    cells = report.tabulate(trials, matrix.held_out, matrix.method)
    text = report.page(cells, report.missing_lines(trials, wanted, plan.file, results_folder))
    results.replace_text(results_folder / "report.md", text)
    results.replace_text(results_folder / "report.json", json.dumps(report.plain(cells), indent=1) + "\n")
    say(text)
    say(f"in {results_folder / 'report.md'}")
