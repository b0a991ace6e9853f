"""A folder of images → what it holds, and a project that is ready for `dvc repro`."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.progress import say, show
from pipeline.project import looking, starting
from pipeline.project.starting import Choice


def run(root: Path, teacher: str | None, student: str | None, size: int | None) -> None:
    """Into the working folder. Raises InputError where it already has an experiment, or the images are no data set."""
    here = Path()
    looking.require_layout(root)
    starting.require_apart(here, root)
    if (here / starting.EXPERIMENT).exists():  # before all images are read
        raise InputError(f"{starting.EXPERIMENT} is already here, and nothing was written; start in another folder")
    ours = starting.ON_GPU if device().type == "cuda" else starting.ON_CPU
    choice = Choice(teacher or ours.teacher, student or ours.student, size or ours.size)
    found = looking.look(root)
    for line in looking.lines(found):
        show(line)
    texts = starting.files(root, found.samples, choice)
    starting.require_free(here, texts)
    starting.write(here, texts)
    say(f"written: {', '.join(texts)}")
    say(f"teacher {choice.teacher}, student {choice.student} at {choice.size} px, every domain held out in turn")
    if root.resolve().is_relative_to(here.resolve()):
        say(
            f"the images lie in this project, and git would take them in: `dvc add {shlex.quote(str(root))}` leaves them to DVC"
        )
    lacking = [f"{name} init" for name in ("git", "dvc") if not Path(f".{name}").is_dir()]
    say(f"next: {' && '.join([*lacking, 'scmd doctor', 'dvc repro'])}")
