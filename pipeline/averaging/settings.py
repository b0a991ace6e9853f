"""`averaging` in `configs/students/*.yaml`, and the update that it begins with."""

from pydantic import Field, model_validator

from pipeline.config import Section
from pipeline.errors import ConfigError


class AveragingSettings(Section):
    """EoA's simple moving average: one of both says where it begins."""

    start: int | None = Field(None, ge=1)
    """The update from which it averages."""
    start_fraction: float | None = Field(None, gt=0, lt=1)
    """The share of the steps after which it averages, for shorter runs."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "AveragingSettings":
        if (self.start is None) == (self.start_fraction is None):
            raise ValueError("set either `start` or `start_fraction`")
        return self


def first_averaged(steps: int, start: int | None, start_fraction: float | None) -> int:
    """The update (from 1) whose weights are the first of the mean: EoA's `start` − 1, or a share of the run."""
    if start_fraction is not None:
        return max(1, int(steps * start_fraction))
    if start is None:
        raise ConfigError("`averaging` needs `start` or `start_fraction`")
    return max(1, start - 1)
