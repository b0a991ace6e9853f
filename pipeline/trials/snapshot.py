"""A trial written down between two steps, and read back: what goes on from it ends as if it had never stopped.

Two files, no pickle: `tensors.safetensors` with all that is a number by the thousand, and `trial.json` with the rest.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import InputError
from pipeline.results import Evaluation
from pipeline.teacher.settings import digest
from pipeline.trials.trial import Chosen, Trial

TENSORS, REST = "tensors.safetensors", "trial.json"


def write(trial: Trial, folder: Path, made_from: Mapping[str, Any]) -> None:
    """Into an empty or new folder; `made_from` is what the trial's card would say of it."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{part}:{name}": tensor.detach().cpu().contiguous().clone()
        for part, state in _parts(trial).items()
        for name, tensor in state.items()
    }
    save_file(tensors, folder / TENSORS)
    rest = {
        "made_from": made_from,
        "tensors_sha256": digest(folder / TENSORS),
        "step": trial.step,
        "seconds": trial.seconds,
        "seconds_evaluating": trial.seconds_evaluating,
        "history": [dataclasses.asdict(evaluation) for evaluation in trial.history],
        "chosen": dataclasses.asdict(trial.chosen.evaluation) if trial.chosen else None,
    }
    (folder / REST).write_text(json.dumps(rest, indent=1) + "\n", encoding="utf-8")


def size(trial: Trial) -> int:
    """About how many bytes `write` writes."""
    return sum(tensor.nbytes for state in _parts(trial).values() for tensor in state.values())


def read_into(trial: Trial, folder: Path, made_from: Mapping[str, Any]) -> None:
    """Takes a trial that was just started to where the written one was.

    Raises InputError where the files are missing, damaged, or of a trial that was made from other things; one that is damaged
    may leave a trial that cannot be used.
    """
    try:
        rest = json.loads((folder / REST).read_text(encoding="utf-8"))
        if rest["made_from"] != json.loads(json.dumps(made_from)):
            raise ValueError("it was made from other settings, samples or another cache")
        if rest["tensors_sha256"] != digest(folder / TENSORS):
            raise ValueError(f"{TENSORS} is damaged")
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in load_file(folder / TENSORS, device=str(trial.device)).items():
            part, _, key = name.partition(":")
            parts.setdefault(part, {})[key] = tensor
        trial.step, trial.seconds, trial.seconds_evaluating = (
            rest[key] for key in ("step", "seconds", "seconds_evaluating")
        )
        trial.history = [Evaluation(**one) for one in rest["history"]]
        _restore(trial, parts, rest["chosen"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: not a trial of these settings that was written down ({reason})") from error


def _parts(trial: Trial) -> dict[str, dict[str, Tensor]]:
    parts = {
        "student": trial.student.state_dict(),
        "method": trial.method.state_dict(),
        "optimiser": _optimiser_state(trial.optimizer),
        "averaging": trial.averaging.state_dict(),
        "random": {str(at): state for at, state in enumerate(trial.random)},
        "sums": trial.sums,
        "collapse": {"state": trial.collapse.state, "said": torch.tensor(trial.said_of_collapse)},
        "counts": {"drawn": torch.from_numpy(trial.drawn), "selected": trial.selected},
    }
    if trial.chosen:
        parts["weights"], parts["projection"] = trial.chosen.weights, trial.chosen.projection
    return parts


def _restore(trial: Trial, parts: dict[str, dict[str, Tensor]], chosen: dict[str, Any] | None) -> None:
    trial.student.load_state_dict(parts["student"])
    trial.method.load_state_dict(parts.get("method", {}))
    # The state is that of the last update's phase: a new one begins with the next update.
    trial.enter(trial.phase_of(max(0, trial.step - 1)))
    _restore_optimiser(trial.optimizer, parts.get("optimiser", {}))
    trial.averaging.load_state_dict(parts["averaging"])
    trial.random = [parts["random"][str(at)].cpu() for at in range(len(trial.random))]
    trial.sums = parts.get("sums", {})
    trial.collapse.state, trial.said_of_collapse = parts["collapse"]["state"], bool(parts["collapse"]["said"])
    trial.drawn, trial.selected = parts["counts"]["drawn"].cpu().numpy(), parts["counts"]["selected"]
    if chosen:
        trial.chosen = Chosen(Evaluation(**chosen), parts["weights"], parts.get("projection", {}))


def _optimiser_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """`number.key` of each parameter's moments and counts. Rates follow from the step, and are not kept."""
    return {
        f"{number}.{key}": value
        for number, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _restore_optimiser(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        # Adam counts steps on the processor, wherever the moments are.
        state.setdefault(int(number), {})[key] = tensor.cpu() if key == "step" else tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
