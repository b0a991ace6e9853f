"""What a command costs that does nothing, what the ledger's checks cost, and how fast a large report opens."""

from pathlib import Path

from pipeline.progress import show
from pipeline.timing import caches, command_line, pages


def run(folder: Path) -> None:
    """Works on made-up caches and trials in temporary folders below `folder`."""
    show(command_line.line())
    for line in (*caches.lines(folder), *pages.lines(folder)):
        show(line)
