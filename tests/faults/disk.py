"""A real disk that fills up: a tmpfs of a few pages, which only root may mount."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
PLENTY = 1 << 14


@contextmanager
def mounted(folder: Path) -> Iterator[Callable[[int], None]]:
    """Mounts one at `folder`, with plenty of room; yields what leaves a number of pages free."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={PLENTY * PAGE}", "tmpfs", folder)

    def leave(pages: int) -> None:
        state = os.statvfs(folder)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        _run("mount", "-o", f"remount,size={used + pages * PAGE}", folder)

    try:
        yield leave
    finally:
        _run("umount", folder)


def may_mount(folder: Path) -> bool:
    try:
        with mounted(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
