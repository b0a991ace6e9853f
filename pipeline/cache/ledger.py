"""Which files of a cache are whole: a small JSON file for each block, and `head.json` for what all blocks share.

An entry names size and SHA-256 of a file as stored; the ledger carries a digest of itself and appears last, by rename.
What no ledger names does not count, whatever lies on the disk.
"""

import itertools
import os
import re
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, model_validator

from pipeline.cache import documents
from pipeline.cache.files import (
    PARTIAL,
    STAGED,
    plain_files,
    read_file,
    sha256,
    staged,
    sync_folder,
    take_place,
    write_file,
)
from pipeline.cache.identity import canonical
from pipeline.cache.layout import BLOCK_LIMIT, LOGITS, is_head_file, place_of
from pipeline.cache.origin import Origin, Origins
from pipeline.config import Section
from pipeline.errors import CacheError

HEAD = "head"
_LEDGER = re.compile("ledger/(head|[0-9]{1,9})[.]json")
Result = TypeVar("Result")
# (folder, path, limit) → a file's bytes, with the errors of `files.read_file`.
Read = Callable[[Path, str, int], bytes]


class Entry(Section):
    """A file of the cache; `rows` counts the samples in a block's chunk and is 0 for other files.

    `absent` are those of the rows, counted in their block and growing, whose image was gone when the chunk was made: fill stands
    for them, and no reader takes it. It is written only where there are any; who does not know it refuses the ledger.
    """

    size: int = Field(ge=0, le=1 << 40)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    rows: int = Field(0, ge=0, le=BLOCK_LIMIT)
    absent: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _absent_of_rows(self) -> "Entry":
        growing = all(one < other for one, other in itertools.pairwise(self.absent))
        if self.absent and not (growing and self.absent[0] >= 0 and self.absent[-1] < self.rows):
            raise ValueError("`absent` must be growing numbers of rows")
        return self

    def plain(self) -> dict[str, Any]:
        """As it stands in the ledger."""
        return self.model_dump(exclude=set() if self.absent else {"absent"})


class _Document(Section):
    digest: str
    files: dict[str, Entry]
    origin: Origin | None = None
    provenance: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Ledger:
    """Path → entry; who computed it: provenance records, one for each run that added to it; and, of a block, from what.

    The first caches of format 1 do not say what a block was computed from.
    """

    files: Mapping[str, Entry]
    provenance: tuple[dict[str, Any], ...] = ()
    origin: Origin | None = None

    @property
    def longest(self) -> int:
        """Rows of the chunk that has the most."""
        return max((entry.rows for entry in self.files.values()), default=0)

    def why_foreign(self, block: int, origins: Origins) -> str | None:
        """Why this block's ledger is another cache's, in words; None where it is of these origins, or does not say."""
        return origins.contradiction(block, self.origin, self.longest) if self.origin else None

    def stale_logits(self, text: str) -> set[str]:
        """Paths of logits that follow from other text embeddings than those whose file has this digest."""
        if self.origin is None or self.origin.text in ("", text):
            return set()
        return self.logits()

    def logits(self) -> set[str]:
        """Paths of the listed chunks of logits."""
        return {path for path in self.files if path.startswith(LOGITS)}

    def rows_of(self, path: str) -> int:
        """How many samples a listed chunk holds; 0 where it is not listed."""
        return self.files[path].rows if path in self.files else 0

    def absent_of(self, path: str) -> tuple[int, ...]:
        """Rows of a listed chunk, counted in its block, for which fill stands."""
        return self.files[path].absent if path in self.files else ()

    def body(self) -> bytes:
        """What the digest is of: canonical JSON."""
        files = {path: entry.plain() for path, entry in self.files.items()}
        origin = {"origin": self.origin.model_dump()} if self.origin else {}
        return canonical({"files": files, **origin, "provenance": list(self.provenance)})

    def digest(self) -> str:
        """SHA-256 of the body."""
        return sha256(self.body())

    def to_bytes(self) -> bytes:
        """The file: the body's canonical JSON with its digest, whose key sorts first, put in."""
        body = self.body()
        return b'{"digest":"%b",%b\n' % (sha256(body).encode(), body[1:])

    def followed_by(
        self, files: Mapping[str, Entry], provenance: dict[str, Any], origin: Origin | None = None
    ) -> "Ledger":
        """This ledger with newer entries; itself where they say nothing new."""
        if origin == self.origin and all(self.files.get(path) == entry for path, entry in files.items()):
            return self
        records = self.provenance if provenance in self.provenance else (*self.provenance, provenance)
        return Ledger({**self.files, **files}, records, origin)

    def without(self, dropped: Set[str]) -> "Ledger":
        """This ledger without some paths."""
        return replace(self, files={path: entry for path, entry in self.files.items() if path not in dropped})


def name_of(block: int) -> str:
    """The name of a block's ledger."""
    return str(block)


def path_of(name: str) -> str:
    """Relative to the cache."""
    return f"ledger/{name}.json"


