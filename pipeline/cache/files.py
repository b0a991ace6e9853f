"""The files of a cache: written whole, synced and renamed into place; read without following a link or opening a pipe.

The only place that touches the disk for a cache. Several files that replace older ones are staged beside them first, so
that a ledger can decide for all of them at once (`ledger.commit`).
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import CacheError

PARTIAL, STAGED = ".partial", ".staged"


def building(folder: Path) -> Path:
    """Where a cache is built until it is whole and takes the place of `folder`."""
    return folder.with_name(f".{folder.name}.building")


def write_file(path: Path, data: bytes) -> None:
    """Replaces `path` by a file with these bytes; after a crash either the old or the new one stands, whole."""
    partial = path.with_name(f"{path.name}{PARTIAL}")
    try:
        make_folder(path.parent)
        _write_synced(partial, data)
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            os.unlink(partial)
        raise CacheError(
            f"{path}: {len(data):,} bytes cannot be written ({error.strerror}); make room or allow writing there, "
            "then run the same command again: what is done stays done"
        ) from error


def staged(path: Path) -> Path:
    """Where the successor of a file waits, synced, for its ledger to decide."""
    return path.with_name(f"{path.name}{STAGED}")


def take_place(path: Path) -> None:
    """The staged successor, if it still waits, becomes the file."""
    try:
        os.replace(staged(path), path)
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CacheError(
            f"{path}: its successor cannot take its place ({error.strerror}); make room or remove what lies there, then run "
            "the same command again: what is done stays done"
        ) from error


def _write_synced(path: Path, data: bytes) -> None:
    # Exclusive: whatever lies there, be it a link, is not written through.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes a folder and what lacks above it, each name synced in its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """Raises CacheError naming the first folder, of a cache and what it has, in which no file may be made."""
    for here, _, _ in os.walk(folder):
        if not os.access(here, os.W_OK | os.X_OK):
            raise CacheError(
                f"{here}: no file may be written in this folder; allow it, then run the same command again"
            )


def remove_folder(folder: Path) -> None:
    """Removes a cache that is no longer wanted, its head first: what a kill leaves of it is no complete cache any more."""
    if folder.is_symlink():
        os.unlink(folder)
    if not folder.exists():
        return
    with suppress(FileNotFoundError):
        os.unlink(folder / "ledger" / "head.json")
        sync_folder(folder / "ledger")
    for here, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(here, name))
        for name in folders:
            path = os.path.join(here, name)
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
    os.rmdir(folder)


# Folders in folders. A chunk lies in four.
_DEEPEST = 16


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and state of everything below a folder that is no folder itself; no link is followed.

    Raises CacheError where folders are nested deeper than any cache's.
    """
    to_see = [""]
    while to_see:
        here = to_see.pop()
        if here.count("/") > _DEEPEST:
            raise CacheError(f"{folder / here}: a folder deeper than any of a cache; remove it")
        try:
            names = sorted(os.listdir(folder / here))
        except FileNotFoundError:
            continue
        for name in names:
            path = f"{here}{name}"
            with suppress(FileNotFoundError):
                state = os.lstat(folder / path)
                if stat.S_ISDIR(state.st_mode):
                    to_see.append(f"{path}/")
                else:
                    yield path, state


def plain_files(folder: Path) -> list[str]:
    """Relative paths of all files below a cache's folder.

    Raises CacheError naming the first thing that is no plain file, through which one could write elsewhere.
    """
    found = []
    for path, state in walk(folder):
        if not stat.S_ISREG(state.st_mode):
            raise CacheError(f"{folder / path}: a link or no plain file; a cache holds its own files only: remove it")
        found.append(path)
    return found


def read_file(folder: Path, path: str, limit: int) -> bytes:
    """A regular file of at most `limit` bytes, reached from `folder` through folders alone.

    Raises FileNotFoundError, and CacheError as `open_file`, or for a larger file: before a byte of it is read.
    """
    with os.fdopen(open_file(folder, path), "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise CacheError(f"{folder / path}: {size:,} bytes, where at most {limit:,} are expected")
        return stream.read(size)


def open_file(folder: Path, path: str) -> int:
    """The descriptor of a regular file, opened for reading.

    Raises FileNotFoundError, and CacheError for a link, a pipe, a device or a folder. The cache's own folder may be a link, as
    its user may have put it on another disk.
    """
    *parents, name = path.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for parent in parents:
            below = os.open(parent, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        # Non-blocking, as opening a pipe would wait for its other end.
        descriptor = os.open(name, flags | os.O_NONBLOCK, dir_fd=at)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise CacheError(f"{folder / path}: a link or no plain file; a cache holds its own files only") from error
        raise CacheError(f"{folder / path}: cannot be read ({error.strerror})") from error
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CacheError(f"{folder / path}: a link or no plain file; a cache holds its own files only")
    return descriptor


def sha256(data: bytes | memoryview) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()
