"""The real `scmd teacher` and the real `dvc repro`, killed at random moments: the whole process group, or the parent alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np

from tests.conftest import ENVIRONMENT, files
from tests.faults.cases import command
from tests.faults.scenes import Verdict

TEACHER = (sys.executable, "-m", "pipeline.cli", "teacher", "--workers", "1")
REPRO = ("dvc", "repro", "teacher")
CACHE = Path("cache/toy/tiny")
HANGS, SECONDS = 124, 300


def killed(project: Path, command: tuple[str, ...], count: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Kills `command`, which makes the cache anew, `count` times; run again, it must leave the undisturbed bytes."""
    shutil.rmtree(project / CACHE, ignore_errors=True)
    started = time.monotonic()
    assert _finished(project, command)[0] == 0
    duration, whole = time.monotonic() - started, _left(project)
    for number in range(count):
        shutil.rmtree(project / CACHE)
        running = _started(project, command)
        time.sleep(float(random.uniform(0, duration)))
        # A parent that is killed alone leaves its child behind, which goes on and holds the lock.
        (os.kill if number % 2 else os.killpg)(running.pid, signal.SIGKILL)
        running.wait()
        code, said = _finished(project, command)
        while code and "is writing this cache" in said:
            time.sleep(0.5)
            code, said = _finished(project, command)
        yield (
            None
            if code == 0 and _left(project) == whole
            else f"{command[-1]} after kill {number}: {code}, {said[-500:]}"
        )


def starved(project: Path, count: int) -> Iterator[Verdict]:
    """Case 17: `scmd teacher` with ever more address space, 1 to 6 GB; what it leaves is whole or goes on."""
    code, said = _finished(project, TEACHER)
    assert code == 0, said
    whole = _left(project)
    for limit in np.linspace(1 << 30, 6 << 30, count).astype(int).tolist():
        shutil.rmtree(project / CACHE, ignore_errors=True)
        short, said = _finished(project, ("prlimit", f"--as={limit}", *TEACHER))
        if short == HANGS:
            yield f"with {limit:,} bytes of memory: {said}"
            continue
        if short == 0:
            yield None if _left(project) == whole else f"other bytes with {limit:,} bytes of memory"
            continue
        if not any(path.startswith((CACHE.name, f".{CACHE.name}.")) for path in _left(project)):
            yield None  # it ended before it wrote
            continue
        code, said = _finished(project, TEACHER)
        yield (
            None if code == 0 and _left(project) == whole else f"after {limit:,} bytes of memory: {code}, {said[-500:]}"
        )


def repaired(project: Path, every: int, random: np.random.Generator) -> Iterator[Verdict]:
    """Case 10: a bit of every so many-th file of a cache flipped in turn; `scmd cache repair` must bring its bytes back."""
    code, said = _finished(project, TEACHER)
    assert code == 0, said
    whole = files(project / CACHE)
    with chdir(project):
        for path, data in list(whole.items())[::every]:
            changed, bit = bytearray(data), int(random.integers(0, 8 * len(data)))
            changed[bit >> 3] ^= 1 << (bit & 7)
            (CACHE / path).write_bytes(changed)
            code, said = command("cache", "repair", "--workers", "0")
            yield None if code == 0 and files(CACHE) == whole else f"bit {bit} of {path}: {code}, {said[-500:]}"


def _left(project: Path) -> dict[str, bytes]:
    """The cache and what stands beside it, but for the lock, which says who held it last."""
    beside = files((project / CACHE).parent)
    return {path: data for path, data in beside.items() if not path.endswith(".lock") and ".pixels-" not in path}


def _started(project: Path, command: tuple[str, ...]) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=project, env=ENVIRONMENT, start_new_session=True, **quiet)


def _finished(project: Path, command: tuple[str, ...]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command, cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return HANGS, f"still running after {SECONDS} s"
    return done.returncode, done.stdout + done.stderr
