"""What things cost, measured here on made-up data: commands, caches, a large report, the steps of a student."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import config, package
from pipeline.progress import say, show
from pipeline.student.compute import ComputeSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.timing import cache_sizes, caches, command_line, encoding, large, pages, rounds, steps
from pipeline.timing import growth as growing
from pipeline.timing.rounds import Comparison, Figures
from pipeline.timing.steps import Sizes
from pipeline.trials.settings import StudentSettings


def commands() -> None:
    """What a command costs that does nothing."""
    show(command_line.line())


def cache(folder: Path, count: int, to: Path | None) -> None:
    """Reading and writing a cache, in a temporary folder below `folder`."""
    _tell(caches.compared(folder, count), to)


def teacher(name: str, folder: Path, count: int, to: Path | None) -> None:
    """Stage one of a shipped teacher, in a temporary folder below `folder`."""
    settings = config.load(package.configuration(f"teachers/{name}.yaml"), TeacherSettings)
    _tell([encoding.compared(settings, folder, count)], to)


def stage_two(folder: Path, to: Path | None) -> None:
    """Stage two on a cache of DomainNet's shape, in a temporary folder below `folder`."""
    _tell([large.measured(folder)], to)


def growth(folder: Path, to: Path | None) -> None:
    """Memory of stage one, and what caches cost, as data sets grow, in temporary folders below `folder`."""
    _tell(itertools.chain(growing.measured(folder), cache_sizes.measured(folder)), to)


def _tell(found: Iterable[Comparison | Figures], to: Path | None) -> None:
    kept = []
    for one in found:
        kept.append(one)
        for line in one.lines():
            show(line)
    if to:
        rounds.write(kept, to)
        say(f"in {to}")


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
    ways = itertools.product(precisions, compiled)
    computes = (
        config.parse({"precision": str(precision), "compile": compile}, ComputeSettings, "compute")
        for precision, compile in ways
    )
    _tell((steps.compared(settings, Sizes(*sizes), one, count, with_teacher=with_teacher) for one in computes), to)
