"""How a student is computed on a device: number format of the backbone, memory layout, compiled or not. Losses stay float32."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from pipeline.config import Section


class ComputeSettings(Section):
    """`compute`: what `auto` becomes stands in a trial's card."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the backbone; `auto` is bfloat16 (autocast) on a GPU that has it, and float32 elsewhere. Heads, losses and weights are
    float32 in any case."""
    channels_last: Literal["auto"] | bool = "auto"
    """Weights in the order in which pictures come, channel by channel in each pixel; `auto` where the backbone gains by it."""
    compile: bool = False
    """Whether the backbone is compiled: minutes at the start, for faster steps on a GPU."""


@dataclass(frozen=True)
class Compute:
    """What the settings become for a network on a device."""

    precision: torch.dtype
    channels_last: bool
    compiled: bool

    def told(self) -> dict[str, Any]:
        """For a trial's card."""
        precision = str(self.precision).removeprefix("torch.")
        return {"precision": precision, "channels_last": self.channels_last, "compiled": self.compiled}


def resolve(settings: ComputeSettings, backbone: nn.Module, device: torch.device) -> Compute:
    """What `auto` is here."""
    precision, layout = settings.precision, settings.channels_last
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
    return Compute(
        precision=torch.bfloat16 if precision == "bfloat16" else torch.float32,
        channels_last=_gains(backbone, device) if layout == "auto" else layout,
        compiled=settings.compile,
    )


def _gains(network: nn.Module, device: torch.device) -> bool:
    """From weights in the pictures' own order (`docs/performance.md`): on a GPU every network that convolves over neighbours, on
    a processor those that do so channel by channel; the one convolution that cuts a picture into patches counts for nothing."""
    convolutions = [
        module for module in network.modules() if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    ]
    over = [one for one in convolutions if one.stride != one.kernel_size]
    return bool(over) if device.type == "cuda" else any(one.groups == one.in_channels > 1 for one in over)
