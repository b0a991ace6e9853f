"""What things cost, measured here on made-up data: commands, the checks of a cache, a large report, the steps of a student."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from pipeline import config, package
from pipeline.progress import say, show
from pipeline.student.compute import ComputeSettings
from pipeline.timing import caches, command_line, pages, rounds, steps
from pipeline.timing.steps import Sizes
from pipeline.trials.settings import StudentSettings


def commands() -> None:
    """What a command costs that does nothing."""
    show(command_line.line())


def cache(folder: Path) -> None:
    """The ledger's checks beside plain Zarr, in a temporary folder below `folder`."""
    for line in caches.lines(folder):
        show(line)


def page(folder: Path) -> None:
    """A report of hundreds of trials, in a temporary folder below `folder`."""
    for line in pages.lines(folder):
        show(line)


def student(
    name: str,
    sizes: tuple[int, int, int],
    precisions: Sequence[str],
    compiled: Sequence[bool],
    count: int,
    to: Path | None,
    *,
    with_teacher: bool,
) -> None:
    """Steps of a shipped student's configuration in every precision, compiled and not; `sizes`: the pictures' side, classes and
    source domains."""
    settings = config.load(package.configuration(f"students/{name}.yaml"), StudentSettings)
    found = []
    for precision, compile in itertools.product(precisions, compiled):
        compute = config.parse({"precision": str(precision), "compile": compile}, ComputeSettings, "compute")
        found.append(steps.compared(settings, Sizes(*sizes), compute, count, with_teacher=with_teacher))
        for line in found[-1].lines():
            show(line)
    if to:
        rounds.write(found, to)
        say(f"in {to}")
