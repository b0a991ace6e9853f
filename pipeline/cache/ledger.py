"""Which files of a cache are whole: a small JSON file for each block, and `head.json` for what all blocks share.

An entry names size and SHA-256 of a file as stored; the ledger carries a digest of itself and appears last, by rename.
What no ledger names does not count, whatever lies on the disk.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.files import sha256, write_file
from pipeline.cache.identity import canonical
from pipeline.errors import CacheError


@dataclass(frozen=True)
class Entry:
    """A file of the cache; `rows` counts the samples in a block's chunk and is 0 for other files."""

    size: int
    sha256: str
    rows: int = 0


@dataclass(frozen=True)
class Ledger:
    """Path → entry, and who computed it: a list of provenance records, one for each run that added to it."""

    files: dict[str, Entry]
    provenance: tuple[dict, ...] = ()

    def body(self) -> dict:
        return {"files": {path: vars(e) for path, e in sorted(self.files.items())}, "provenance": list(self.provenance)}

    def digest(self) -> str:
        return sha256(canonical(self.body()))

    def with_files(self, files: dict[str, Entry], provenance: dict) -> "Ledger":
        records = self.provenance if provenance in self.provenance else (*self.provenance, provenance)
        return Ledger({**self.files, **files}, records)


HEAD = "head"


def path_of(folder: Path, name: str) -> Path:
    return folder / "ledger" / f"{name}.json"


def write(folder: Path, name: str, ledger: Ledger) -> None:
    write_file(path_of(folder, name), canonical({**ledger.body(), "digest": ledger.digest()}) + b"\n")


def read(folder: Path, name: str) -> Ledger:
    """The named ledger, empty where there is none. Raises CacheError where it is damaged."""
    path = path_of(folder, name)
    try:
        data = json.loads(path.read_bytes())
        files = {key: Entry(int(e["size"]), str(e["sha256"]), int(e["rows"])) for key, e in data["files"].items()}
        ledger = Ledger(files, tuple(data["provenance"]))
        whole = data["digest"] == ledger.digest()
    except FileNotFoundError:
        return Ledger({})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise CacheError(f"{path}: this ledger is damaged; delete it and run `scmd teacher` to compute its block again")
    return ledger


def checked_bytes(folder: Path, path: str, entry: Entry | None) -> bytes:
    """A file's content. Raises CacheError where no ledger names it, it is missing, or it is not what the ledger says."""
    if entry is None:
        raise CacheError(
            f"{folder / path}: not in the ledger, so it was never finished; run `scmd teacher` to complete it"
        )
    try:
        data = (folder / path).read_bytes()
    except OSError:
        raise CacheError(f"{folder / path}: missing, although the ledger lists it") from None
    if len(data) != entry.size or sha256(data) != entry.sha256:
        raise CacheError(f"{folder / path}: not the file that the ledger lists (damaged, swapped or of another run)")
    return data
