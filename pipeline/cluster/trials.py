"""Stage two on a cluster: the trial is the task, with its share of a GPU, or a core."""

import contextlib
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.cluster import joining
from pipeline.errors import InputError, ScmdError, reason
from pipeline.experiment.places import Plan
from pipeline.progress import WITHIN, insist, track
from pipeline.stages import student
from pipeline.trials.key import TrialKey

# How often a trial is begun anew, from its last checkpoint, whose process or node died.
TRIES = 3


@dataclass(frozen=True)
class OnCluster:
    """Each trial has `gpus_per_trial` of a GPU, by default one where the cluster has any, and a core beside its workers."""

    gpus_per_trial: float | None

    def at_once(self, plan: Plan, trials: int) -> int:
        """As many as the cluster has room for."""
        share = self._share(plan)
        room = sum(
            int(min(node.get(name, 0) // each for name, each in share.items() if each)) for node in joining.nodes()
        )
        return max(1, min(room, trials))

    def run(
        self,
        plan: Plan,
        results: Path,
        keys: Sequence[TrialKey],
        jobs: int,  # noqa: ARG002 - Ray sees itself how many there is room for
        done: Callable[[str], None],
    ) -> list[str]:
        """Ray begins trials as there is room. A trial whose process or node died is begun again, and goes on."""
        cpus, gpus = self._share(plan).values()
        task = ray.remote(max_retries=TRIES, num_cpus=cpus, num_gpus=gpus)(_trained)
        running = {task.remote(Path.cwd(), partial(student.run, plan, results, key)): str(key) for key in keys}
        failed = []
        for ref in track(_as_completed(list(running)), len(running), "trials"):
            if _told(running[ref], ref):
                done(running[ref])
            else:
                failed.append(running[ref])
        return failed

    def _share(self, plan: Plan) -> dict[str, float]:
        return shared(joining.nodes(), 1 + plan.student.workers, self.gpus_per_trial)


def shared(nodes: Sequence[dict[str, float]], cpus: int, gpus: float | None) -> dict[str, float]:
    """`CPU` and `GPU` that Ray is to reserve for a trial. Raises InputError where no node has as much of a GPU."""
    most = max((node.get("GPU", 0) for node in nodes), default=0)
    each = (1 if most >= 1 else 0) if gpus is None else gpus
    if each > most or (each > 1 and not float(each).is_integer()):
        raise InputError(
            f"a trial cannot have {each:g} GPUs: the largest node of the cluster has {most:g}, and more than one are whole ones"
        )
    able = [node for node in nodes if node.get("GPU", 0) >= each]
    return {"CPU": min(cpus, math.floor(max(node["CPU"] for node in able))), "GPU": each}


def _trained(folder: Path, train: Callable[[], object]) -> list[str]:
    """In a process of the cluster: a trial, and the lines that it said."""
    joining.enter(folder)
    os.environ[WITHIN] = "1"
    with contextlib.redirect_stderr(io.StringIO()) as said:
        train()
    return said.getvalue().splitlines()


def _as_completed(waiting: list[Any]) -> Any:
    while waiting:
        ended, waiting = ray.wait(waiting)
        yield from ended


def _told(name: str, ref: Any) -> bool:
    """Passes on what a trial said, or why it failed; whether it is done."""
    try:
        for line in ray.get(ref):
            insist(f"[{name}] {line}")
        return True
    except RayTaskError as error:
        cause = joining.named(error)
        insist(f"[{name}] scmd: {cause if isinstance(cause, ScmdError) else reason(cause)}")
    except RayError as error:
        insist(f"[{name}] scmd: its process died {TRIES + 1} times ({reason(error)})")
    return False
