"""Stage one on a cluster: processes that keep a teacher each, and compute blocks; this one holds the cache's lock and writes."""

import queue
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline import package
from pipeline.cache.identity import first_difference
from pipeline.cache.writer import Work
from pipeline.cluster import joining
from pipeline.cluster.joining import PATIENCE, TRIES, Node
from pipeline.cluster.shares import Shares
from pipeline.engine.device import device
from pipeline.errors import InputError, ResourceError, TeacherError, reason
from pipeline.progress import say, track, warn
from pipeline.stage_one.encoding import Arrays, Asked, Encoder, Engine
from pipeline.stage_one.task import LIBRARIES
from pipeline.teacher import clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.teacher_input import TeacherViews

# Cores of a process where there are no GPUs: each keeps a teacher of its own in memory.
CORES = 4
# Blocks that may wait, made, in the memory of the process that made them.
AHEAD = 2

Made = tuple[Work, Arrays]


def on_cluster(workers: int | None) -> Engine:
    """Where stage one runs: on the cluster that was joined, `workers` drawing for each process; by default a core each."""
    return partial(_encoded, workers)


@dataclass(frozen=True)
class Place:
    """What one process takes of a node."""

    node: str
    cpus: int
    gpus: int


def places(nodes: Sequence[Node]) -> list[Place]:
    """A process for each GPU, with its share of its node's cores; where no node has a GPU, one for every few cores."""
    if any(node.gpus for node in nodes):
        shares = [(node, min(node.gpus, node.cpus)) for node in nodes if node.gpus]
        return [Place(node.name, node.cpus // count, 1) for node, count in shares for _ in range(count)]
    few = [(node, min(CORES, node.cpus)) for node in nodes]
    return [Place(node.name, each, 0) for node, each in few for _ in range(node.cpus // each)]


@dataclass(frozen=True)
class _Beginning:
    """What a process of the cluster computes with, and what it must have in common with this one."""

    folder: Path
    code: str
    libraries: dict[str, str]
    settings: TeacherSettings
    facts: dict[str, Any]
    pictures: Any  # where Ray has the `TeacherViews`: they are fetched once by each process

    def encoder(self) -> Encoder:
        """Raises InputError where folder, code or libraries are others here, TeacherError where the teacher is."""
        host = joining.enter(self.folder, self.code)
        with joining.told_by(host):
            if difference := first_difference(self.libraries, _libraries()):
                raise InputError(f"other libraries than on the machine of the command: {difference}")
            loaded = clip.load(self.settings, device())
            if difference := first_difference(self.facts, loaded.facts):
                raise TeacherError(f"another teacher than on the machine of the command: {difference}")
        pictures: TeacherViews = ray.get(self.pictures)
        return Encoder(loaded, pictures, self.settings)


def _libraries() -> dict[str, str]:
    return {library: version(library) for library in LIBRARIES}


class Teacher:
    """In a process of the cluster, which may be begun anew at any time, and then has nothing."""

    def __init__(self) -> None:
        self._encoder: Encoder | None = None

    def there(self) -> None:
        """Says that the process has begun."""

    def begin(self, beginning: _Beginning) -> None:
        """Loads the teacher, if it is not there."""
        self._encoder = self._encoder or beginning.encoder()

    def arrays(self, beginning: _Beginning, asked: Sequence[Asked], workers: int) -> Iterator[Made | None]:
        """What was asked for, in order; before it None, which says that it is begun."""
        self.begin(beginning)
        assert self._encoder is not None
        yield None
        with joining.told_by(socket.gethostname()):
            yield from self._encoder.arrays(asked, workers)


def _encoded(workers: int | None, encoder: Encoder, asked: Sequence[Asked]) -> Iterator[Made]:
    if not asked:
        return
    taken = places(joining.nodes())[: len(asked)]
    cpus, gpus = (sum(getattr(place, what) for place in taken) for what in ("cpus", "gpus"))
    say(f"{len(taken)} processes of the cluster, with {cpus} cores and {gpus} GPUs")
    crew = _Crew(encoder, asked, len(taken))
    try:
        for place in taken:
            crew.begin(place, workers if workers is not None else place.cpus if place.cpus > 1 else 0)
        yield from track(crew.results(len(asked)), len(asked), "teacher, blocks")
    finally:
        crew.end()
    if again := crew.shares.begun_again:
        say(f"{again} {'block was' if again == 1 else 'blocks were'} begun again, as a process or node died at work")


def _why(error: ActorDiedError) -> str:
    """The last of what Ray says, where the reason stands, in one line."""
    return " ".join(" ".join(str(error).splitlines()[-2:]).split())


class _Crew:
    """The processes of one run, a thread for each: what they make, or the error that ends it all, comes through one queue."""

    def __init__(self, encoder: Encoder, asked: Sequence[Asked], size: int) -> None:
        self._rows = dict(asked)
        self.shares = Shares([work for work, _ in asked], size)
        self._made: queue.Queue[Made | Exception] = queue.Queue(AHEAD * size)
        self._placed: set[Any] = set()
        self._actors: list[Any] = []
        self._threads: list[threading.Thread] = []
        pictures, facts = ray.put(encoder.pictures), encoder.clip.facts
        self._beginning = _Beginning(Path.cwd(), package.digest(), _libraries(), encoder.settings, facts, pictures)

    def results(self, count: int) -> Iterator[Made]:
        """So many blocks, as they come. Raises what a process raised."""
        while count:
            try:
                made = self._made.get(timeout=PATIENCE)
            except queue.Empty:
                if not self._placed:
                    warn("no process of this command has a place on the cluster: waiting for free cores or GPUs")
                continue
            if isinstance(made, Exception):
                raise made
            count -= 1
            yield made

    def begin(self, place: Place, workers: int) -> None:
        """One more process of the cluster, on its node while that lives; Ray begins it anew when it dies."""
        node = NodeAffinitySchedulingStrategy(place.node, soft=True)
        options = {"num_cpus": place.cpus, "num_gpus": place.gpus, "max_restarts": -1, "scheduling_strategy": node}
        self._actors.append(ray.remote(**options)(Teacher).remote())  # type: ignore[call-overload]
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
        """Waits until a process has its teacher: it holds no work meanwhile. False at the end. Raises ResourceError where it
        dies of it."""
        for _ in range(TRIES):
            if not self._there(actor):
                return False
            try:
                ray.get(actor.begin.remote(self._beginning))
                return True
            except RayTaskError as error:
                raise joining.named(error) from error
            except RayError as error:
                died = error
        raise ResourceError(
            f"a process of the cluster died {TRIES} times while it loaded the teacher ({reason(died)}); if memory ran out "
            "there, give Ray fewer cores of that node: there is a process for every few"
        )

    def _there(self, actor: Any) -> bool:
        """Waits until a process has a place on the cluster, as long as it takes. False at the end. Raises ResourceError where it
        will never have one."""
        self._placed.discard(actor)
        deaths = 0
        while not self.shares.closed:
            try:
                ray.get(actor.there.remote())
                self._placed.add(actor)
                return True
            except ActorDiedError as error:
                deaths += 1
                if deaths == TRIES and not self.shares.closed:
                    raise ResourceError(f"Ray cannot begin a process for this command: {_why(error)}") from error
            except RayError:
                pass
            time.sleep(1)  # it is being begun
        return False

    def _compute(self, actor: Any, share: list[Work], workers: int) -> None:
        """A share, or as much of it as the process lives for."""
        left, begun = list(share), False
        streaming = actor.arrays.options(num_returns="streaming", _generator_backpressure_num_objects=AHEAD)
        try:
            for made in streaming.remote(self._beginning, [(work, self._rows[work]) for work in share], workers):
                result: Made | None = ray.get(made)
                if result is None:
                    begun = True
                    continue
                left.remove(result[0])
                self._made.put(result)
                self.shares.done(result[0])
        except RayTaskError as error:
            raise joining.named(error) from error
        except RayError:
            if begun:
                self.shares.died_at(left[0])
            self.shares.give_back(left)
