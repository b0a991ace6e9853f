"""A whole experiment without DVC: every stage in turn, trials side by side, finished ones kept."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.errors import InputError
from pipeline.experiment import Plan, require_domain
from pipeline.progress import say
from pipeline.samples import table
from pipeline.stages import pixels, report, samples, student, teacher
from pipeline.stages.opening import opened_cache, recorded_views, views_digest
from pipeline.views import store


def run(plan: Plan, results_folder: Path, jobs: int, workers: int) -> None:
    """Stage one is completed, `jobs` trials run at a time, and the report is written at the end."""
    samples.run(plan)
    matrix = plan.experiment.matrix
    for held_out in matrix.held_out:
        require_domain(held_out, table.read(plan.samples_folder).domains)
    teacher.run(plan, workers)
    known, cache = opened_cache(plan)
    if not store.is_current(plan.pixels_folder, views_digest(cache, recorded_views(cache))):
        pixels.run(plan, workers)
    trials = matrix.trials()
    expected = {method: student.trained_from(plan, known, cache, method) for method in matrix.method}
    todo = [trial for trial in trials if not _is_done(student.trial_folder(results_folder, *trial), expected[trial[1]])]
    say(f"{len(trials) - len(todo)} of {len(trials)} trials are done; {jobs} at a time run now")
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(lambda trial: _run_trial(plan, results_folder, jobs, trial), todo))
    failed = [trial for trial, code in zip(todo, codes, strict=True) if code]
    if len(failed) < len(trials):
        report.run(plan, results_folder)
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


def _run_trial(plan: Plan, results_folder: Path, jobs: int, trial: tuple[str, str, int]) -> int:
    held_out, method, number = trial
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    command = [sys.executable, "-m", "pipeline.cli", "student", "--experiment", str(plan.file)]
    command += ["--held-out", held_out, "--method", method, "--trial", str(number), "--results", str(results_folder)]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": threads}, check=False).returncode
