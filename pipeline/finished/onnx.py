"""A student as ONNX, checked against itself in onnxruntime. Needs the extra `export`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.export import ExportedProgram

from pipeline.errors import InputError

OPSET = 18
# The largest difference of a logit from PyTorch's, relative to the largest logit.
TOLERANCE = 1e-4
BATCHES = (1, 3, 64)

Run = Callable[[np.ndarray], np.ndarray]


def write(traced: ExportedProgram, classes: Sequence[str], file: Path) -> None:
    """One file, input `images` (batch, size, size, 3) uint8, output `logits` (batch, C), metadata `classes` as JSON."""
    made = torch.onnx.export(
        traced, dynamo=True, opset_version=OPSET, input_names=["images"], output_names=["logits"], verbose=False
    )
    assert made is not None
    made.model.metadata_props["classes"] = json.dumps(list(classes))
    made.save(file, external_data=False)


def runner(file: Path) -> Run:
    """(B, size, size, 3) uint8 → (B, C) on the processor."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda pictures: np.asarray(session.run(["logits"], {"images": pictures})[0])


@torch.inference_mode()
def check(file: Path, module: nn.Module, pictures: np.ndarray) -> float:
    """The largest relative difference from PyTorch over `BATCHES` of real pictures (n, size, size, 3).

    Raises InputError where it is above `TOLERANCE`.
    """
    run, worst = runner(file), 0.0
    for size in BATCHES:
        some = pictures[np.arange(size) % len(pictures)]
        expected = module(torch.from_numpy(some)).numpy()
        worst = max(worst, float(np.abs(run(some) - expected).max() / max(1.0, np.abs(expected).max())))
    if worst > TOLERANCE:
        raise InputError(
            f"{file}: onnxruntime's logits differ from PyTorch's by {worst:.1e} of the largest (at most {TOLERANCE:.0e} is "
            "allowed); use the safetensors with timm"
        )
    return worst
