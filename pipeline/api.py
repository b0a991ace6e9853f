"""The pipeline from Python: what the commands do, as functions. Torch and the rest are imported by the function that needs them.

Paths count from the working folder, as with the commands. All raise the errors of `pipeline.errors`, one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.experiment import DEFAULT, RESULTS

if TYPE_CHECKING:
    from pipeline.cache.reader import TeacherCache
    from pipeline.cluster.cluster import Cluster
    from pipeline.experiment.places import Plan
    from pipeline.finished.answers import Answer
    from pipeline.finished.student import FinishedStudent
    from pipeline.queries.duplicates import Pair
    from pipeline.report.accuracies import Accuracies
    from pipeline.samples.table import Sample, Samples
    from pipeline.stage_one.encoding import Engine
    from pipeline.stages.students import Runner


def load_experiment(file: Path | str = DEFAULT) -> Plan:
    """An experiment's file, or the name of a shipped one, with the configurations that it names. Raises ConfigError."""
    from pipeline.experiment import places

    return places.load(Path(file))


def make_samples(plan: Plan) -> Samples:
    """Reads every image once and writes the samples table. Raises InputError where there is no data set."""
    from pipeline.stages import samples

    return samples.run(plan)


@contextmanager
def _where(workers: int | None, jobs: int | None, cluster: Cluster | None) -> Iterator[tuple[Engine, Runner]]:
    """Where the teacher runs, and where trials do: here, or on a cluster that is joined for as long as this lasts."""
    from pipeline.stage_one.encoding import here
    from pipeline.stages import students

    if cluster is None:
        yield here(workers), students.Here(jobs)
        return
    with cluster.joined():
        yield cluster.engine(workers), cluster.runner


def make_cache(plan: Plan, workers: int | None = None, cluster: Cluster | None = None) -> TeacherCache:
    """Stage one: completes the teacher cache, or builds it, here or on a cluster (`workers` for each process of it).

    Raises TeacherError, CacheError, InputError, ResourceError.
    """
    from pipeline.stages import teacher

    with _where(workers, None, cluster) as (engine, _):
        return teacher.run(plan, engine)


def make_pixels(plan: Plan, workers: int | None = None) -> None:
    """Renders the student's pictures, where they fit. Raises CacheError, InputError, ResourceError."""
    from pipeline.stages import pixels

    pixels.run(plan, workers)


def train(
    plan: Plan, held_out: str, method: str, trial: int = 0, results: Path = RESULTS, hparams_seed: int = 0
) -> Path:
    """Stage two, one trial, current or not; returns its folder. `hparams_seed` 0 takes the settings as they are written, others
    draw them as DomainBed does. Raises the errors of what it opens before the first step."""
    from pipeline.stages import student

    return student.run(plan, results, plan.experiment.key(held_out, method, trial, hparams_seed))


def train_all(plan: Plan, results: Path = RESULTS, jobs: int | None = None, cluster: Cluster | None = None) -> None:
    """Every trial of the experiment that is not current, `jobs` at a time (by default one a GPU, or one a core), or as many as a
    cluster has room for. Raises InputError where some failed; the others are there."""
    from pipeline.stages import students

    with _where(None, jobs, cluster) as (_, runner):
        students.run(plan, results, runner)


def foretell_trials(plan: Plan, results: Path = RESULTS, jobs: int | None = None) -> None:
    """Says which trials of the experiment would run and how long it would take; runs none. Raises what opening the cache raises:
    steps are timed with it."""
    from pipeline.stages import students

    students.foretell(plan, results, jobs)


def run_all(
    plan: Plan,
    results: Path = RESULTS,
    page: Path | None = None,
    jobs: int | None = None,
    workers: int | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Every stage in turn, without DVC. Raises what the stages raise."""
    from pipeline.stages import run

    with _where(workers, jobs, cluster) as (engine, runner):
        run.run(plan, results, page, engine, runner, workers)


def write_report(plan: Plan, results: Path = RESULTS, sweep: Path | None = None) -> Accuracies:
    """Writes table, page and plots; returns accuracy (0 to 1) by held-out domain, method and trial number. Raises InputError
    where no trial is current."""
    from pipeline.stages import report

    return report.run(plan, results, sweep)


def open_cache(folder: Path | str) -> TeacherCache:
    """A whole teacher cache; `column("logits")` (N, V, C), `column("image_features")` (N, V, D) and others check what they read.
    Raises CacheError where there is none, or it is not finished."""
    from pipeline.cache import reader

    return reader.open_complete(Path(folder))


def best_student(plan: Plan, results: Path = RESULTS, *, with_projection: bool = False) -> Path:
    """The folder of the current trial with the highest accuracy on its source domains' out splits; where that is asked for, of
    those alone that can answer to new class names. Raises InputError where there is none."""
    from pipeline.stages import choosing

    return choosing.best(plan, results, with_projection=with_projection)


def load_student(folder: Path | str) -> FinishedStudent:
    """A trial's folder, or an export, ready to answer, on a GPU where there is one. Raises InputError where files are missing,
    damaged, or not each other's."""
    from pipeline.engine.device import device
    from pipeline.finished import student

    return student.load(Path(folder), device())


def predict(
    student: FinishedStudent,
    images: Iterable[Path],
    top: int = 1,
    workers: int = 0,
    classes: Sequence[str] | None = None,
    plan: Plan | None = None,
) -> Iterator[Answer]:
    """A row an image, in order, with its `top` classes; a broken image is a row with the reason. With new `classes` the student's
    projection answers, and `plan` says whose teacher speaks of them. Raises InputError where the method taught none."""
    from pipeline.stages import predict

    if isinstance(images, str | Path):
        raise InputError(f"`{images}` is one path, and a list of them is wanted")
    if classes is None:
        return predict.answered(student, images, top, workers, None)
    if plan is None:
        raise InputError("new classes are spoken by a teacher: name the experiment that it is of (`plan`)")
    return predict.answered(student, images, top, workers, (classes, plan))


def export_student(folder: Path, to: Path, formats: Sequence[str] = (), plan: Plan | None = None) -> None:
    """Weights, card and model card; `formats` of "onnx", "torch" and "int8", for which the images of `plan` are needed. Raises
    InputError."""
    from pipeline.stages import export

    export.run(Path(folder), Path(to), formats, plan)


def search(
    plan: Plan, *, text: str | None = None, image: Path | None = None, sample: str | None = None, k: int = 12
) -> list[tuple[Sample, float]]:
    """The k samples nearest to a text, an image or a sample (key, or beginning of the id), with cosines. Raises InputError."""
    from pipeline.stages import queries

    asked = queries.opened(plan)
    return queries.nearest(
        asked, queries.question(plan, asked, text, None if image is None else Path(image), sample), k
    )


def find_duplicates(plan: Plan, near: float = 0.95, alike: float = 0.95) -> list[Pair]:
    """Exact pairs of samples, then near ones: features with a cosine of at least `near`, pixels with a correlation of `alike`."""
    from pipeline.stages import queries

    return queries.pairs(plan, queries.opened(plan), near, alike)
