"""Prompt templates × class names → texts."""

from collections.abc import Sequence


def spoken(name: str) -> str:
    """A folder's name as one says it: `alarm_clock` → `alarm clock` (the official code's rule; case is kept)."""
    return name.replace("_", " ")


def texts(templates: Sequence[str], classes: Sequence[str]) -> list[list[str]]:
    """(P, C) texts: a row per template, each with `{}` replaced by the spoken class."""
    return [[template.replace("{}", spoken(name)) for name in classes] for template in templates]
