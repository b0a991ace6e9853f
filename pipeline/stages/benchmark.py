"""What the ledger's checks cost."""

from pathlib import Path

from pipeline import timing
from pipeline.progress import show


def run(folder: Path) -> None:
    """Writes and reads a made-up cache in a temporary folder below `folder`."""
    show(timing.command_line())
    for line in timing.cache_lines(folder):
        show(line)
