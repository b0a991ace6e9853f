"""What every rule of averaging answers to."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from pipeline.student.model import Shipped


class Averaging(Protocol):
    """Sees the weights after every update, and the validation loss at every evaluation. `model` is what is evaluated."""

    @property
    def model(self) -> Shipped: ...

    def update(self) -> None:
        """Takes in the weights after one more update of the network that it was made for."""
        ...

    @property
    def renews_statistics(self) -> bool:
        """Whether `renew_statistics` would do anything now."""
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
