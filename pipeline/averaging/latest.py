"""No average: the weights after the last update."""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pipeline.student.model import Shipped


class Latest:
    """What is evaluated is a copy of the weights as they are."""

    def __init__(self, model: Shipped) -> None:
        self._source, self._model = model, copy.deepcopy(model).requires_grad_(False)

    @property
    def model(self) -> Shipped:
        return self._model

    @torch.no_grad()
    def update(self) -> None:
        self._model.load_state_dict(self._source.state_dict())

    @property
    def renews_statistics(self) -> bool:
        return False

    def renew_statistics(self, images: Iterable[Tensor], device: torch.device) -> None:
        pass

    def observe(self, loss: float) -> None:
        pass

    def conclude(self) -> bool:
        return False

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._model.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._model.load_state_dict(dict(state))
