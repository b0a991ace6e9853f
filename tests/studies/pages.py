"""Pages that hold a part which is made from trials, between two comments."""

from pathlib import Path

END = "<!-- end of what is generated -->\n"


def begin(module: str) -> str:
    """The comment that names what writes the part."""
    return f"<!-- python -m {module} -->\n"


def renewed(page: Path, module: str, part: str) -> str:
    """The page as it stands, with this part."""
    before, rest = page.read_text(encoding="utf-8").split(begin(module))
    _, after = rest.split(END)
    return before + begin(module) + part + END + after
