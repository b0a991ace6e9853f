"""Prompt templates × class names → texts."""

from collections.abc import Sequence

from pipeline.samples.names import spoken


def texts(templates: Sequence[str], classes: Sequence[str]) -> list[list[str]]:
    """(P, C) texts: a row per template, each with `{}` replaced by the spoken class."""
    return [[template.replace("{}", spoken(name)) for name in classes] for template in templates]
