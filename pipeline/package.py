"""Where the package itself lies, and what ships with it: found from any working folder."""

import hashlib
import os
from pathlib import Path

from pipeline.errors import InputError

HOME = Path(__file__).parent
# How configurations write the path of what ships with the package.
_DATA = Path("pipeline/data")


def own(path: Path) -> Path:
    """`pipeline/data/…` of the package where the working folder has no such file; any other path as it is."""
    if path.is_relative_to(_DATA) and not path.exists():
        return HOME / "data" / path.relative_to(_DATA)
    return path


def configuration(name: str) -> Path:
    """A file below the configurations that ship with the package, whether it is there or not."""
    return HOME / "configs" / name


def python_path() -> str:
    """`PYTHONPATH` of a Python that is to import this very code, before what this one was given."""
    return os.pathsep.join([str(HOME.parent), *filter(None, [os.environ.get("PYTHONPATH")])])


def digest() -> str:
    """SHA-256 of all code of the package, by which two machines know that they run the same."""
    found = hashlib.sha256()
    for path in sorted(HOME.rglob("*.py")):
        found.update(str(path.relative_to(HOME)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def require_own_folder() -> None:
    """Raises InputError where the working folder is a checkout with code of its own, and other code would run."""
    here = Path("pipeline/cli.py")
    if here.is_file() and not here.samefile(HOME / "cli.py"):
        raise InputError(
            f"this folder is a checkout of scmd, and the code that runs is {HOME}'s; run `python -m pipeline.cli …` here, "
            "or install this checkout"
        )
