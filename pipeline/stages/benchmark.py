"""What a command costs that does nothing, and what the ledger's checks cost."""

from pathlib import Path

from pipeline.progress import show
from pipeline.timing import caches, command_line


def run(folder: Path) -> None:
    """Writes and reads a made-up cache in a temporary folder below `folder`."""
    show(command_line.line())
    for line in caches.lines(folder):
        show(line)
