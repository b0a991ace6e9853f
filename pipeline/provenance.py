"""Who computed something: library versions and the kind of device, not who or when, so that equal runs leave equal bytes."""

import platform
from importlib.metadata import version

import torch

LIBRARIES = ("torch", "torchvision", "open_clip_torch", "pillow", "numpy", "zarr")


def versions(device: torch.device, batch: int) -> dict:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    threads = torch.get_num_threads()
    return {"device": name, "threads": threads, "batch": batch, **{library: version(library) for library in LIBRARIES}}
