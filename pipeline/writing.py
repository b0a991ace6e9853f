"""Small text files, replaced whole."""

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """The file is the old one or the new one, never half."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
