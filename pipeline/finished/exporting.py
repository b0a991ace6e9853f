"""A student → files for other runtimes, each checked on real pictures."""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch.export import ExportedProgram

from pipeline import journal
from pipeline.errors import InputError, ResourceError, ScmdError, is_out_of_memory, reason
from pipeline.finished import deployed, model_card
from pipeline.finished.model_card import Measurements
from pipeline.finished.student import FinishedStudent
from pipeline.progress import say
from pipeline.trials.files import CARD, PROJECTION, WEIGHTS
from pipeline.writing import require_room

T = TypeVar("T")
ONNX, INT8, TORCH, MODEL_CARD = "student.onnx", "student.int8.onnx", "student.pt2", "README.md"
_INPUT = "`images` (batch, size, size, 3) uint8 in, normalisation inside, `logits` (batch, classes) out"
# Where an export is made, within its folder: beside it may be another file system.
STAGING = ".scmd-export"
# What each file of an export is.
FILES = {
    WEIGHTS: "the student's weights; its classes stand in the metadata",
    PROJECTION: "from its features into the teacher's space, for new class names (`scmd predict --zero-shot`)",
    CARD: "settings, preprocessing, digests, results",
    ONNX: f"ONNX, opset 18: {_INPUT}; `classes` in its metadata, as JSON",
    INT8: f"the same in eight bits, calibrated on training pictures: {_INPUT}; `classes` as there",
    TORCH: f"`torch.export`, for `torch.export.load`: {_INPUT}; `classes` among its extra files, as JSON",
    MODEL_CARD: "this card",
}


@dataclass(frozen=True)
class Pictures:
    """uint8 (n, size, size, 3) as the student sees them: of its sources' in splits; of the held-out one, with `labels` (n,)."""

    training: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Making:
    """What every format is made from, and where it goes."""

    student: FinishedStudent
    traced: ExportedProgram
    to: Path
    pictures: Pictures


def require_free(to: Path) -> None:
    """Raises InputError where a folder holds what no export left there."""
    if to.exists() and not to.is_dir():
        raise InputError(f"{to}: a file; name a folder for the export")
    if to.is_dir() and (others := sorted({path.name for path in to.iterdir()} - {*FILES, STAGING})):
        raise InputError(
            f"{to} holds `{others[0]}`, which no export left there; name a new folder, or an earlier export's"
        )


@contextmanager
def replaced(to: Path) -> Iterator[Path]:
    """A folder within `to`, whose files take the place of an earlier export's when all of them are made.

    Raises ResourceError where the system refuses.
    """
    require_room(to)
    made = to / STAGING
    shutil.rmtree(made, ignore_errors=True)
    new = not to.exists()
    try:
        made.mkdir(parents=True)
        yield made
        names = {file.name for file in made.iterdir()}
        for name in names:
            (made / name).replace(to / name)
        for name in FILES.keys() - names:
            (to / name).unlink(missing_ok=True)
        new = False
    except OSError as error:
        raise ResourceError(
            f"{to}: cannot be written ({reason(error)}); make room or allow it, and export again"
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if new:
            shutil.rmtree(to, ignore_errors=True)


def copy(student: FinishedStudent, to: Path) -> None:
    """The student's own files."""
    for name in (WEIGHTS, PROJECTION, CARD):
        if (student.folder / name).is_file():
            shutil.copyfile(student.folder / name, to / name)


def write_card(student: FinishedStudent, to: Path, measured: Measurements | None) -> list[str]:
    """The model card; returns the names of all files that are there."""
    told = {name: said for name, said in FILES.items() if (to / name).is_file() or name == MODEL_CARD}
    (to / MODEL_CARD).write_text(model_card.write(student, told, measured), encoding="utf-8")
    return list(told)


def write_torch(making: Making) -> None:
    """`torch.export`'s own file."""
    deployed.write(making.traced, making.student.card.classes, making.to / TORCH)


def write_onnx(making: Making) -> None:
    """ONNX. Raises InputError where onnxruntime does not answer as PyTorch does."""
    from pipeline.finished import onnx

    onnx.write(making.traced, making.student.card.classes, making.to / ONNX)
    worst = onnx.check(making.to / ONNX, deployed.Deployed(making.student).eval(), making.pictures.held_out)
    say(f"{ONNX}: logits agree with PyTorch's to {worst:.0e} in batches of {', '.join(map(str, onnx.BATCHES))}")


def write_int8(making: Making) -> None:
    """Eight bits, from the ONNX file beside it, which it makes where there is none."""
    from pipeline.finished import int8

    if not (making.to / ONNX).is_file():
        write_onnx(making)
    int8.quantise(making.to / ONNX, making.pictures.training, making.to / INT8)


# In the order in which they are made.
FORMATS: dict[str, Callable[[Making], None]] = {"torch": write_torch, "onnx": write_onnx, "int8": write_int8}


def write(student: FinishedStudent, to: Path, formats: Sequence[str], pictures: Pictures) -> Measurements | None:
    """Other formats, and what ONNX files reach, where there are some. Raises InputError where one cannot be made, or fails its
    check."""
    with _hushed():
        making = Making(student, _told(student, "torch.export", lambda: deployed.program(student)), to, pictures)
        for name, make in FORMATS.items():
            if name in formats:
                _told(student, name, partial(make, making))
    return _measured(to, pictures)


def _told(student: FinishedStudent, what: str, make: Callable[[], T]) -> T:
    """Raises InputError where an exporter cannot take the network: they let through whatever its own code and theirs do."""
    try:
        return make()
    except (ScmdError, ModuleNotFoundError, OSError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{student.folder}: `{student.card.student.model.backbone}` cannot be written as {what} "
            f"({type(error).__name__}: {reason(error)}); use its safetensors with timm"
        ) from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Exporters warn of their own inner matters by the hundred; what is wrong shows in the checks."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _measured(to: Path, pictures: Pictures) -> Measurements | None:
    there = {kind: to / name for kind, name in (("float32", ONNX), ("int8", INT8)) if (to / name).is_file()}
    if not there:
        return None
    from pipeline.finished import int8, onnx

    runs = {kind: onnx.runner(file) for kind, file in there.items()}
    found = int8.measured(runs, pictures.held_out, pictures.labels)
    for kind, one in found.items():
        say(
            f"{kind}: {one.accuracy:.1%}, {one.alone:.2f} ms a picture alone, {one.in_batch:.2f} ms {int8.BATCH} at once"
        )
    return Measurements(found, len(pictures.labels), int8.BATCH, journal.machine())
