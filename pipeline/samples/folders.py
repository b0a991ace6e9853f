"""DomainBed's layout, `root/domain/class/image`: which files are samples, in the order of torchvision's ImageFolder."""

import os
from collections import Counter
from pathlib import Path

from pipeline.errors import InputError
from pipeline.samples.table import Found

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def scan(root: Path, domains: tuple[str, ...] | None) -> tuple[list[Found], Counter[str]]:
    """All image files below `root`, and how many files of each domain were skipped: other suffixes, or in no class folder.

    Without `domains` every folder below `root` is one. Raises InputError for a missing or empty root.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder; the images belong there as {root}/<domain>/<class>/<image>, "
            "or name another `root` in the data set's configuration"
        )
    names = domains or tuple(sorted(entry.name for entry in root.iterdir() if _is_open(entry)))
    missing = [name for name in names if not (root / name).is_dir()]
    if missing:
        there = ", ".join(sorted(entry.name for entry in root.iterdir() if entry.is_dir())) or "none"
        raise InputError(f"{root}: no folder for domain `{missing[0]}`; the folders there are {there}")
    found: list[Found] = []
    skipped: Counter[str] = Counter()
    for domain in names:
        skipped[domain] = sum(entry.is_file() for entry in (root / domain).iterdir())
        for class_name in sorted(entry.name for entry in (root / domain).iterdir() if _is_open(entry)):
            files, others = _files(root / domain / class_name)
            if not files:
                raise InputError(f"{root / domain / class_name}: no image in this class folder; fill or remove it")
            found += [Found(_key(path, root), domain, class_name) for path in files]
            skipped[domain] += others
    return found, skipped


def _key(path: Path, root: Path) -> str:
    """Raises InputError for a name that is no text, as a file system allows: no table can hold it."""
    key = path.relative_to(root).as_posix()
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{str(path)!a}: a name that is no UTF-8; rename this file or its folder") from error
    return key


def _is_open(entry: Path) -> bool:
    """A folder that is not hidden: tools leave hidden ones among images."""
    return entry.is_dir() and not entry.name.startswith(".")


def _files(folder: Path) -> tuple[list[Path], int]:
    images, others = [], 0
    for place, _, names in sorted(os.walk(folder, followlinks=True)):
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES):
                images.append(Path(place) / name)
            else:
                others += 1
    return images, others


class FolderImages:
    """Bytes of the images below a root, by key."""

    def __init__(self, root: Path):
        self.root = root

    def read(self, key: str) -> bytes:
        """Raises OSError where the file is missing."""
        return (self.root / key).read_bytes()
