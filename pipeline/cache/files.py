"""How a file of the cache comes to be: whole, synced, and renamed into place. The only place that writes."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from pipeline.errors import CacheError


def write_file(path: Path, data: bytes) -> None:
    """Replaces `path` by a file with these bytes; after a crash either the old or the new one stands, whole."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise CacheError(
            f"{path}: {len(data):,} bytes cannot be written ({error.strerror}); make room or allow writing there, "
            "then run the same command again: what is done stays done"
        ) from None


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
