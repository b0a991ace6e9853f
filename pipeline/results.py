"""A trial's history, the choice of its checkpoint, and the files that it leaves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file


@dataclass(frozen=True)
class Evaluation:
    """After `step` updates' worth of training (DomainBed's step counts from 0): accuracies and mean loss terms."""

    step: int
    accuracies: Mapping[str, float]
    terms: Mapping[str, float]


def validation(evaluation: Evaluation, sources: Sequence[str]) -> float:
    """Training-domain validation: the mean out-split accuracy of the source domains. The held-out one has no part."""
    return sum(evaluation.accuracies[f"{name}_out"] for name in sources) / len(sources)


def is_better(evaluation: Evaluation, best: Evaluation | None, sources: Sequence[str]) -> bool:
    """Whether it becomes the chosen one: the first of the highest validation accuracies wins, as in DomainBed."""
    return best is None or validation(evaluation, sources) > validation(best, sources)


def write(
    folder: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    card: dict,
    metrics: dict,
    history: Sequence[Evaluation],
) -> None:
    """`student.safetensors`, `card.json`, `history.json` and, last, `metrics.json`: with it the trial counts as done."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)  # what it says is no longer so
    save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, folder / "student.safetensors")
    rows = [{"step": e.step, **e.accuracies, **{f"loss_{k}": v for k, v in e.terms.items()}} for e in history]
    for name, data in (("card", card), ("history", rows), ("metrics", metrics)):
        replace_text(folder / f"{name}.json", json.dumps(data, indent=1, sort_keys=True) + "\n")


def replace_text(path: Path, text: str) -> None:
    """The file is the old one or the new one, never half."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
