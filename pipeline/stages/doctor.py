"""What this machine and project have of what a run needs."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InputError
from pipeline.experiment import places
from pipeline.progress import show
from pipeline.project import doctor
from pipeline.project.doctor import State


def run(experiment_file: Path) -> None:
    """A line a finding. Raises InputError where something is wrong."""
    found = [*doctor.machine(), *doctor.experiment(lambda: places.load(experiment_file))]
    for one in found:
        show(f"{one.state.value:<6}{one.what:<12}{one.said}")
    if wrong := [one.what for one in found if one.state is State.WRONG]:
        raise InputError(f"{len(wrong)} of these stop a run: {', '.join(wrong)}")
