"""Stage two on a cluster: the trial is the task, with its share of a GPU, or a core."""

import contextlib
import io
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline import package
from pipeline.cluster import joining
from pipeline.cluster.joining import PATIENCE, TRIES, Node
from pipeline.errors import InputError, ScmdError, reason
from pipeline.experiment.places import Plan
from pipeline.progress import WITHIN, insist, track, warn
from pipeline.stages import student
from pipeline.trials.files import read_card
from pipeline.trials.key import TrialKey


@dataclass(frozen=True)
class OnCluster:
    """Each trial has `gpus_per_trial` of a GPU, by default one where the cluster has any, and a core beside its workers."""

    gpus_per_trial: float | None

    def at_once(self, plan: Plan, trials: int) -> int:
        """As many as the cluster has room for."""
        nodes = joining.nodes()
        return max(1, min(room(nodes, self._share(plan, nodes)), trials))

    def run(
        self,
        plan: Plan,
        results: Path,
        keys: Sequence[TrialKey],
        jobs: int,  # noqa: ARG002 - Ray sees itself how many there is room for
        done: Callable[[str], None],
    ) -> list[str]:
        """Ray begins trials as there is room. A trial whose process or node died is begun again, and goes on."""
        cpus, gpus = self._share(plan, joining.nodes())
        task = ray.remote(max_retries=TRIES, num_cpus=cpus, num_gpus=gpus)(_trained)
        code, here = package.digest(), Path.cwd()
        running = {task.remote(here, code, partial(student.run, plan, results, key)): key for key in keys}
        failed = []
        for ref in track(_as_completed(list(running)), len(running), "trials"):
            key = running[ref]
            if _told(str(key), ref) and _is_here(key, results):
                done(str(key))
            else:
                failed.append(str(key))
        return failed

    def _share(self, plan: Plan, nodes: Sequence[Node]) -> tuple[int, float]:
        return shared(nodes, 1 + plan.student.workers, self.gpus_per_trial)


def shared(nodes: Sequence[Node], cpus: int, gpus: float | None) -> tuple[int, float]:
    """Cores and part of a GPU that Ray is to reserve for a trial. Raises InputError where no node has as much of a GPU."""
    there = any(node.gpus for node in nodes)
    each = float(there) if gpus is None else gpus
    if each > there:
        raise InputError(
            f"a trial cannot have {each:g} of a GPU: it uses one at most, and the cluster has {'some' if there else 'none'}"
        )
    return min(cpus, max(node.cpus for node in nodes if node.gpus or not each)), each


def room(nodes: Sequence[Node], share: tuple[int, float]) -> int:
    """How many trials with such a share fit on some nodes."""
    cpus, gpus = share
    on_a_gpu = int(round(1 / gpus, 6)) if gpus else 0
    return sum(min(node.cpus // cpus, node.gpus * on_a_gpu if gpus else node.cpus) for node in nodes)


@dataclass(frozen=True)
class _Told:
    """What a trial said, on which machine, and why it failed, if it did."""

    lines: list[str]
    host: str
    failure: str | None = None


def _trained(folder: Path, code: str, train: Callable[[], object]) -> _Told:
    """In a process of the cluster."""
    host = joining.enter(folder, code)
    os.environ[WITHIN] = "1"
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            with joining.told_by(host):
                train()
        except ScmdError as error:
            return _Told(said.getvalue().splitlines(), host, str(error))
    return _Told(said.getvalue().splitlines(), host)


def _as_completed(refs: list[Any]) -> Iterator[Any]:
    """Waits in a thread of its own: a signal that comes while Ray waits would end the command with another code."""
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def wait() -> None:
        waiting = refs
        with contextlib.suppress(RayError, RuntimeError):  # of a cluster that was left meanwhile
            while waiting:
                found, waiting = ray.wait(waiting)
                ended.put(found[0])

    threading.Thread(target=wait, daemon=True).start()
    left = len(refs)
    while left:
        try:
            yield ended.get(timeout=PATIENCE)
            left -= 1
        except queue.Empty:
            if joining.idle():
                warn("no trial runs: waiting for a node with free cores or GPUs")


def _told(name: str, ref: Any) -> bool:
    """Passes on what a trial said, and why it failed; whether it is done."""
    try:
        told: _Told = ray.get(ref)
    except RayTaskError as error:
        insist(f"[{name}] scmd: {reason(joining.named(error))}")
        return False
    except RayError as error:
        insist(f"[{name}] scmd: its process died {TRIES + 1} times ({reason(error)})")
        return False
    for line in told.lines:
        insist(f"[{name}] {line}")
    if told.failure:
        insist(f"[{name}] scmd: {told.failure}")
    return told.failure is None


def _is_here(key: TrialKey, results: Path) -> bool:
    """Whether what a node wrote is seen by this machine; says what to do where it is not."""
    folder = key.folder(results)
    there = read_card(folder) is not None
    if not there:
        insist(f"[{key}] scmd: {folder} has no card here, though a node wrote one; all nodes must share `results`")
    return there
