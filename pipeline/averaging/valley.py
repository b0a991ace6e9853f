"""SWAD's average: the mean of the weights of every step in the valley of the validation loss, found by evaluations."""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from pipeline.student.model import Shipped
from pipeline.student.norms import batch_norms


class ValleyMean:
    """SWAD (Cha et al., NeurIPS 2021, algorithm 1), evaluation by evaluation: the mean of the weights of every step in a valley.

    With E the losses observed, the valley starts at the first evaluation i with E_i = min(E_i … E_{i+Ns−1}), and ends before
    the first later one with min(E_i … E_{i+Ne−1}) > r · mean(E_start … E_{start+Ns−1}). Until it ends the current weights are
    evaluated; `conclude` puts the mean in their place. Where no valley starts, it is the mean since the evaluation before the
    last, as in the official code. (Where Ne > Ns, that code also takes in evaluations before the start.)
    """

    def __init__(self, model: Shipped, converged: int, tolerated: int, ratio: float) -> None:
        self.converged, self.tolerated, self.ratio = converged, tolerated, ratio
        self._model, self._source = copy.deepcopy(model), model
        self._segment: dict[str, Tensor] = {}
        self._steps = 0
        self._losses: list[float] = []
        # What may still become part of the mean, by evaluation: weights there, mean since the evaluation before, its steps.
        self._waiting: dict[int, tuple[dict[str, Tensor], dict[str, Tensor], int]] = {}
        self._start: int | None = None
        self._next = 0
        self._ended = False
        self._valley: dict[str, Tensor] = {}
        self._valley_steps = 0
        self._concluded = False

    @property
    def model(self) -> Shipped:
        return self._model

    def update(self) -> None:
        now = {name: tensor.detach().clone() for name, tensor in self._source.state_dict().items()}
        self._model.load_state_dict(now)
        if self._ended:
            return
        self._segment = _merged(self._segment, self._steps, now, 1)
        self._steps += 1

    @property
    def renews_statistics(self) -> bool:
        return self._concluded and bool(batch_norms(self._model))

    def renew_statistics(self, images: Iterable[Tensor], device: torch.device) -> None:
        update_bn(images, self._model, device)

    def observe(self, loss: float) -> None:
        if self._ended:
            return
        here = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        self._waiting[len(self._losses)] = (here, self._segment, self._steps)
        self._segment, self._steps = {}, 0
        self._losses.append(loss)
        self._find_start()
        self._take_in(self.tolerated)

    def conclude(self) -> bool:
        if not self._losses:
            return False
        self._take_in(1)
        if self._start is None:
            _, self._valley, _ = self._waiting[len(self._losses) - 1]
        self._concluded = True
        self._model.load_state_dict(self._valley)
        return True

    def _find_start(self) -> None:
        first = len(self._losses) - self.converged
        if self._start is not None or first < 0:
            return
        if self._losses[first] == min(self._losses[first:]):
            self._start, self._next = first, first + 1
            here, _, _ = self._waiting[first]
            self._valley, self._valley_steps = here, 1
        self._waiting.pop(first)

    def _take_in(self, shortest: int) -> None:
        """Evaluations whose window has `shortest` losses at least join the mean, until one window lies above the limit."""
        while self._start is not None and not self._ended and self._next < len(self._losses):
            window = self._losses[self._next : self._next + self.tolerated]
            if len(window) < shortest:
                return
            base = self._losses[self._start : self._start + self.converged]
            if min(window) > self.ratio * sum(base) / len(base):
                self._ended = True
                self._waiting.clear()
                return
            _, mean, steps = self._waiting.pop(self._next)
            self._valley = _merged(self._valley, self._valley_steps, mean, steps)
            self._valley_steps += steps
            self._next += 1

    def state_dict(self) -> dict[str, Tensor]:
        numbers = [self._steps, -1 if self._start is None else self._start, self._next, self._ended, self._valley_steps]
        state = {"numbers": torch.tensor([int(number) for number in numbers])}
        state["losses"] = torch.tensor(self._losses, dtype=torch.float64)
        parts = {"model": self._model.state_dict(), "segment": self._segment, "valley": self._valley}
        for at, (here, mean, steps) in self._waiting.items():
            parts |= {f"here-{at}": here, f"mean-{at}": mean, f"steps-{at}": {"": torch.tensor(steps)}}
        return state | {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            part, slash, rest = name.partition("/")
            if slash:
                parts.setdefault(part, {})[rest] = tensor.clone()
        self._steps, start, self._next, ended, self._valley_steps = (int(number) for number in state["numbers"])
        self._start, self._ended = None if start < 0 else start, bool(ended)
        self._losses = [float(loss) for loss in state["losses"]]
        self._model.load_state_dict(parts["model"])
        self._segment, self._valley = parts.get("segment", {}), parts.get("valley", {})
        numbers = sorted(int(part.removeprefix("here-")) for part in parts if part.startswith("here-"))
        self._waiting = {
            at: (parts[f"here-{at}"], parts.get(f"mean-{at}", {}), int(parts[f"steps-{at}"][""])) for at in numbers
        }


def _merged(one: Mapping[str, Tensor], steps: int, other: Mapping[str, Tensor], more: int) -> dict[str, Tensor]:
    """The mean of weights over `steps` and `more` steps; whole numbers, as counters of batches, are the later ones."""
    if not one:
        return dict(other)
    share = more / (steps + more)
    return {
        name: tensor + (other[name] - tensor) * share if tensor.is_floating_point() else other[name]
        for name, tensor in one.items()
    }
