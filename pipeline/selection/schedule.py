"""When a method selects, and how much it keeps."""

import math
from dataclasses import dataclass

from pipeline.selection.settings import SelectionSettings


@dataclass(frozen=True)
class Schedule:
    """How many samples of a batch the update `step` (from 0) of `steps` learns from."""

    settings: SelectionSettings
    steps: int

    def kept(self, step: int, batch: int) -> int:
        """Of `batch` samples: all of them where the step does not select."""
        settings = self.settings
        begin = math.floor(self.steps * settings.select_from)
        if step < begin or not is_selecting(step, settings.nominal_steps or self.steps, settings.full_batch_fraction):
            return batch
        length = math.floor(self.steps * settings.anneal)
        left = max(0.0, 1 - (step - begin + 1) / (length + 1))
        return kept(batch, settings.hard_fraction + (1 - settings.hard_fraction) * left, settings.floor)

    def selects(self, step: int, batch: int) -> bool:
        """Whether the step leaves out a part of a batch of so many."""
        return self.kept(step, batch) < batch


def is_selecting(step: int, steps: int, full_batch_fraction: float) -> bool:
    """Whether update `step` (from 0) of `steps` is before the whole batches of the end: step ≤ ⌊steps · (1 − k)⌋."""
    return step <= math.floor(steps * (1 - full_batch_fraction))


def kept(batch: int, share: float, floor: int = 1) -> int:
    """⌊share · B⌋, the number of samples that selection keeps; at least `floor` of them, and no more than there are."""
    return min(batch, max(floor, math.floor(batch * share)))
