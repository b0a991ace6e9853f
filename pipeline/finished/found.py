"""What a user names → paths of images: files, folders, patterns, or a list."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from pipeline.errors import InputError
from pipeline.samples import folders
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


def listed(stream: BufferedIOBase, classes: Sequence[str]) -> Iterator[Found]:
    """A path a line, or with NUL between them, as `find` prints them. What is not there becomes a row that says so."""
    rest = b""
    while some := stream.read1(1 << 16):
        *whole, rest = re.split(rb"[\0\n]", rest + some)
        yield from _paths(whole, classes)
    yield from _paths([rest], classes)


def _paths(lines: Iterable[bytes], classes: Sequence[str]) -> Iterator[Found]:
    for line in lines:
        if name := line.rstrip(b"\r"):
            yield found(Path(os.fsdecode(name)), classes)


def _of(argument: str, classes: Sequence[str]) -> list[Found]:
    path = Path(argument)
    if path.is_dir():
        return [found(one, classes) for one in folders.below(path)]
    if path.exists() or not glob.has_magic(argument):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        return [found(path, classes)]
    return [
        found(Path(one), classes)
        for one in sorted(glob.glob(argument, recursive=True))
        if one.lower().endswith(SUFFIXES)
    ]


def found(path: Path, classes: Sequence[str]) -> Found:
    """With the class whose folder it lies in."""
    return Found(path, path.parent.name if path.parent.name in classes else None)
