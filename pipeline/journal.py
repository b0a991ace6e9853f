"""The sittings of a long run: what each did, how long it took and on which machine, for the page that tells it."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from pipeline.config import Section
from pipeline.errors import InputError, reason
from pipeline.writing import replace_text


class Sitting(Section):
    """One call of `scmd students` or `scmd run`, up to the last trial that it finished."""

    trials: tuple[str, ...]
    seconds: float
    jobs: int
    machine: str


_SITTINGS = TypeAdapter(list[Sitting])
FILE = "sittings.json"


def read(folder: Path) -> list[Sitting]:
    """The sittings so far; none where there was none. Raises InputError where the file is not such a list."""
    file = folder / FILE
    try:
        return _SITTINGS.validate_json(file.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InputError(
            f"{file}: not a list of sittings as `scmd students` writes it ({reason(error)}); delete it"
        ) from error


class Journal:
    """Adds a sitting to the earlier ones, and writes it anew after every finished trial: a kill loses no record."""

    def __init__(self, folder: Path, earlier: Sequence[Sitting], jobs: int) -> None:
        self._file = folder / FILE
        self._earlier = list(earlier)
        self._started = time.monotonic()
        self._jobs = jobs
        self._finished: list[str] = []

    def note_finished(self, trial: str) -> None:
        """One more trial of this sitting is done."""
        self._finished.append(trial)
        seconds = round(time.monotonic() - self._started, 1)
        now = Sitting(trials=tuple(self._finished), seconds=seconds, jobs=self._jobs, machine=machine())
        replace_text(self._file, _SITTINGS.dump_json([*self._earlier, now], indent=1).decode())


def machine() -> str:
    """Processor, cores and the libraries that decide speed, in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def lines(sittings: Sequence[Sitting]) -> list[str]:
    """One Markdown item for each sitting of which a trial still counts: a later one may have run it again."""
    items = []
    for at, sitting in enumerate(sittings):
        again = {trial for later in sittings[at + 1 :] for trial in later.trials}
        left, done = len(set(sitting.trials) - again), len(sitting.trials)
        kept = "" if left == done else f" ({left} of them are in the table)"
        minutes = f"{sitting.seconds / 60:.0f} minutes"
        if left:
            items.append(f"- {done} trials{kept} in {minutes}, {sitting.jobs} at a time, on {sitting.machine}")
    return items
