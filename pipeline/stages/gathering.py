"""An experiment's plan → what its trials are made from, and which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.experiment import draws
from pipeline.methods import METHODS
from pipeline.samples import table
from pipeline.stage_two.materials import Assignment, Materials, gather
from pipeline.trials.key import TrialKey

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan


def gathered(plan: Plan) -> Materials:
    """What every trial of an experiment is made from."""
    experiment, samples = plan.experiment, table.read(plan.samples_folder)
    return gather(experiment.dataset, samples, plan.cache_folder, plan.teacher, experiment.pixels.size)


def assigned(plan: Plan, key: TrialKey) -> Assignment:
    """Raises ConfigError where the experiment has no settings for the trial's method."""
    method, settings = plan.experiment.method(key.method)
    return Assignment(key, method, *draws.drawn(key, METHODS[method], settings, plan.student, plan.experiment.dataset))
