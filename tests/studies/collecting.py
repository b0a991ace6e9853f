"""Trials of a study → one small Parquet that pages are made from.

`python -m tests.studies.collecting docs/studies/selection.parquet results/selection-400 results/selection-800 results/selection-1600`
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import journal

METRICS = ("accuracy", "validation", "teacher_zero_shot", "step", "images_drawn", "images_learnt_from", "collapsed")
STUDENT = ("steps", "batch")


def machines(results: Path) -> dict[str, str]:
    """The processor of each trial, by its name in the journal: the last that ran it."""
    return {trial: one.machine for one in journal.read(results) for trial in one.trials}


def rows(results: Path) -> list[dict]:
    """A row a finished trial: its key, what of its student decides the table, its metrics and where it ran."""
    where, found = machines(results), []
    for file in sorted((results / "trials").rglob("card.json")):
        card = json.loads(file.read_text())
        key, metrics = card["trial"], card["metrics"]
        name = f"{key['method']}, {key['held_out']} held out, trial {key['trial']}"
        found.append(
            {
                **key,
                **{one: card["student"][one] for one in STUDENT},
                "backbone": card["student"]["model"]["backbone"],
                **{one: metrics[one] for one in METRICS},
                "machine": where.get(name, "unknown"),
            }
        )
    return found


def main(to: Path, folders: list[Path]) -> None:
    """Writes the table of all folders' trials."""
    found = [row for folder in folders for row in rows(folder)]
    to.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(found), to)
    print(f"{len(found)} trials in {to}")


if __name__ == "__main__":
    target, *folders = map(Path, sys.argv[1:])
    main(target, folders)
