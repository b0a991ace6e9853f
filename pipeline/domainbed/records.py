"""DomainBed's `results.jsonl`: what a run measured, a line an evaluation."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, reason

FILE = "results.jsonl"
# With `--uda_holdout_fraction` there are others, of a split that no rule looks at.
ACCURACY = re.compile(r"env\d+_(in|out)_acc")


@dataclass(frozen=True)
class Record:
    """One evaluation of one run; `accuracies` by `env{i}_in_acc` and `env{i}_out_acc`, environments in order of their names."""

    dataset: str
    algorithm: str
    test_envs: tuple[int, ...]
    hparams_seed: int
    trial_seed: int
    step: int
    accuracies: Mapping[str, float]

    def accuracy(self, environment: int, split: str) -> float:
        """Of an environment's `in` or `out` split."""
        return self.accuracies[f"env{environment}_{split}_acc"]

    @property
    def environments(self) -> int:
        """How many there are."""
        return sum(name.endswith("_out_acc") for name in self.accuracies)


def read(folder: Path) -> list[Record]:
    """All records of a sweep's folder, in order of its files' paths and lines.

    Raises InputError where there is none, or a line is no record.
    """
    files = sorted(folder.rglob(FILE))
    if not files:
        raise InputError(f"{folder}: no {FILE} in it or below; name the output folder of a DomainBed sweep")
    return [record for file in files for record in _of_file(file)]


def _of_file(file: Path) -> Iterator[Record]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({reason(error)})") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _record(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                raise InputError(
                    f"{file}, line {number}: not a record of DomainBed's ({reason(error)}); a run that was killed may have left "
                    "half a line, which can be removed"
                ) from error


def _record(line: dict[str, Any]) -> Record:
    args = line["args"]
    accuracies = {name: float(value) for name, value in line.items() if ACCURACY.fullmatch(name)}
    found = Record(
        dataset=str(args["dataset"]),
        algorithm=str(args["algorithm"]),
        test_envs=tuple(int(one) for one in args["test_envs"]),
        hparams_seed=int(args["hparams_seed"]),
        trial_seed=int(args["trial_seed"]),
        step=int(line["step"]),
        accuracies=accuracies,
    )
    wanted = {f"env{at}_{split}_acc" for at in range(found.environments) for split in ("in", "out")}
    if not all(0 <= one <= 1 for one in accuracies.values()):
        raise ValueError("accuracies are shares from 0 to 1")
    if not accuracies or wanted != accuracies.keys() or not all(0 <= at < found.environments for at in found.test_envs):
        raise ValueError("accuracies of environments 0, 1, … in both splits are wanted")
    if len(set(found.test_envs)) != len(found.test_envs):
        raise ValueError("`test_envs` names an environment twice")
    return found
