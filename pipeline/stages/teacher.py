"""Stage one: images and prompts → teacher cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.cache import reader
from pipeline.progress import say
from pipeline.samples import table
from pipeline.stage_one import completing, forecast
from pipeline.stage_one.task import Task, prepare

if TYPE_CHECKING:
    from pipeline.cache.reader import TeacherCache
    from pipeline.experiment.places import Plan
    from pipeline.stage_one.encoding import Engine


def task(plan: Plan) -> Task:
    """The samples and the loaded teacher of an experiment."""
    return prepare(plan.cache_folder, plan.teacher, plan.dataset, table.read(plan.samples_folder))


def run(plan: Plan, engine: Engine) -> TeacherCache:
    """What is missing is computed, where `engine` does it; what stands is kept, nothing is mixed."""
    completing.build(task(plan), engine)
    say(f"next: {plan.command('pixels')}")
    return reader.open_complete(plan.cache_folder)


def foretell(plan: Plan, workers: int | None) -> None:
    """Says what `run` would do, in pictures, bytes and time."""
    forecast.forecast(task(plan), workers)
