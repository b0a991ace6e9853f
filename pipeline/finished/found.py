"""What a user names → paths of images: files, folders, patterns, or a list."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.samples.folders import SUFFIXES


@dataclass(frozen=True)
class Found:
    """An image to look at; `label` is the class whose folder it lies in, where that is one of the student's."""

    path: Path
    label: str | None


def named(arguments: Sequence[str], classes: Sequence[str]) -> list[Found]:
    """Images of every argument, in order: a file, a folder with all below it, or a pattern such as `'photos/**/*.jpg'`.

    Raises InputError for what is not there, and where nothing is found.
    """
    images = [one for argument in arguments for one in _of(argument, classes)]
    if not images:
        raise InputError(f"no image at {', '.join(arguments)}; images end in {', '.join(SUFFIXES)}")
    return images


def listed(lines: Iterable[str], classes: Sequence[str]) -> Iterator[Found]:
    """A path a line, as `find` prints them. What is not there becomes a row that says so."""
    for line in lines:
        if path := line.rstrip("\n"):
            yield found(Path(path), classes)


def _of(argument: str, classes: Sequence[str]) -> list[Found]:
    path = Path(argument)
    if path.is_dir():
        return [found(one, classes) for one in _below(path)]
    if path.exists() or not glob.has_magic(argument):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        return [found(path, classes)]
    return [
        found(Path(one), classes)
        for one in sorted(glob.glob(argument, recursive=True))
        if one.lower().endswith(SUFFIXES)
    ]


def _below(folder: Path) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place) / name


def found(path: Path, classes: Sequence[str]) -> Found:
    """With the class whose folder it lies in."""
    return Found(path, path.parent.name if path.parent.name in classes else None)
