"""EoA's simple moving average, and others that take in a step's weights one after the other."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_swa_multi_avg_fn, update_bn

from pipeline.student.model import Shipped
from pipeline.student.norms import batch_norms


class RunningMean:
    """Until update `first` the current weights; from then on the uniform mean of those after updates `first` … now, or what
    `take_in` (averages, currents, how many were taken in) makes of them.

    Buffers are averaged as weights are; those that count are the current ones. (torch's `AveragedModel` asks the device at every
    step how many it has averaged, and waits for the answer.)
    """

    def __init__(self, model: Shipped, first: int, take_in: Callable[..., Any] | None = None) -> None:
        self.first = first
        self.updates = 0
        self._average = copy.deepcopy(model).requires_grad_(False)
        # Tensors keep their places; to look them up in a deep network takes milliseconds, and this is done at every step.
        pairs = list(zip(_tensors(self._average), _tensors(model), strict=True))
        self._numbers = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._take_in = take_in or get_swa_multi_avg_fn()

    @property
    def model(self) -> Shipped:
        return self._average

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        for average, current in self._counters:
            average.copy_(current)
        averages, currents = zip(*self._numbers, strict=True)
        if self.updates > self.first:
            self._take_in(averages, currents, self.updates - self.first)
        else:
            torch._foreach_copy_(averages, currents)

    @property
    def renews_statistics(self) -> bool:
        return bool(batch_norms(self._average))

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


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
