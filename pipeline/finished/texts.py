"""New class names → unit embeddings in the teacher's space; the text tower runs once for them, and its answer is kept."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.cache.identity import digest
from pipeline.errors import InputError, ResourceError
from pipeline.finished.card import Teacher
from pipeline.teacher.prompts import texts
from pipeline.teacher.zero_shot import class_embeddings
from pipeline.writing import replacing


class TextTower(Protocol):
    """A teacher, as far as it reads."""

    @property
    def facts(self) -> dict[str, Any]:
        """What determines its numbers."""
        ...

    def encode_texts(self, texts: list[list[str]]) -> np.ndarray:
        """(P, C) → (P, C, D) float32."""
        ...

    def require_distinct(self, templates: Sequence[str], classes: Sequence[str]) -> None:
        """Raises TeacherError for prompts that are cut or equal."""
        ...


def require_names(classes: Sequence[str]) -> None:
    """Raises InputError for less than two new names, an empty one, or one that stands twice."""
    told = ", ".join(classes)
    if len(classes) < 2 or not all(classes):
        raise InputError(f'new classes `{told}`: name two or more, with commas between: "bicycle, car, bus"')
    if twice := [name for name in classes if list(classes).count(name) > 1]:
        raise InputError(f"new classes `{told}`: `{twice[0]}` stands there twice")


def embeddings(teacher: Teacher, classes: Sequence[str], load: Callable[[], TextTower]) -> Tensor:
    """(C, D) float32 unit rows, from where they are kept or by the teacher that `load` brings.

    Raises TeacherError where the teacher is missing, InputError where it is another than the student's.
    """
    file = _place(teacher, classes)
    if (kept := _kept(file, len(classes))) is not None:
        return kept
    tower = load()
    if tower.facts["weights_sha256"] != teacher.weights_sha256 or tower.facts["model"] != teacher.model:
        raise InputError(
            "the experiment's teacher is not the one that taught this student: name the experiment that it is of (`--experiment`)"
        )
    tower.require_distinct(teacher.templates, classes)
    found = class_embeddings(tower.encode_texts(texts(teacher.templates, classes)))
    text = torch.from_numpy(found.astype(np.float32))
    with suppress(OSError, ResourceError):  # kept where that can be; the answer is here
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            save_file({"text": text}, partial)
    return text


def _kept(file: Path, classes: int) -> Tensor | None:
    """None where nothing is kept, or it is damaged."""
    with suppress(SafetensorError, KeyError, OSError):
        text = load_file(file)["text"]
        if text.ndim == 2 and len(text) == classes and text.isfinite().all():
            return text
    return None


def _place(teacher: Teacher, classes: Sequence[str]) -> Path:
    """In the user's cache folder, under a name that says of whom and of what."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    of = {**teacher.model_dump(mode="json"), "classes": list(classes)}
    return folder / "scmd" / "text" / f"{digest(of)}.safetensors"
