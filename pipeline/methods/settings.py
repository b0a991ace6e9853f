"""What every method may set."""

from typing import Any

from pydantic import Field

from pipeline.averaging.settings import AveragingSettings
from pipeline.selection.settings import SelectionSettings


class MethodSettings(SelectionSettings):
    """What every method may set: of what it learns, how its weights are averaged, and which methods stand beside it."""

    averaging: AveragingSettings | None = None
    """How weights are averaged; without it, as the student's configuration says."""
    beside: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Other methods and their settings, whose terms join: `{coral: {weight: 1.0}}`. One that has a classification loss of its own
    puts it in the place of the plain cross-entropy."""
