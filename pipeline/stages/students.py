"""Stage two for a whole experiment: every trial that is not current, side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import journal
from pipeline.engine.cores import MOST_TRIALS, cores
from pipeline.engine.device import gpus
from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.stage_two import current, running, side_by_side
from pipeline.stage_two.materials import made_from
from pipeline.stages.gathering import assigned, gathered
from pipeline.trials import checkpoints
from pipeline.trials.key import TrialKey

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def run(plan: Plan, results: Path, jobs: int | None) -> None:
    """Raises InputError where trials failed: the others are there, and the same command runs those that failed again."""
    require_none(train(plan, results, jobs))
    say(f"next: {plan.command('report', results)}")


def require_none(failed: list[str]) -> None:
    """Raises InputError where trials failed."""
    if failed:
        raise InputError(f"{len(failed)} trials failed, first {failed[0]}: see above")


def train(plan: Plan, results: Path, jobs: int | None) -> list[str]:
    """Runs the trials that are not current; returns those that failed."""
    materials = gathered(plan)
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    standing = current.look(results, assignments, partial(made_from, materials))
    for done in standing.done:
        checkpoints.remove(done.key.folder(results))  # of a trial that was killed after its last file
    for assignment in standing.todo:
        running.sources_of(materials, assignment)
    # By the matrix, not by what is left to do: with other threads a trial's last digits would depend on its neighbours.
    jobs = jobs or _jobs(len(assignments))
    threads = max(1, cores() // jobs)
    say(f"{len(standing.done)} of {len(assignments)} trials are current; {jobs} at a time, {threads} threads each")
    results.mkdir(parents=True, exist_ok=True)
    record = journal.Journal(results, journal.read(results) if standing.done else [], jobs)
    commands = {str(one.key): _arguments(plan, results, one.key) for one in standing.todo}
    return side_by_side.run(commands, jobs, threads, record.note_finished, gpus())


def _jobs(trials: int) -> int:
    return min(len(gpus()) or min(cores(), MOST_TRIALS), trials)


def _arguments(plan: Plan, results: Path, key: TrialKey) -> list[str]:
    return ["student", "--experiment", str(plan.file), "--results", str(results), *key.arguments]
