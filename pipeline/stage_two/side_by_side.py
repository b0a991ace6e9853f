"""Commands of this project side by side, in as many processes with their share of the processor; what they say is passed on.

A process takes one command after another, as to start one costs seconds; one whose command failed is not used again. What several
commands say in the same words of their settings is passed on once.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress

from pipeline import package
from pipeline.progress import COMMAND_DONE, OF_SETTINGS, WITHIN, insist, track

# Run by the Python and from the code that run now, whatever lies in the working folder.
SERVER = (
    sys.executable,
    "-P",
    "-c",
    f"import sys; sys.path.insert(0, {str(package.HOME.parent)!r}); from pipeline.cli import serve; serve()",
)


def run(
    commands: Mapping[str, Sequence[str]],
    jobs: int,
    threads: int,
    done: Callable[[str], None],
    gpus: Sequence[str] = (),
    server: Sequence[str] = SERVER,
) -> list[str]:
    """Runs `jobs` of the named commands at a time, with `threads` threads and one of the `gpus` each, and returns the names of
    those that failed.

    `done` is told of each that succeeded. Where this process is stopped, those that run are, and no other begins.
    """
    failed, running = [], _Running(server, jobs, threads, gpus)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            names = {pool.submit(running.run, name, command): name for name, command in commands.items()}
            for finished in track(as_completed(names), len(names), "trials"):
                if finished.result():
                    failed.append(names[finished])
                else:
                    done(names[finished])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.stop()
            raise
    running.end()
    return failed


class _Running:
    """The processes that there are now; those that are `idle` wait for a command."""

    def __init__(self, server: Sequence[str], jobs: int, threads: int, gpus: Sequence[str]) -> None:
        self._server = server
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(threads), WITHIN: str(jobs)}
        self._gpus = gpus
        self._processes: dict[subprocess.Popen[str], str] = {}  # with their GPUs
        self._idle: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._warnings: set[str] = set()
        self._stopped = False

    def run(self, name: str, command: Sequence[str]) -> bool:
        """Has a process run a command, passing on what it says line by line; whether it failed."""
        process = self._taken()
        if process is None:
            return True
        assert process.stdin is not None
        assert process.stderr is not None
        # One that was killed while it waited will say nothing, and the command has failed.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
        for line in process.stderr:
            said, mark, _ = line.partition(COMMAND_DONE)  # what was said may lack its line's end
            if said.strip() and not self._stopped and self._is_news(said.strip()):
                insist(f"[{name}] {said.rstrip()}")
            if mark:
                with self._lock:
                    self._idle.append(process)
                return False
        process.wait()
        with self._lock:
            self._processes.pop(process, None)
        return True

    def _is_news(self, said: str) -> bool:
        """Whether it is no warning of settings that another command has given."""
        with self._lock:
            known = said in self._warnings
            if said.startswith(OF_SETTINGS):
                self._warnings.add(said)
        return not known

    def _taken(self) -> subprocess.Popen[str] | None:
        """One that waits, or a new one; None where all is to stop."""
        with self._lock:
            if self._stopped:
                return None
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    return process
                self._processes.pop(process, None)
            return self._started()

    def _started(self) -> subprocess.Popen[str]:
        """A new one, on the GPU that has the fewest."""
        gpu = min(self._gpus, key=list(self._processes.values()).count, default="")
        environment = {**self._environment, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})}
        pipe = subprocess.PIPE
        started = subprocess.Popen(self._server, env=environment, stdin=pipe, stderr=pipe, text=True, errors="replace")
        self._processes[started] = gpu
        return started

    def stop(self) -> None:
        """At once, whatever runs."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()

    def end(self) -> None:
        """Those that wait, for there is nothing more to do."""
        for process in self._idle:
            process.communicate()
