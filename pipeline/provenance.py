"""Who computed something: library versions and the kind of device, not who or when, so that equal runs leave equal bytes."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch


def versions(device: torch.device, libraries: Sequence[str]) -> dict[str, Any]:
    """Device and threads, on which the last digits of a sum depend, and the versions of `libraries`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": name, "threads": torch.get_num_threads(), **{library: version(library) for library in libraries}}
