"""Pages that hold a part which is made from trials, between two comments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.table import cell

END = "<!-- end of what is generated -->\n"


def begin(module: str) -> str:
    """The comment that names what writes the part."""
    return f"<!-- python -m {module} -->\n"


def renewed(page: Path, module: str, part: str) -> str:
    """The page as it stands, with this part."""
    before, rest = page.read_text(encoding="utf-8").split(begin(module))
    _, after = rest.split(END)
    return before + begin(module) + part + END + after


def accuracy(trials: Sequence[Mapping[str, Any]]) -> str:
    """A cell of a table: mean and standard error of trials, marked where one collapsed; a dash where there is none."""
    found = cell([one["accuracy"] for one in trials], collapsed=any(one["collapsed"] for one in trials))
    return str(found or "–")
