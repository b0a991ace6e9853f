"""The ONNX student in eight bits: onnxruntime's static quantisation, calibrated on training pictures (extra `export`)."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline.finished.onnx import Run

# Calibration passes this many pictures at once; speed is measured alone and in such a batch, alternating, this often.
BATCH, REPEATS = 64, 9


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: np.ndarray) -> None:
        self._batches: Iterator[np.ndarray] = (pictures[at : at + BATCH] for at in range(0, len(pictures), BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """As onnxruntime asks for them."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def quantise(file: Path, pictures: np.ndarray, to: Path) -> None:
    """`pictures` (n, size, size, 3) uint8 of training give the ranges of activations; weights by channel."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(file, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            to,
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


@dataclass(frozen=True)
class Measured:
    """Share of right answers, and milliseconds a picture, alone and in a batch of `BATCH`."""

    accuracy: float
    alone: float
    in_batch: float


def measured(runs: dict[str, Run], pictures: np.ndarray, labels: np.ndarray) -> dict[str, Measured]:
    """Every run on the same (n, size, size, 3) pictures with labels (n,); times are medians, runs alternating."""
    accuracies = {name: float((_answers(run, pictures) == labels).mean()) for name, run in runs.items()}
    times: dict[str, list[list[float]]] = {name: [[], []] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            for taken, size in zip(times[name], (1, BATCH), strict=True):
                some = pictures[np.arange(size) % len(pictures)]
                started = time.perf_counter()
                run(some)
                taken.append(1000 * (time.perf_counter() - started) / size)
    return {name: Measured(accuracies[name], *(statistics.median(taken) for taken in times[name])) for name in runs}


def _answers(run: Run, pictures: np.ndarray) -> np.ndarray:
    return np.concatenate([run(pictures[at : at + BATCH]).argmax(1) for at in range(0, len(pictures), BATCH)])
