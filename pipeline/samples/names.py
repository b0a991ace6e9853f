"""Names that come from data: domains become folders and words of commands, classes become prompts."""

import unicodedata
from collections.abc import Sequence

from pipeline.errors import InputError

# What a shell, or DVC's templates, read as more than a part of a word.
_SPECIAL = frozenset("'\"`$\\{}[]()<>|&;*?!^#~")
# The last row of every table.
_TAKEN = "average"
# Bytes of a folder's name: file systems take 255, and files beside it are called after it.
LONGEST = 200


def spoken(name: str) -> str:
    """A folder's name as one says it: `alarm_clock` → `alarm clock` (the official code's rule; case is kept)."""
    return name.replace("_", " ")


def require_names(domains: Sequence[str], classes: Sequence[str]) -> None:
    """Raises InputError for a domain that is no folder's name and plain word, and for two names that are one when spoken."""
    for domain in domains:
        if fault := _fault_of_domain(domain):
            raise InputError(
                f"domain {domain!r} {fault}; rename it: letters, digits, spaces, dots, dashes and commas inside are fine"
            )
    for name in classes:
        if not name.strip() or not name.isprintable():
            raise InputError(f"class {name!r} is no name that can be said in a prompt; rename it")
    _require_distinct("domain", domains)
    _require_distinct("class", classes)


def fault_of_folder(name: str) -> str | None:
    """Why a name is no folder's and no plain word; None where it is both."""
    if not name.strip() or "/" in name or name in (".", "..") or len(name.encode()) > LONGEST:
        return "is not the name of one folder"
    if name != name.strip() or name[0] in "-.":
        return "begins or ends with a space, or begins with a dash or a dot"
    if special := sorted(set(name) & _SPECIAL) or [one for one in name if not one.isprintable()]:
        return f"holds {special[0]!r}, which a shell or DVC reads as more than a letter"
    return None


def _fault_of_domain(name: str) -> str | None:
    taken = "is what tables call their last row" if name.casefold() == _TAKEN else None
    return fault_of_folder(name) or taken


def _require_distinct(what: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        plain = " ".join(spoken(unicodedata.normalize("NFKC", name)).casefold().split())
        if plain in seen:
            raise InputError(
                f"{what} {seen[plain]!r} and {what} {name!r} are one when spoken, and would be told apart by nothing; "
                "give their images one name, or two that differ"
            )
        seen[plain] = name
