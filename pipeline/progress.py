"""What a command says while it works: a bar on a terminal, plain lines in a log, less or more of it for who asks."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
# Set for a command that is a part of another, which speaks for it: how many of its kind run at once.
WITHIN = "SCMD_WITHIN"
# The line by which a process that takes one command after another says, among what it says, that one is done.
COMMAND_DONE = "\x1e"
WARNING = "warning:"
# What a warning begins with that all trials of the same settings give.
OF_SETTINGS = f"{WARNING} settings of"
# How much is said, by this command and those that it starts: `quiet` (warnings, errors and results), `verbose`, or neither.
TALK = "SCMD_TALK"
QUIET, VERBOSE = "quiet", "verbose"
LOG_EVERY_SECONDS, BAR_EVERY_SECONDS = 10.0, 1.0

_talk = Console(stderr=True, highlight=False, soft_wrap=True)
_results = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the reader of the terminal or log, on standard error."""
    if os.environ.get(TALK) != QUIET:
        _print(text)


def detail(text: str) -> None:
    """The same, for who wants to know more."""
    if os.environ.get(TALK) == VERBOSE:
        _print(text)


def insist(text: str) -> None:
    """The same, whatever is asked: an error, or how a command ended."""
    _print(text)


def warn(text: str) -> None:
    """One line that begins with `WARNING`."""
    _print(f"{WARNING} {text}")


def show(text: str) -> None:
    """What was asked for, on standard output, where a pipe or a file can take it."""
    _results.print(_spelled(text), markup=False)


def _print(text: str) -> None:
    _talk.print(_spelled(text).replace("\n", "\\n"), markup=False)


def _spelled(text: str) -> str:
    """Control characters, which a stranger's file may hold, are spelled."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def track(items: Iterable[T], total: int, what: str, state: Callable[[], str] = lambda: "") -> Iterator[T]:
    """Passes `items` on and shows how far they are, how fast, how long it takes still, and what `state` then says."""
    if os.environ.get(TALK) == QUIET:
        yield from items
    else:
        yield from (_bar if sys.stderr.isatty() else _lines)(items, total, what, state)


def _pace(rate: float) -> str:
    """Items a second, or of long ones a minute or an hour."""
    for count, unit in ((1, "s"), (60, "min")):
        if count * rate >= 0.1:
            return f"{count * rate:.1f}/{unit}"
    return f"{3600 * rate:.1f}/h"


class _Rate(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        return Text(_pace(task.speed) if task.speed else "")


def _bar(items: Iterable[T], total: int, what: str, state: Callable[[], str]) -> Iterator[T]:
    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=_talk) as progress:
        task, told = progress.add_task(what, total=total, state=""), 0.0
        for item in items:
            yield item
            progress.advance(task)
            now = time.monotonic()
            if now - told >= BAR_EVERY_SECONDS:
                told = now
                progress.update(task, state=state())


def _lines(items: Iterable[T], total: int, what: str, state: Callable[[], str]) -> Iterator[T]:
    every = LOG_EVERY_SECONDS * int(os.environ.get(WITHIN) or 1)
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= every and done < total:
            shown = now
            rate = done / (now - start)
            line = f"{what}: {done} of {total}, {_pace(rate)}, {(total - done) / rate:.0f} s left"
            say(", ".join(part for part in (line, state()) if part))
