"""The files that a finished trial leaves, and whether those that stand are of the same trial.

`student.safetensors`, `projection.safetensors` (where the method taught one), `adapter.safetensors` (where one adapted the
teacher's logits), `predictions.parquet`, `history.json`, `metrics.json` (with times, which differ from run to run) and, last,
`card.json`: with it the trial counts as done, and equal trials on equal machines have equal cards.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import InputError, ResourceError, reason
from pipeline.results import Evaluation
from pipeline.teacher.settings import digest
from pipeline.trials import predictions as predictions_file
from pipeline.writing import replace_text, replacing, require_room

CARD = "card.json"
WEIGHTS, PROJECTION, ADAPTER = "student.safetensors", "projection.safetensors", "adapter.safetensors"
PREDICTIONS, HISTORY, METRICS = "predictions.parquet", "history.json", "metrics.json"
# What is said of trials that are another's, or an earlier version's.
OUTDATED = "were made from other settings, samples or caches, or by other versions of the code"
# Goes up when a finished trial leaves other files, or other things in them.
FORMAT = 5
# Of its metrics those that differ from run to run.
TIMES = ("seconds", "seconds_evaluating")
# What `report` reads of a card's metrics.
MEASURED = {"accuracy", "validation", "teacher_zero_shot", "step", "images_drawn", "images_learnt_from"}


@dataclass(frozen=True)
class Finished:
    """What a trial leaves. `card` holds its `metrics`, too; `projection` is empty where the method taught none, `adapter` where
    none adapted the teacher's logits."""

    weights: Mapping[str, Tensor]
    projection: Mapping[str, Tensor]
    adapter: Mapping[str, np.ndarray]
    card: Mapping[str, Any]
    times: Mapping[str, float]
    history: Sequence[Evaluation]
    predictions: pa.Table


def require_room_for(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises ResourceError where a trial of these tensors could not be written."""
    require_room(folder, sum(tensor.nbytes for tensor in tensors.values()))


def write_or_spare(folder: Path, trial: Finished) -> None:
    """Raises ResourceError where the folder cannot be written; the trial is then kept in a temporary folder that it names."""
    try:
        write(folder, trial)
    except (ResourceError, OSError) as error:
        spare = Path(tempfile.mkdtemp(prefix="scmd-trial-"))
        write(spare, trial)
        raise ResourceError(
            f"{folder}: the finished trial cannot be written ({reason(error)}); it is kept in {spare}: make room, and move "
            "what is in there to where it belongs"
        ) from error


def write(folder: Path, trial: Finished) -> None:
    """What stood in the folder is no longer so, and counts no more from the start."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CARD, WEIGHTS, PROJECTION, ADAPTER, PREDICTIONS, HISTORY, METRICS):
        # Removed, not written over: DVC may have linked a file to its own copy.
        (folder / name).unlink(missing_ok=True)
    classes = {"classes": json.dumps(trial.card["classes"])}  # by which the weights alone can name their answers
    digests = {"weights_sha256": _write_tensors(trial.weights, folder / WEIGHTS, classes)}
    if trial.projection:
        digests["projection_sha256"] = _write_tensors(trial.projection, folder / PROJECTION, {})
    if trial.adapter:
        adapter = {name: torch.from_numpy(values) for name, values in trial.adapter.items()}
        digests["adapter_sha256"] = _write_tensors(adapter, folder / ADAPTER, {})
    with replacing(folder / PREDICTIONS) as partial:
        predictions_file.write(trial.predictions, partial)
    history = [_row(one) for one in trial.history]
    metrics = {**trial.card["metrics"], **trial.times}
    for name, data in ((HISTORY, history), (METRICS, metrics), (CARD, {**trial.card, **digests})):
        replace_text(folder / name, json.dumps(data, indent=1, sort_keys=True) + "\n")


def _write_tensors(tensors: Mapping[str, Tensor], file: Path, facts: dict[str, str]) -> str:
    """Returns the file's SHA-256."""
    with replacing(file) as partial:
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, partial, facts)
    return digest(file)


def classes_of(weights: Path) -> list[str]:
    """That the weights themselves name; none where they do not."""
    with safe_open(weights, "pt") as file:
        return list(json.loads((file.metadata() or {}).get("classes", "[]")))


def _row(one: Evaluation) -> dict[str, Any]:
    """Of the history: numbers by flat names, as plots want them, and apart what was learnt from until then."""
    return {
        "step": one.step,
        **one.accuracies,
        **{f"loss_{name}": mean for name, mean in one.terms.items()},
        "validation_loss": one.validation_loss,
        "logit_scale": one.logit_scale,
        "learnt": {"domains": one.learnt_domains, "classes": one.learnt_classes},
    }


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a finished trial; None where there is none. Raises InputError for a damaged file."""
    path = folder / CARD
    try:
        card = json.loads(path.read_bytes())
        if not all(isinstance(card["metrics"][name], int | float) for name in MEASURED):
            raise KeyError("metrics")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not the card of a finished trial; the trial is to be run again") from error
    return dict(card)


def require_files(folder: Path, card: Mapping[str, Any]) -> None:
    """Raises InputError where a file of a finished trial is gone."""
    kept = [name for name, digest in ((PROJECTION, "projection_sha256"), (ADAPTER, "adapter_sha256")) if digest in card]
    names = [WEIGHTS, PREDICTIONS, HISTORY, *kept]
    if gone := [name for name in names if not (folder / name).is_file()]:
        raise InputError(f"{folder / gone[0]}: missing, while the trial's card is there; the trial is to be run again")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of `history.json`, in order of their steps. Raises InputError where it is missing, or another file."""
    path = folder / HISTORY
    try:
        rows = json.loads(path.read_bytes())
        if not rows or not all({"step", "learnt", "logit_scale"} <= row.keys() for row in rows):
            raise ValueError("no rows with a step each")
        return list(rows)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not the history of a trial ({reason(error)}); run the trial again") from error


def read_times(folder: Path) -> dict[str, float]:
    """How long a trial took, by what; empty where that is not known, as on a machine that pulled it."""
    try:
        metrics = json.loads((folder / METRICS).read_bytes())
        return {name: float(metrics[name]) for name in TIMES}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
