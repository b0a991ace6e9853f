"""One process a trial: a lock of the operating system on its folder, which leaves no file and which a dead owner never holds."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import InputError
from pipeline.writing import require_room


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """Holds a trial's folder. Raises InputError where another process does, ResourceError where it cannot be made.

    A file system without locks is none to stop for: two that train one trial write the same bytes, and get in each other's way.
    Folders that were made for it go where nothing came of it.
    """
    require_room(folder)
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            _acquire(place, folder)
        yield
    finally:
        os.close(place)
        with suppress(OSError):
            for empty in new:
                empty.rmdir()


def _acquire(place: int, folder: Path) -> None:
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{folder}: another command trains this trial; wait for it, or stop it") from error
