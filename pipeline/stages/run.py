"""A whole experiment without DVC: every stage in turn, trials side by side, finished ones kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch

from pipeline import journal
from pipeline.errors import InputError
from pipeline.experiment.places import Plan
from pipeline.experiment.warnings import require_domain
from pipeline.journal import Journal, Sitting
from pipeline.matching import open_matching, recorded_views, views_digest
from pipeline.progress import say
from pipeline.results import replace_text
from pipeline.samples import table
from pipeline.stages import pixels, report, samples, student, teacher
from pipeline.views import pictures

Trial = tuple[str, str, int]


def run(plan: Plan, results_folder: Path, page: Path | None, jobs: int, workers: int) -> None:
    """Stage one is completed, `jobs` trials run at a time, and the report (and the page) is written at the end."""
    samples.run(plan)
    matrix = plan.experiment.matrix
    known = table.read(plan.samples_folder)
    for held_out in matrix.held_out:
        require_domain(held_out, known.domains)
    teacher.run(plan, workers)
    cache = open_matching(plan.cache_folder, plan.teacher, known)
    if not pictures.is_current(plan.pixels_folder, views_digest(known, cache, recorded_views(cache))):
        pixels.run(plan, workers)
    trials = matrix.trials()
    expected = {method: student.trained_from(plan, known, cache, method) for method in matrix.method}
    todo = [trial for trial in trials if not _is_done(student.trial_folder(results_folder, *trial), expected[trial[1]])]
    say(f"{len(trials) - len(todo)} of {len(trials)} trials are done; {jobs} at a time run now")
    failed = _run_trials(
        plan, results_folder, jobs, todo, journal.read(results_folder) if len(todo) < len(trials) else []
    )
    if len(failed) < len(trials):
        report.run(plan, results_folder)
    if page and not failed:
        _write_page(plan, results_folder, page)
    if failed:
        held_out, method, number = failed[0]
        raise InputError(
            f"{len(failed)} trials failed, first {method} with {held_out} held out, trial {number}: see above"
        )


def _is_done(folder: Path, expected: dict) -> bool:
    """Whether a finished trial is there whose card says that it was trained from what is `expected`."""
    try:
        card = json.loads((folder / "card.json").read_text())
    except (OSError, ValueError):
        return False
    return (folder / "metrics.json").is_file() and all(card.get(key) == value for key, value in expected.items())


def _run_trials(plan: Plan, results_folder: Path, jobs: int, todo: list[Trial], earlier: list[Sitting]) -> list[Trial]:
    """Runs them, `jobs` at a time, and returns those that failed."""
    results_folder.mkdir(parents=True, exist_ok=True)
    record = Journal(results_folder, earlier, jobs)
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(_run_trial, plan, results_folder, jobs, trial): trial for trial in todo}
        for done in as_completed(running):
            if done.result():
                failed.append(running[done])
            else:
                record.note_finished("/".join(map(str, running[done])))
    return failed


def _run_trial(plan: Plan, results_folder: Path, jobs: int, trial: Trial) -> int:
    held_out, method, number = trial
    threads = str(max(1, torch.get_num_threads() // jobs))
    command = [sys.executable, "-m", "pipeline.cli", "student", "--experiment", str(plan.file)]
    command += ["--held-out", held_out, "--method", method, "--trial", str(number), "--results", str(results_folder)]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": threads}, check=False).returncode


def _write_page(plan: Plan, results_folder: Path, page: Path) -> None:
    """The report with the command, machine and duration that made it, as a page to publish."""
    command = f"scmd run --experiment {plan.file} --results {results_folder} --page {page}"
    made = [
        f"Made by `{command}`: {plan.student.steps} steps of {plan.student.batch} images a source domain.",
        "",
        *journal.lines(journal.read(results_folder)),
    ]
    page.parent.mkdir(parents=True, exist_ok=True)
    table_text = (results_folder / "report.md").read_text(encoding="utf-8").rstrip()
    replace_text(page, "\n".join([f"# {plan.experiment.dataset}: {plan.file.stem}", "", table_text, "", *made]) + "\n")
    say(f"page in {page}")
