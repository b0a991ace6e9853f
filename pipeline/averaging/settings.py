"""`averaging`, of a student's configuration or of a method: the rule and its numbers."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.config import Section
from pipeline.errors import ConfigError

# Of each rule the keys that are its own.
KEYS = {
    "sma": {"start", "start_fraction"},
    "none": set(),
    "ema": {"decay"},
    "swad": {"converged", "tolerated", "ratio"},
}


class AveragingSettings(Section):
    """Which weights are evaluated and shipped. The moving average needs one of `start` and `start_fraction`."""

    rule: Literal["sma", "none", "ema", "swad"] = "sma"
    """EoA's simple moving average, the weights after the last update, an exponential average, or SWAD's valley."""
    start: int | None = Field(None, ge=1)
    """Of `sma`: the update from which it averages."""
    start_fraction: float | None = Field(None, gt=0, lt=1)
    """Of `sma`: the share of the steps after which it averages, for shorter runs."""
    decay: float = Field(0.999, gt=0, lt=1)
    """Of `ema`: what is kept of the average at each update."""
    converged: int = Field(3, ge=1)
    """Of `swad`, Ns: evaluations that must not fall below a valley's first."""
    tolerated: int = Field(6, ge=1)
    """Of `swad`, Ne: evaluations that end a valley together."""
    ratio: float = Field(1.3, gt=0)
    """Of `swad`, r: how far the loss may rise in a valley (VLCS: 1.2)."""

    @model_validator(mode="after")
    def _what_the_rule_takes(self) -> "AveragingSettings":
        others = {name for name in type(self).model_fields if name != "rule"} - KEYS[self.rule]
        if foreign := [name for name in sorted(others) if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(f"`{foreign[0]}` is none of `rule: {self.rule}`")
        if self.rule == "sma" and (self.start is None) == (self.start_fraction is None):
            raise ValueError("set either `start` or `start_fraction`")
        return self


def first_averaged(steps: int, start: int | None, start_fraction: float | None) -> int:
    """The update (from 1) whose weights are the first of the mean: EoA's `start` − 1, or a share of the run."""
    if start_fraction is not None:
        return max(1, int(steps * start_fraction))
    if start is None:
        raise ConfigError("`averaging` needs `start` or `start_fraction`")
    return max(1, start - 1)
