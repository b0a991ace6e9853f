"""Whether a student that learns from the hardest samples alone has ended as one that gives every class the same probability.

Of all answers to samples of which the worst are asked, the even one is the safest: its cross-entropy is ln C on any of them, and
training that only sees the worst stays there.
"""

import math

import torch
from torch import Tensor

# Updates whose mean is looked at; how many of them in a row, and which share of the trial's, make a collapse where they are so
# near to ln C: a long trial passes by it slowly on its way down. In a short one it is all whole windows that it has, `LEAST` or
# more: with fewer selecting updates a trial is not watched.
WINDOW, LONG, SHARE, NEAR, LEAST = 50, 150, 0.05, 0.005, 100


class Collapse:
    """Watches the cross-entropy of what selecting updates learn from. Asks a GPU nothing until `noticed` is read.

    `steps` are the trial's, `selecting` how many of them leave out a part of a batch. `state` is all that it remembers: sum
    and count of the window, updates in a row near ln C, and the most there were.
    """

    def __init__(self, classes: int, steps: int, selecting: int, device: torch.device) -> None:
        self.level = math.log(classes)
        windows = selecting - selecting % WINDOW
        self.long = max(LEAST, min(max(LONG, math.ceil(SHARE * steps)), windows))
        self.state = torch.zeros(4, dtype=torch.float64, device=device)
        self._one_more = torch.tensor([1, 0, 0], dtype=torch.float64, device=device)

    def saw(self, loss: Tensor) -> None:
        """() of one more selecting update."""
        total, count, flat, most = self.state + torch.cat([loss.double()[None], self._one_more])
        near = (total / count - self.level).abs() <= NEAR * self.level
        full = count >= WINDOW
        flat = torch.where(full, torch.where(near, flat + count, 0), flat)
        kept = (~full).double()
        self.state = torch.stack([total * kept, count * kept, flat, torch.maximum(most, flat)])

    @property
    def noticed(self) -> bool:
        """Whether it has happened, at any time until now."""
        return bool(self.state[3] >= self.long)
