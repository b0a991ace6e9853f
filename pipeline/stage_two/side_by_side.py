"""Commands side by side, each in a process of its own with its share of the processor; what they say is passed on by name."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from pipeline import package
from pipeline.progress import WITHIN, insist, track


def run(commands: Mapping[str, Sequence[str]], jobs: int, threads: int, done: Callable[[str], None]) -> list[str]:
    """Runs `jobs` of the named commands at a time, with `threads` threads each, and returns the names of those that failed.

    `done` is told of each that succeeded. Where this process is stopped, those that run are, and no other begins.
    """
    failed, running = [], _Running(jobs)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            names = {pool.submit(running.run, name, command, threads): name for name, command in commands.items()}
            for finished in track(as_completed(names), len(names), "trials"):
                if finished.result():
                    failed.append(names[finished])
                else:
                    done(names[finished])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.stop()
            raise
    return failed


class _Running:
    """The processes that run now."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, name: str, command: Sequence[str], threads: int) -> int:
        """Runs a command to its end, passing on what it says line by line; returns its exit code."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), WITHIN: str(self._jobs)}
        with self._lock:
            if self._stopped:
                return 1
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
            self._processes.add(process)
        assert process.stderr is not None
        for line in process.stderr:
            if not self._stopped:
                insist(f"[{name}] {line.rstrip()}")
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return code

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()


def scmd(*arguments: str) -> list[str]:
    """A command of this project, run by the Python and from the code that run now, whatever lies in the working folder."""
    program = f"import sys; sys.path.insert(0, {str(package.HOME.parent)!r}); from pipeline.cli import main; main()"
    return [sys.executable, "-P", "-c", program, *arguments]
