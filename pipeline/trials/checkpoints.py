"""A trial's checkpoints: written every so many steps, so that a trial that was stopped goes on where it was."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.progress import say, warn
from pipeline.trials import snapshot
from pipeline.trials.trial import Trial
from pipeline.writing import require_room

FOLDER = "checkpoints"
# A torn one falls back to the one before.
KEPT = 2
_NAME = re.compile(r"step-(\d+)")


def keep(trial: Trial, folder: Path, made_from: Mapping[str, Any]) -> None:
    """Writes one of a trial's `folder`, whole or not at all, and removes all but the newest. Raises ResourceError."""
    place = folder / FOLDER / f"step-{trial.step}"
    require_room(folder, snapshot.size(trial))
    partial = place.with_name(f".{place.name}")
    for old in (partial, place):
        shutil.rmtree(old, ignore_errors=True)
    snapshot.write(trial, partial, made_from)
    partial.rename(place)
    for older in _newest_first(folder)[KEPT:]:
        shutil.rmtree(older)


def resumed(begin: Callable[[], Trial], folder: Path, made_from: Mapping[str, Any]) -> Trial:
    """A trial where its newest sound checkpoint left it; at its start where there is none. What cannot be used is said."""
    for place in _newest_first(folder):
        trial = begin()
        try:
            snapshot.read_into(trial, place, made_from)
        except InputError as error:
            warn(f"{error}; it is removed")
            shutil.rmtree(place)
            continue
        say(f"goes on from step {trial.step} of {trial.settings.steps}, which {place} kept")
        return trial
    return begin()


def remove(folder: Path) -> None:
    """All of a trial's."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _newest_first(folder: Path) -> list[Path]:
    named = [(_NAME.fullmatch(path.name), path) for path in (folder / FOLDER).glob("step-*")]
    by_step = {int(name[1]): path for name, path in named if name}
    return [by_step[step] for step in sorted(by_step, reverse=True)]
