"""Settings → how the weights of a run are averaged."""

from collections.abc import Callable

from torch.optim.swa_utils import get_ema_multi_avg_fn

from pipeline.averaging.averaging import Averaging
from pipeline.averaging.latest import Latest
from pipeline.averaging.running_mean import RunningMean
from pipeline.averaging.settings import AveragingSettings, first_averaged
from pipeline.averaging.valley import ValleyMean
from pipeline.student.model import Shipped

RULES: dict[str, Callable[[AveragingSettings, Shipped, int], Averaging]] = {
    "sma": lambda s, model, steps: RunningMean(model, first_averaged(steps, s.start, s.start_fraction)),
    "none": lambda _, model, __: Latest(model),
    "ema": lambda s, model, _: RunningMean(model, 1, get_ema_multi_avg_fn(s.decay)),
    "swad": lambda s, model, _: ValleyMean(model, s.converged, s.tolerated, s.ratio),
}

# Where each is from.
SOURCES = {
    "sma": "the simple moving average of EoA (Arpit et al., NeurIPS 2022), as SCMD has it",
    "none": "the latest weights",
    "ema": "exponential moving average",
    "swad": "the valley of the validation loss (Cha et al., NeurIPS 2021)",
}


def build(settings: AveragingSettings, model: Shipped, steps: int) -> Averaging:
    """Over the `steps` updates of `model` that are to come."""
    return RULES[settings.rule](settings, model, steps)
