"""Files that are written whole or not at all, and folders that are tried before the work."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from pipeline.errors import ResourceError, reason


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which becomes `path` at the end: the file is the old one or the new one, never half.

    Raises ResourceError, naming the file, where the system refuses.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise ResourceError(
            f"{path}: cannot be written ({reason(error)}); make room or allow it, and run the same command again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """A small text file, replaced whole."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def require_room(folder: Path, size: int = 4096) -> None:
    """Raises ResourceError where no file can be made in a folder, or in that which it will be made in, or not of `size` bytes."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise ResourceError(
            f"{there}: no file can be written here ({reason(error)}); make room or allow it, and run the same command again"
        ) from error
    if free < size:
        raise ResourceError(
            f"{there}: {size / 1e6:,.1f} MB are to be written here and {free / 1e6:,.1f} are free; make room, and run the same "
            "command again"
        )
