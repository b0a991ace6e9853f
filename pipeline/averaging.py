"""Which weights are evaluated and shipped. The student's own rule is EoA's simple moving average; a method may have another."""

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, update_bn

from pipeline.config import Section
from pipeline.errors import ConfigError
from pipeline.student.model import Shipped


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


class Averaging(Protocol):
    """Sees the weights after every update, and the validation loss at every evaluation. `model` is what is evaluated."""

    @property
    def model(self) -> Shipped: ...

    def update(self, model: Shipped) -> None:
        """Takes in the weights after one more update."""
        ...

    def renew_statistics(self, images: Iterable[Tensor], device: torch.device) -> None:
        """Measures trained batch norms of `model` anew where it is a mean: the mean of statistics is not the mean's."""
        ...

    def observe(self, loss: float) -> None:
        """The sources' mean out-split loss of `model`, which was just evaluated."""
        ...

    def conclude(self) -> bool:
        """After the last evaluation: whether `model` has now become the weights to ship, whatever was chosen before."""
        ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class RunningMean:
    """Until update `first` the current weights; from then on the uniform mean of those after updates `first` … now."""

    def __init__(self, model: Shipped, first: int) -> None:
        self.first = first
        self.updates = 0
        self._average = AveragedModel(model, avg_fn=_mean, use_buffers=True)

    @property
    def model(self) -> Shipped:
        return cast(Shipped, self._average.module)

    def update(self, model: Shipped) -> None:
        self.updates += 1
        if self.updates <= self.first:
            self._average.n_averaged.zero_()
        self._average.update_parameters(model)

    def renew_statistics(self, images: Iterable[Tensor], device: torch.device) -> None:
        update_bn(images, self._average, device)

    def observe(self, loss: float) -> None:
        pass

    def conclude(self) -> bool:
        return False

    def state_dict(self) -> dict[str, Tensor]:
        return {**self._average.state_dict(), "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.updates = int(state["updates"])
        self._average.load_state_dict({name: tensor for name, tensor in state.items() if name != "updates"})


def _mean(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    return average + (current - average) / (count + 1) if average.is_floating_point() else current
