"""A shim around the calls by which a process changes a disk: counts them, kills or fails at one, or records them all."""

import errno
import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

CALLS = ("open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


@contextmanager
def around(before: Callable[[str, tuple], None], after: Callable[[str, tuple, object], None]):
    """Calls `before` and `after` around every write-side call of `os` within the block."""
    real = {name: getattr(os, name) for name in CALLS}

    def wrapped(name):
        def call(*arguments, **options):
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real[name](*arguments, **options)
            before(name, arguments)
            result = real[name](*arguments, **options)
            after(name, arguments, result)
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name))
    try:
        yield
    finally:
        for name in CALLS:
            setattr(os, name, real[name])


def count(work: Callable[[], None]) -> int:
    """How many write-side calls `work` makes."""
    calls = []
    with around(lambda name, _: calls.append(name), lambda *_: None):
        work()
    return len(calls)


def killed(work: Callable[[], None], call: int, *, after: bool) -> bool:
    """Runs `work` in a forked process that kills itself before or after one call; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        seen = [0]

        def at_call(*_):
            seen[0] += 1
            if seen[0] == call + 1:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with around((lambda *_: None) if after else at_call, at_call if after else (lambda *_: None)):
                work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@contextmanager
def failing(call: int, fault: Callable[[str], Exception], *, for_ever: bool):
    """The call of that number raises `fault` of its path (`for_ever`: and every later one that needs room).

    Yields the list of the calls that it failed.
    """
    seen, raised = [0], []

    def before(name, arguments):
        seen[0] += 1
        due = seen[0] > call if for_ever else seen[0] == call + 1
        needs_room = name in ("open", "write", "fsync", "mkdir", "replace", "rename")
        if due and (needs_room if for_ever else True):
            raised.append(name)
            raise fault(str(arguments[0]))

    with around(before, lambda *_: None):
        yield raised


def refusal(code: int) -> Callable[[str], Exception]:
    """What the system says with an errno."""
    return lambda path: OSError(code, os.strerror(code), path)


FAULTS: dict[str, Callable[[str], Exception]] = {
    "ENOSPC": refusal(errno.ENOSPC),
    "EIO": refusal(errno.EIO),
    "MemoryError": MemoryError,
}


class Recorder:
    """The calls of a run, with the bytes that it wrote, for `crash.states`."""

    def __init__(self, root: Path):
        self.root, self.calls, self._paths = root, [], {}

    def _relative(self, path) -> str:
        return os.path.relpath(path, self.root)

    def note(self, name, arguments, result) -> None:
        match name:
            case "open":
                self._paths[result] = self._relative(arguments[0])
                self.calls.append(("create", self._paths[result], b""))
            case "write":
                self.calls.append(("write", self._paths[arguments[0]], bytes(arguments[1][:result])))
            case "fsync":
                where = os.readlink(f"/proc/self/fd/{arguments[0]}")
                self.calls.append(("sync", self._relative(where), b""))
            case "replace" | "rename":
                self.calls.append(("move", self._relative(arguments[0]), self._relative(arguments[1])))
            case _:
                self.calls.append((name, self._relative(arguments[0]), b""))

    def record(self, work: Callable[[], None]) -> list[tuple]:
        with around(lambda *_: None, self.note):
            work()
        return self.calls
