"""Stage one on a cluster: processes that keep a teacher each, and compute blocks; this one holds the cache's lock and writes."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.cache.identity import first_difference
from pipeline.cache.writer import Work
from pipeline.cluster import joining
from pipeline.cluster.shares import Shares
from pipeline.engine.device import device
from pipeline.errors import InputError, TeacherError
from pipeline.progress import say, track, warn
from pipeline.stage_one.encoding import Arrays, Asked, Encoder, Engine
from pipeline.teacher import clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.teacher_input import TeacherViews

# Cores of a process where there are no GPUs: each keeps a teacher of its own in memory.
CORES = 4
# Blocks that may wait, made, in the memory of the process that made them.
AHEAD = 2
# Seconds without a block and without a process that could make one, after which one is told.
PATIENCE = 60.0

Made = tuple[Work, Arrays]


def on_cluster(workers: int | None) -> Engine:
    """Where stage one runs: on the cluster that was joined, `workers` drawing for each process; by default a core each."""
    return partial(_encoded, workers)


@dataclass(frozen=True)
class _Place:
    """What one process takes of a node."""

    cpus: int
    gpus: int


def places(nodes: Sequence[dict[str, float]]) -> list[_Place]:
    """A process for each GPU, with its share of its node's cores; where no node has a GPU, one for every few cores."""
    with_gpus = [(int(node["CPU"]), int(node["GPU"])) for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpus:
        return [_Place(max(1, cpus // gpus), 1) for cpus, gpus in with_gpus for _ in range(gpus)]
    few = [(int(node["CPU"]), min(CORES, int(node["CPU"]))) for node in nodes]
    return [_Place(each, 0) for cpus, each in few for _ in range(cpus // each)]


class Teacher:
    """In a process of the cluster. What it computes with comes by `begin`, once, so that errors are those of a call."""

    _encoder: Encoder | None = None

    def begin(self, folder: Path, settings: TeacherSettings, facts: dict[str, Any], pictures: TeacherViews) -> None:
        """Raises InputError where the folder is not there, TeacherError where this machine's teacher is another."""
        if self._encoder is None:
            host = joining.enter(folder)
            loaded = clip.load(settings, device())
            if difference := first_difference(facts, loaded.facts):
                raise TeacherError(f"node {host} has another teacher than this machine: {difference}")
            self._encoder = Encoder(loaded, pictures, settings)

    def arrays(self, asked: Sequence[Asked], workers: int) -> Iterator[Made]:
        """What was asked for, in order."""
        assert self._encoder is not None
        yield from self._encoder.arrays(asked, workers)


def _encoded(workers: int | None, encoder: Encoder, asked: Sequence[Asked]) -> Iterator[Made]:
    if not asked:
        return
    taken = places(joining.nodes())[: len(asked)]
    if not taken:
        raise InputError("the Ray cluster has no node with a core to use")
    say(f"{len(taken)} processes of the cluster, {taken[0].cpus} cores and {taken[0].gpus} GPUs each")
    crew = _Crew(encoder, asked, len(taken))
    try:
        for place in taken:
            crew.begin(place, workers if workers is not None else place.cpus if place.cpus > 1 else 0)
        yield from track(crew.results(len(asked)), len(asked), "teacher, blocks")
    finally:
        crew.end()
    if again := crew.shares.begun_again:
        say(f"{again} blocks were begun again, as the process or node that had begun them died")


class _Crew:
    """The processes of one run, a thread for each: what they make, or the error that ends it all, comes through one queue."""

    def __init__(self, encoder: Encoder, asked: Sequence[Asked], size: int) -> None:
        self._rows = dict(asked)
        self.shares = Shares([work for work, _ in asked], size)
        self._made: queue.Queue[Made | Exception] = queue.Queue(AHEAD * size)
        self._working: set[Any] = set()
        self._actors: list[Any] = []
        self._threads: list[threading.Thread] = []
        pictures = ray.put(encoder.pictures)
        self._beginning = (Path.cwd(), encoder.settings, encoder.clip.facts, pictures)

    def results(self, count: int) -> Iterator[Made]:
        """So many blocks, as they come. Raises what a process raised."""
        while count:
            try:
                made = self._made.get(timeout=PATIENCE)
            except queue.Empty:
                if not self._working:
                    warn("no process of the cluster works for this command: waiting for a node with free cores or GPUs")
                continue
            if isinstance(made, Exception):
                raise made
            count -= 1
            yield made

    def begin(self, place: _Place, workers: int) -> None:
        """One more process of the cluster; Ray begins it anew when it dies."""
        kind = ray.remote(num_cpus=place.cpus, num_gpus=place.gpus, max_restarts=-1)(Teacher)
        self._actors.append(kind.remote())
        self._threads.append(threading.Thread(target=self._serve, args=(self._actors[-1], workers), daemon=True))
        self._threads[-1].start()

    def end(self) -> None:
        """Ends all processes, whatever they do, and with them the threads that wait for them."""
        self.shares.close()
        for actor in self._actors:
            ray.kill(actor)
        for thread in self._threads:
            while thread.is_alive():
                with suppress(queue.Empty):  # what nobody takes any more, so that nobody waits to put it
                    self._made.get_nowait()
                thread.join(0.1)

    def _serve(self, actor: Any, workers: int) -> None:
        """Has a process compute, one share after another, until all is done."""
        try:
            while self._ready(actor) and (share := self.shares.take()):
                self._compute(actor, share, workers)
        except Exception as error:
            self._made.put(error)

    def _ready(self, actor: Any) -> bool:
        """Waits until a process is ready, however often it dies before: it holds no work meanwhile. False at the end."""
        while not self.shares.closed:
            try:
                ray.get(actor.begin.remote(*self._beginning))
                return True
            except RayTaskError as error:
                raise joining.named(error) from error
            except RayError:
                continue
        return False

    def _compute(self, actor: Any, share: list[Work], workers: int) -> None:
        """A share, or as much of it as the process lives for."""
        left = list(share)
        streaming = actor.arrays.options(num_returns="streaming", _generator_backpressure_num_objects=AHEAD)
        self._working.add(actor)
        try:
            for made in streaming.remote([(work, self._rows[work]) for work in share], workers):
                result: Made = ray.get(made)
                left.remove(result[0])
                self._made.put(result)
                self.shares.done(result[0])
        except RayTaskError as error:
            raise joining.named(error) from error
        except RayError:
            self.shares.give_back(left)
        finally:
            self._working.discard(actor)
