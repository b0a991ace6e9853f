"""What long work shows: a bar with rate and time left on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
# Set for a command that is a part of another, which speaks for it.
WITHIN = "SCMD_WITHIN"
LOG_EVERY_SECONDS = 20.0

_talk = Console(stderr=True, highlight=False, soft_wrap=True)
_results = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the reader of the terminal or log, on standard error."""
    _talk.print(_spelled(text).replace("\n", "\\n"), markup=False)


def show(text: str) -> None:
    """What was asked for, on standard output, where a pipe or a file can take it."""
    _results.print(_spelled(text), markup=False)


def _spelled(text: str) -> str:
    """Control characters, which a stranger's file may hold, are spelled."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def warn(text: str) -> None:
    """One line that begins with `warning:`."""
    say(f"warning: {text}")


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Passes `items` on and shows how far they are."""
    return _bar(items, total, what) if sys.stderr.isatty() else _lines(items, total, what)


def _bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_talk) as progress:
        yield from progress.track(items, total=total)


def _lines(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    start = shown = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= LOG_EVERY_SECONDS and done < total:
            shown = now
            rate = done / (now - start)
            say(f"{what}: {done} of {total}, {rate:.1f}/s, {(total - done) / rate:.0f} s left")
