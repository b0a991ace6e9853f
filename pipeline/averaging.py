"""EoA's simple moving average of weights and buffers: what is evaluated and shipped is the average."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from pipeline.errors import ConfigError


def first_averaged(steps: int, start: int | None, start_fraction: float | None) -> int:
    """The update (from 1) whose weights are the first of the mean: EoA's `start` − 1, or a share of the run."""
    if start_fraction is not None:
        return max(1, int(steps * start_fraction))
    if start is None:
        raise ConfigError("`averaging` needs `start` or `start_fraction`")
    return max(1, start - 1)


class RunningMean:
    """Until update `first` the current weights; from then on the uniform mean of those after updates `first` … now."""

    def __init__(self, model: nn.Module, first: int):
        self.first = first
        self.updates = 0
        self._average = AveragedModel(model, avg_fn=_mean, use_buffers=True)

    @property
    def model(self) -> nn.Module:
        return self._average.module

    def update(self, model: nn.Module) -> None:
        """Takes in the weights after one more update."""
        self.updates += 1
        if self.updates <= self.first:
            self._average.n_averaged.zero_()
        self._average.update_parameters(model)

    def renew_statistics(self, images: Iterable[Tensor], device: torch.device) -> None:
        """Measures trained batch norms anew: the mean of their statistics is not the statistics of the mean."""
        update_bn(images, self._average, device)


def _mean(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    return average + (current - average) / (count + 1) if average.is_floating_point() else current
