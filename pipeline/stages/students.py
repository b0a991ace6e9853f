"""Stage two for a whole experiment: every trial that is not current, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from pipeline import journal
from pipeline.engine.cores import MOST_TRIALS, cores
from pipeline.engine.device import gpus
from pipeline.errors import InputError
from pipeline.progress import say
from pipeline.stage_two import current, data, forecast, running, side_by_side
from pipeline.stage_two.materials import made_from
from pipeline.stages.gathering import assigned, gathered
from pipeline.stages.student import say_doubts
from pipeline.trials import checkpoints, files
from pipeline.trials.key import TrialKey

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.stage_two.current import Standing
    from pipeline.stage_two.forecast import Cost
    from pipeline.stage_two.materials import Assignment, Materials


class Runner(Protocol):
    """Where trials run."""

    def at_once(self, plan: Plan, trials: int) -> int:
        """How many of so many run at the same time."""

    def run(
        self, plan: Plan, results: Path, keys: Sequence[TrialKey], jobs: int, done: Callable[[str], None]
    ) -> list[str]:
        """Runs trials, `jobs` at a time, and tells `done` the name of each that succeeded; returns names of those that failed."""


@dataclass(frozen=True)
class Here:
    """On this machine, side by side, each with its share of the cores, or a GPU."""

    jobs: int | None

    def at_once(self, plan: Plan, trials: int) -> int:  # noqa: ARG002 - a cluster asks what a trial needs
        return self.jobs or min(len(gpus()) or min(cores(), MOST_TRIALS), trials)

    def run(
        self, plan: Plan, results: Path, keys: Sequence[TrialKey], jobs: int, done: Callable[[str], None]
    ) -> list[str]:
        threads = max(1, cores() // jobs)
        say(f"{threads} {'thread' if threads == 1 else 'threads'} for each trial")
        commands = {str(key): _arguments(plan, results, key) for key in keys}
        return side_by_side.run(commands, jobs, threads, done, gpus())


def run(plan: Plan, results: Path, runner: Runner) -> None:
    """Raises InputError where trials failed: the others are there, and the same command runs those that failed again."""
    require_none(train(plan, results, runner))
    say(f"next: {plan.command('report', results)}")


def require_none(failed: list[str]) -> None:
    """Raises InputError where trials failed."""
    if failed:
        raise InputError(f"{len(failed)} trials failed, first {failed[0]}: see above")


def train(plan: Plan, results: Path, runner: Runner) -> list[str]:
    """Runs the trials that are not current; returns those that failed."""
    materials = gathered(plan)
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    standing = current.look(results, assignments, partial(made_from, materials))
    for done in standing.done:
        checkpoints.remove(done.key.folder(results))  # of a trial that was killed after its last file
    for assignment in standing.todo:
        running.sources_of(materials, assignment)
    # By the matrix, not by what is left to do: with other threads a trial's last digits would depend on its neighbours.
    jobs = runner.at_once(plan, len(assignments))
    say(f"{len(standing.done)} of {len(assignments)} trials are current; {jobs} at a time")
    _say_outdated(results, standing)
    results.mkdir(parents=True, exist_ok=True)
    record = journal.Journal(results, journal.read(results) if standing.done else [], jobs)
    return runner.run(plan, results, [one.key for one in standing.todo], jobs, record.note_finished)


def _say_outdated(results: Path, standing: Standing) -> None:
    if standing.outdated:
        say(
            f"{len(standing.outdated)} trials in {results} are damaged, or {files.OUTDATED}, first {standing.outdated[0].key}, "
            "and run again in their place; where they are another experiment's, `--results` keeps both"
        )


def foretell(plan: Plan, results: Path, jobs: int | None) -> None:
    """Says which trials would run and how long that takes, by a few steps of each method timed with a trial's share of the cores;
    runs none. Raises InputError where stage one has not run: steps cannot be timed without it."""
    materials = gathered(plan)
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    standing = current.look(results, assignments, partial(made_from, materials))
    todo = standing.todo
    at_once = Here(jobs).at_once(plan, len(assignments))
    say(
        f"{len(assignments) - len(todo)} of {len(assignments)} trials are current, {len(todo)} to run, {at_once} at a time"
    )
    _say_outdated(results, standing)
    seconds, threads = 0.0, torch.get_num_threads()
    torch.set_num_threads(max(1, cores() // at_once))
    try:
        for (method, batch), mine in _alike(todo).items():
            say_doubts(mine[0], len(materials.samples.domains) - 1)
            each = _cost(plan, materials, mine[0])
            seconds += len(mine) * each.seconds
            drawn = f", batch {batch}" if batch != plan.student.batch else ""
            say(f"{method}{drawn}: {_in_words(each, len(mine))}")
    finally:
        torch.set_num_threads(threads)
    say(f"about {_minutes(seconds / at_once)} in all, starting and writing aside")


def _alike(todo: Sequence[Assignment]) -> dict[tuple[str, int], list[Assignment]]:
    """Trials of one method and batch, which hyperparameter seeds draw, cost the same."""
    found: dict[tuple[str, int], list[Assignment]] = {}
    for one in todo:
        found.setdefault((one.key.method, one.student.batch), []).append(one)
    return found


def _cost(plan: Plan, materials: Materials, one: Assignment) -> Cost:
    max_gb = plan.experiment.pixels.max_gb
    pictures = data.student_pictures(materials, plan.dataset, plan.pixels_folder, max_gb, one.key.trial)
    return forecast.cost(materials, one, pictures)


def _in_words(each: Cost, trials: int) -> str:
    parts = [f"{count} {kind} steps at {1000 * seconds:.0f} ms" for kind, (count, seconds) in each.steps.items()]
    return (
        f"{trials} trials of {' and '.join(parts)}, {each.evaluating:.0f} s evaluating: {_minutes(each.seconds)} each"
    )


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _arguments(plan: Plan, results: Path, key: TrialKey) -> list[str]:
    return ["student", "--experiment", str(plan.file), "--results", str(results), *key.arguments]
