"""The device that teacher and student run on, and the way there."""

import os
from collections.abc import Callable

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


def on_host(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Room for uint8 values that go to a device: pinned where that is a GPU, which then fetches them by itself."""
    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """The same numbers; to a GPU from pinned memory, while it goes on with what it has to do."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def sent_back(values: Tensor) -> Callable[[], np.ndarray]:
    """Begins to bring a tensor to the host; what is returned waits until it is there, whatever the GPU does after it."""
    there = values.to("cpu", non_blocking=True)
    if values.device.type != "cuda":
        return there.numpy
    arrived = torch.cuda.Event()
    arrived.record()

    def fetch() -> np.ndarray:
        arrived.synchronize()
        return there.numpy()

    return fetch
