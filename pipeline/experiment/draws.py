"""Hyperparameters of a trial: as they are written for seed 0, drawn for all others (DomainBed's protocol).

A draw is a function of (hyperparameter seed, trial, name), so that two trials of one seed differ, as in DomainBed: each value has
a generator of its own, seeded by `seed_hash(seed_hash(hparams_seed, trial), name)`.
"""

from collections.abc import Mapping
from typing import Any

from numpy.random import RandomState

from pipeline.methods import METHODS
from pipeline.methods.method import Method
from pipeline.methods.ranges import DOMAINNET, Range, Ranges
from pipeline.methods.settings import MethodSettings
from pipeline.samples.splits import seed_hash
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings


def drawn(
    key: TrialKey, method: type[Method], settings: MethodSettings, student: StudentSettings, dataset: str
) -> tuple[MethodSettings, StudentSettings]:
    """The settings of a trial. What an experiment writes under a method's name stays, so that two names of one method stay two;
    so do keys that have no range, and of methods beside it what is not their default. The student's learning rate, weight decay,
    dropout and batch are drawn whatever is written."""
    if key.hparams_seed == 0:
        return settings, student
    seed = seed_hash(key.hparams_seed, key.trial)
    general = {**method.student_ranges, **(DOMAINNET if is_domainnet(dataset) else {})}
    open_ranges = {name: one for name, one in method.ranges.items() if name not in settings.model_fields_set}
    beside = {other: _with(dict(own), _undecided(METHODS[other], own), seed) for other, own in settings.beside.items()}
    return (
        type(settings).model_validate({**_with(settings.model_dump(), open_ranges, seed), "beside": beside}),
        StudentSettings.model_validate(_with(student.model_dump(), general, seed)),
    )


def _undecided(method: type[Method], own: Mapping[str, Any]) -> Ranges:
    """Of a method beside another: its settings are written out, so that one that stands at its default counts as not written;
    what is for the first to say, as how much is selected, is not among them."""
    fields = method.Settings.model_fields
    return {name: one for name, one in method.ranges.items() if name in own and own[name] == fields[name].default}


def is_domainnet(dataset: str) -> bool:
    """Whether it is DomainBed's `DomainNet`, however it is spelt."""
    return dataset.lower().replace("_", "").replace("-", "") == "domainnet"


def _with(values: dict[str, Any], ranges: Ranges, seed: int) -> dict[str, Any]:
    """Settings with a value of each range in its place."""
    for path, one in ranges.items():
        *sections, key = path.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[key] = value(one, seed)
    return values


def value(one: Range, seed: int) -> float:
    """What a range gives for the seed of all draws of a trial."""
    return one.draw(RandomState(seed_hash(seed, one.name)))
