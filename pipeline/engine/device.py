"""The device that teacher and student run on, and the way there."""

import os

import numpy as np
import torch
from torch import Tensor


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpus() -> list[str]:
    """Names of the GPUs that this process sees, as `CUDA_VISIBLE_DEVICES` has them; none where there is none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """The same numbers; to a GPU from pinned memory, while it goes on with what it has to do."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
