"""Stage two: pictures and cache → one trained student with its metrics. No teacher is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine import workers
from pipeline.experiment.checks import untaught
from pipeline.experiment.doubts import doubts
from pipeline.progress import OF_SETTINGS, insist, say, warn
from pipeline.stage_two import data, running
from pipeline.stages.gathering import assigned, gathered
from pipeline.trials import lock
from pipeline.trials.key import TrialKey
from pipeline.views.pictures import Drawer

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.stage_two.materials import Assignment


def run(plan: Plan, results: Path, key: TrialKey) -> Path:
    """Trains, measures and writes one trial; returns its folder. Raises the errors of what it opens before the first step."""
    assignment = assigned(plan, key)
    with workers.importing(Drawer, assignment.student.workers):
        return _train(plan, results, assignment)


def say_doubts(assignment: Assignment, sources: int) -> None:
    """Warns of settings that do nothing, or too little, in a trial from so many source domains."""
    for doubt in doubts(assignment.method, assignment.settings, assignment.student, sources):
        insist(f"{OF_SETTINGS} `{assignment.key.method}`: {doubt}")


def _train(plan: Plan, results: Path, assignment: Assignment) -> Path:
    key, materials = assignment.key, gathered(plan)
    sources = running.sources_of(materials, assignment)
    say_doubts(assignment, len(sources))
    if unknown := untaught(materials.samples, key.held_out):
        warn(
            f"no source domain has an image of {', '.join(unknown)}: the student cannot know it, and misses it where it stands"
        )
    say(f"{assignment.student.steps} steps of {assignment.student.batch * len(sources)} images")
    max_gb = plan.experiment.pixels.max_gb
    pictures = data.student_pictures(materials, plan.dataset, plan.pixels_folder, max_gb, key.trial)
    folder = key.folder(results)
    with lock.training(folder):
        metrics = running.run(materials, assignment, sources, pictures, folder)
    percent = f"{metrics['accuracy']:.1%} at step {metrics['step']}, validation {metrics['validation']:.1%}"
    took = f"{metrics['seconds']:.0f} s ({metrics['seconds_evaluating']:.0f} s of it evaluating)"
    say(f"{key.held_out}: {percent}, {took}; in {folder}")
    return folder