def belongs(path: str) -> bool:
    """Whether a cache can have a file of this name."""
    return is_head_file(path) or place_of(path) is not None or _LEDGER.fullmatch(path) is not None


def parse(data: bytes, name: str, where: str) -> Ledger:
    """Raises CacheError where it is not, byte for byte, what this module writes, or lists what is not the named ledger's."""
    document = documents.parse(data, where)
    try:
        parsed = _Document.model_validate(document, strict=False)
        ledger = Ledger(parsed.files, parsed.provenance, parsed.origin)
        same = data == ledger.to_bytes()
    except ValueError:  # of pydantic, or text that is no Unicode
        same = False
    if not same:
        raise CacheError(f"{where}: this ledger is damaged; `scmd cache repair` computes its block again")
    if strange := [path for path in ledger.files if not _is_listed_by(name, path)]:
        raise CacheError(f"{where}: it lists {strange[0][:200]!r}, which it cannot have")
    return ledger


def _is_listed_by(name: str, path: str) -> bool:
    """Whether a path is one of the head's, or of a chunk of the named block."""
    if name == HEAD:
        return is_head_file(path)
    place = place_of(path)
    return place is not None and name_of(place[1]) == name


def read(folder: Path, name: str) -> Ledger:
    """The named ledger, empty where there is none. Raises CacheError where it is damaged.

    One that is staged whole has been decided on, and counts already.
    """
    path = path_of(name)
    with suppress(FileNotFoundError, CacheError):
        return parse(read_file(folder, f"{path}{STAGED}", documents.LIMIT), name, path)
    try:
        data = read_file(folder, path, documents.LIMIT)
    except FileNotFoundError:
        return Ledger({})
    return parse(data, name, str(folder / path))


def using(folder: Path, name: str, work: Callable[[Ledger], Result]) -> Result:
    """What `work` makes of the named ledger; where it fails, of a newer one that a writer has put in its place."""
    listed = read(folder, name)
    while True:
        try:
            return work(listed)
        except CacheError:
            newer = read(folder, name)
            if newer == listed:
                raise
            listed = newer


def commit(folder: Path, name: str, files: Mapping[str, bytes], before: Ledger, after: Ledger) -> None:
    """Puts files in place and their ledger last; after a crash, `recover` finds either all of the old or all of the new.

    A file that the old ledger lists waits beside its place until the new ledger, staged as well, is whole.
    """
    for path, data in files.items():
        write_file(staged(folder / path) if path in before.files else folder / path, data)
    if not any(path in before.files for path in files):
        write_file(folder / path_of(name), after.to_bytes())
        return
    write_file(staged(folder / path_of(name)), after.to_bytes())
    _finish(folder, name, after)


def forget(folder: Path, path: str) -> None:
    """A damaged ledger becomes an empty one: what it listed counts as missing, and its files stay until replaced."""
    write_file(folder / path, Ledger({}).to_bytes())


def _finish(folder: Path, name: str, after: Ledger) -> None:
    for path in after.files:
        take_place(folder / path)
    take_place(folder / path_of(name))


def recover(folder: Path) -> None:
    """After a kill: finishes a commit whose ledger was whole, and removes what was never decided.

    Raises CacheError, before it changes anything, where a link or another file that no cache has lies in the folder.
    """
    found = plain_files(folder)
    for path in found:
        if path.startswith("ledger/") and path.endswith(STAGED):
            name = path.removeprefix("ledger/").removesuffix(f".json{STAGED}")
            with suppress(CacheError):  # a damaged one decides nothing; `verify` tells what it leaves
                _finish(folder, name, parse(read_file(folder, path, documents.LIMIT), name, path))
    for path in found:
        if path.endswith((PARTIAL, STAGED)) and (folder / path).exists():
            os.unlink(folder / path)
            sync_folder((folder / path).parent)


def checked_bytes(folder: Path, path: str, entry: Entry | None, limit: int, read: Read = read_file) -> bytes:
    """A file's content. Raises CacheError where no ledger names it, it is missing, or it is not what the ledger says.

    `limit` holds whatever size the ledger lists: that, too, may be a stranger's.
    """
    if entry is None:
        raise CacheError(
            f"{folder / path}: not in the ledger, so it was never finished; run `scmd teacher` to complete it"
        )
    missing = False
    # While a writer commits, the listed file waits beside its place, or takes it just after the first look.
    for place in (path, f"{path}{STAGED}", path):
        try:
            data = read(folder, place, limit)
        except FileNotFoundError:
            missing = True
            continue
        missing = False
        if len(data) == entry.size and sha256(data) == entry.sha256:
            return data
        del data  # before the next one is read
    if missing:
        raise CacheError(f"{folder / path}: missing, although the ledger lists it; run `scmd cache repair`")
    raise CacheError(
        f"{folder / path}: not the file that the ledger lists (damaged, swapped or of another run); "
        "run `scmd cache repair`, or `dvc checkout` where a team shares it"
    )
