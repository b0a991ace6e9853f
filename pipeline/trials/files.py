"""The files that a finished trial leaves, and whether those that stand are of the same trial.

`student.safetensors`, `predictions.parquet`, `history.json`, `metrics.json` (with times, which differ from run to run) and, last,
`card.json`: with it the trial counts as done, and equal trials on equal machines have equal cards.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import InputError, ResourceError, reason
from pipeline.results import Evaluation
from pipeline.trials import predictions as predictions_file
from pipeline.writing import replace_text, replacing

CARD = "card.json"
WEIGHTS, PREDICTIONS, HISTORY, METRICS = "student.safetensors", "predictions.parquet", "history.json", "metrics.json"
# What `report` reads of a card's metrics.
MEASURED = {"accuracy", "validation", "teacher_zero_shot"}


def write(
    folder: Path,
    *,
    weights: Mapping[str, Tensor],
    card: Mapping[str, Any],
    times: Mapping[str, float],
    history: Sequence[Evaluation],
    predictions: pa.Table,
) -> None:
    """`card` holds the trial's `metrics`, too. What stood in the folder is no longer so, and counts no more from the start.

    Raises ResourceError where the folder cannot be written; the trial is then kept in a temporary folder that it names.
    """
    contents = {"weights": weights, "card": card, "times": times, "history": history, "predictions": predictions}
    try:
        _write(folder, **contents)
    except (ResourceError, OSError) as error:
        spare = Path(tempfile.mkdtemp(prefix="scmd-trial-"))
        _write(spare, **contents)
        raise ResourceError(
            f"{folder}: the finished trial cannot be written ({reason(error)}); it is kept in {spare}: make room, and move "
            "what is in there to where it belongs"
        ) from error


def _write(
    folder: Path,
    weights: Mapping[str, Tensor],
    card: Mapping[str, Any],
    times: Mapping[str, float],
    history: Sequence[Evaluation],
    predictions: pa.Table,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CARD, WEIGHTS, PREDICTIONS, HISTORY, METRICS):
        # Removed, not written over: DVC may have linked a file to its own copy.
        (folder / name).unlink(missing_ok=True)
    with replacing(folder / WEIGHTS) as partial:
        classes = {"classes": json.dumps(card["classes"])}  # by which the weights alone can name their answers
        save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, partial, classes)
    with replacing(folder / PREDICTIONS) as partial:
        predictions_file.write(predictions, partial)
    rows = [
        {
            "step": one.step,
            **one.accuracies,
            **{f"loss_{name}": mean for name, mean in one.terms.items()},
            "validation_loss": one.validation_loss,
        }
        for one in history
    ]
    metrics = {**card["metrics"], **times}
    for name, data in ((HISTORY, rows), (METRICS, metrics), (CARD, card)):
        replace_text(folder / name, json.dumps(data, indent=1, sort_keys=True) + "\n")


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a finished trial; None where there is none. Raises InputError for a damaged file."""
    path = folder / CARD
    try:
        card = json.loads(path.read_bytes())
        if not card["metrics"].keys() >= MEASURED:
            raise KeyError("metrics")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not the card of a finished trial; the trial is to be run again") from error
    return dict(card)


def is_of(card: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a trial was made from what is expected (`materials.made_from`)."""
    return all(card.get(key) == value for key, value in expected.items())
