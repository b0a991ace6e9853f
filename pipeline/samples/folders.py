"""DomainBed's layout, `root/domain/class/image`: which files are samples, in the order of torchvision's ImageFolder."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.samples.table import Found, SetAside

# Those of torchvision's ImageFolder, and others that the decoder reads.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".jfif", ".jpe", ".gif", ".avif"),
)
# Folders that systems and tools leave among images, besides hidden ones.
_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"})

# Why a folder beside those of the domains makes no sample.
OUTSIDE = "a folder that is none of the configuration's `domains`; name it there to use it"


def scan(root: Path, domains: tuple[str, ...] | None) -> tuple[list[Found], list[SetAside]]:
    """All image files below `root`, and what there is besides, each with the reason why it is none.

    Without `domains` every folder below `root` is one. Raises InputError for a missing or empty root or class folder, and for
    a folder that cannot be read.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder; the images belong there as {root}/<domain>/<class>/<image>, "
            "or name another `root` in the data set's configuration"
        )
    walk = _Walk(root)
    there = walk.folders(root, "")
    names = domains or tuple(entry.name for entry in there)
    for entry in there:
        if entry.name not in names:
            walk.pass_by(entry, entry.name, OUTSIDE)
    missing = [name for name in names if not (root / name).is_dir()]
    if missing:
        known = ", ".join(entry.name for entry in there) or "none"
        raise InputError(f"{root}: no folder for domain `{missing[0]}`; the folders there are {known}")
    found: list[Found] = []
    for domain in names:
        folders = walk.folders(root / domain, domain)
        if not folders:
            walk.pass_by(root / domain, domain, "a domain's folder without a class")
        for folder in folders:
            images = walk.images(folder, domain)
            if not images:
                raise InputError(f"{folder}: no image in this class folder; fill or remove it")
            found += [Found(key, domain, folder.name) for key in images]
    return found, walk.skipped


def domains_of(root: Path) -> list[str]:
    """The folders that are domains where a configuration names none. Raises InputError where `root` cannot be read."""
    return [entry.name for entry in _Walk(root).folders(root, "")]


class _Walk:
    """A walk below a root that notes what it passes by."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: list[SetAside] = []
        self._seen: set[str] = set()

    def folders(self, place: Path, domain: str) -> list[Path]:
        """The folders directly in `place`, sorted; its files are in no class folder."""
        kept = []
        for entry in sorted(_entries(place)):
            if not entry.is_dir():
                self.pass_by(entry, domain, "a file outside the class folders")
            elif why := _why_not_a_folder(entry.name):
                self.pass_by(entry, domain, why)
            else:
                kept.append(entry)
        return kept

    def images(self, folder: Path, domain: str) -> list[str]:
        """Keys of the images in a class folder and below it."""
        found = []
        places = []
        for place, below, names in os.walk(folder, followlinks=True, onerror=cannot_be_read):
            self._seen.add(os.path.realpath(place))
            # In place: what is taken out is not walked into.
            below[:] = [name for name in sorted(below) if self._is_open(Path(place) / name, domain)]
            places.append((place, names))
        for place, names in sorted(places):
            for name in sorted(names):
                path = Path(place) / name
                if name.startswith("."):
                    self.pass_by(path, domain, "a hidden file")
                elif path.exists() and not path.is_file():
                    self.pass_by(path, domain, "no plain file")
                elif name.lower().endswith(SUFFIXES):
                    found.append(_key(path, self.root))
                else:
                    self.pass_by(path, domain, f"a file of another kind ({path.suffix.lower() or 'no suffix'})")
        return found

    def _is_open(self, folder: Path, domain: str) -> bool:
        why = _why_not_a_folder(folder.name)
        if not why and os.path.realpath(folder) in self._seen:
            why = "a link to a folder that was read already"
        if why:
            self.pass_by(folder, domain, why)
        return not why

    def pass_by(self, path: Path, domain: str, why: str) -> None:
        """Notes what makes no sample."""
        self.skipped.append(
            SetAside(str(path.relative_to(self.root)).encode(errors="replace").decode(), domain, "", why)
        )


def below(folder: Path) -> Iterator[Path]:
    """Image files at any depth, in order, through links too; what is hidden is passed by. Raises InputError for a folder that
    cannot be read."""
    seen: set[str] = set()
    for place, inner, names in os.walk(folder, followlinks=True, onerror=cannot_be_read):
        seen.add(os.path.realpath(place))
        # A link that leads back would be walked for ever.
        inner[:] = sorted(n for n in inner if not _why_not_a_folder(n) and os.path.realpath(f"{place}/{n}") not in seen)
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place) / name


def _entries(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError as error:
        raise _unreadable(error) from error


def cannot_be_read(error: OSError) -> None:
    """For `os.walk`, which passes such folders by. Raises InputError."""
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> InputError:
    return InputError(
        f"{error.filename}: this folder cannot be read ({error.strerror}); allow it, or move it elsewhere"
    )


def _why_not_a_folder(name: str) -> str | None:
    if name.startswith("."):
        return "a hidden folder"
    return "a folder of the system's" if name in _OF_SYSTEMS else None


def _key(path: Path, root: Path) -> str:
    """Raises InputError for a name that is no text, as a file system allows: no table can hold it."""
    key = path.relative_to(root).as_posix()
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{str(path)!a}: a name that is no UTF-8; rename this file or its folder") from error
    return key


class FolderImages:
    """Bytes of the images below a root, by key."""

    def __init__(self, root: Path):
        self.root = root

    def read(self, key: str) -> bytes:
        """Raises OSError where the file is missing."""
        return (self.root / key).read_bytes()
