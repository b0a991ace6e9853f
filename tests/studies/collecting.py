"""Trials of studies → one small Parquet that pages are made from.

`python -m tests.studies.collecting docs/studies/selection.parquet configs/selection-400.yaml configs/selection-800.yaml` reads
the trials of each experiment from `results/` and its name, and adds them to those that the file has.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import journal
from pipeline.cache import reader
from pipeline.experiment import places
from pipeline.queries.alignment import alignments
from pipeline.report.apart import shares
from pipeline.samples import table
from pipeline.trials import predictions
from pipeline.trials.predictions import Answers

KEY = ("student", "held_out", "method", "hparams_seed", "trial")
METRICS = ("accuracy", "validation", "teacher_zero_shot", "step", "images_drawn", "images_learnt_from", "collapsed")
STUDENT = ("steps", "batch")


def machines(results: Path) -> dict[str, str]:
    """The processor of each trial, by its name in the journal: the last that ran it."""
    return {trial: one.machine for one in journal.read(results) for trial in one.trials}


def told_apart(answers: Answers, held_out: str, aligned: np.ndarray) -> dict[str, float]:
    """Of a trial: accuracies apart for what the teacher knows, and does not; the student's where the teacher errs, and on what it
    learnt from (`fit`); and how often the teacher is right on what was drawn, and on what was learnt from."""
    right, teacher = answers.answer == answers.label, answers.teacher_answer == answers.label
    held, sources = (answers.inside & there for there in (answers.domain == held_out, answers.domain != held_out))
    apart = shares(answers, held_out, aligned)
    if any(map(math.isnan, apart.values())):
        raise ValueError(
            f"{held_out} held out: the teacher knows all images, or none, and there is nothing to tell apart"
        )
    return {
        **apart,
        "where_teacher_errs": float(right[held & ~teacher].mean()),
        "fit": float(right[sources].mean()),
        "teacher_of_drawn": float(np.average(teacher, weights=answers.drawn)),
        "teacher_of_learnt": float(np.average(teacher, weights=answers.selected)),
    }


def of_adapter(card: dict[str, Any]) -> dict[str, Any]:
    """Where the teacher's logits were adapted: by what, how well each kind names the sources' out splits, and how well the chosen
    one names the held-out domain."""
    if "adapter" not in card:
        return {}
    adapter = card["adapter"]
    validation = {f"validation_of_{kind}": share for kind, share in adapter["validation"].items()}
    return {"adapter": adapter["name"], "adapter_accuracy": adapter["accuracy"], **validation}


def rows(experiment: Path) -> list[dict[str, Any]]:
    """A row a finished trial of the experiment: its key, what of its student decides the table, its metrics, the above, its
    processor."""
    plan, results = places.load(experiment), Path("results") / experiment.stem
    aligned = alignments(reader.open_complete(plan.cache_folder), table.read(plan.samples_folder))
    where, found = machines(results), []
    for key in plan.experiment.trials():
        if not (key.folder(results) / "card.json").exists():
            continue
        card = json.loads((key.folder(results) / "card.json").read_text())
        answers = predictions.read(key.folder(results) / "predictions.parquet")
        found.append(
            {
                **vars(key),
                **{one: card["student"][one] for one in STUDENT},
                "backbone": card["student"]["model"]["backbone"],
                **{one: card["metrics"][one] for one in METRICS},
                **told_apart(answers, key.held_out, aligned),
                **of_adapter(card),
                "machine": where.get(str(key), "unknown"),
            }
        )
    return found


def main(to: Path, experiments: list[Path]) -> None:
    """Writes the table of all that it had, and of all trials of these experiments in place of what it had of them."""
    before = pq.read_table(to).to_pylist() if to.exists() else []
    found = {tuple(row[one] for one in KEY): row for row in before}
    new = [row for experiment in experiments for row in rows(experiment)]
    found |= {tuple(row[one] for one in KEY): row for row in new}
    names = list(dict.fromkeys(name for row in [*new, *before] for name in row))
    to.parent.mkdir(parents=True, exist_ok=True)
    ordered = [found[key] for key in sorted(found)]
    pq.write_table(pa.table({name: [row.get(name) for row in ordered] for name in names}), to)
    print(f"{len(new)} trials read, {len(found)} in {to}")


if __name__ == "__main__":
    target, *named = map(Path, sys.argv[1:])
    main(target, named)
