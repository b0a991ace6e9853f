"""One writer at a time: a lock of the operating system, which a dead owner never holds, and who holds it."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import CacheError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Holds the lock beside a cache's folder. Raises CacheError naming the holder where another process has it."""
    path = folder.with_name(f".{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A lock that is a mere file would outlive its owner: better none than that.
        lock = FileLock(path, timeout=0, fallback_to_soft=False)
        lock.acquire()
    except Timeout as error:
        raise CacheError(
            f"{folder}: {_holder(path)} is writing this cache; wait for it, or stop it and try again"
        ) from error
    except OSError as error:
        raise CacheError(
            f"{path}: no lock can be had here ({error.strerror}); allow writing beside the cache, and keep it on a file "
            "system with locks (README, section on sharing)"
        ) from error
    try:
        with suppress(OSError):  # the note is for others; a full disk tells of itself where it matters
            path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "command": sys.argv}))
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        pid, host, command = int(note["pid"]), str(note["host"]), " ".join(map(str, note["command"]))[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return "another process (it has not said which yet)"
    where = "" if host == socket.gethostname() else f" on {host}"
    return f"process {pid}{where} ({command}{'' if where else _state(pid)})"


def _state(pid: int) -> str:
    """What a local holder is doing, as far as the system tells: stopped, or left behind by its parent."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return ""
    if state == "T":
        return f"; stopped, `kill -CONT {pid}` lets it go on"
    return "; its parent is gone" if parent == "1" else ""
