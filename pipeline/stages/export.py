"""A finished student → a folder that someone else can use: weights, cards, and what other runtimes read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.errors import InputError
from pipeline.finished import exporting, student
from pipeline.finished.exporting import FORMATS, Pictures
from pipeline.progress import say
from pipeline.samples import loading, table
from pipeline.samples.splits import is_out
from pipeline.stage_two.materials import samples_digest
from pipeline.views.render import squash

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.finished.student import FinishedStudent

# Real pictures: of training, for calibration; of the held-out domain, for checks and accuracy.
CALIBRATION, JUDGED = 512, 4096


def run(folder: Path, to: Path, formats: Sequence[str], plan: Plan | None) -> None:
    """Into `to`. Other formats than safetensors need the images of `plan`.

    Raises InputError where the folder holds something else, the images are another data set's, or a format cannot be made.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise InputError(f"format `{unknown[0]}` is none that a student is written in ({', '.join(FORMATS)})")
    if formats and plan is None:
        raise InputError("other formats are checked on real images: name the experiment that has them (`plan`)")
    exporting.require_free(to)
    one = student.load(folder, torch.device("cpu"))
    pictures = _pictures(one, plan) if plan and formats else None
    with exporting.replaced(to) as folder:
        exporting.copy(one, folder)
        measured = exporting.write(one, folder, formats, pictures) if pictures else None
        names = exporting.write_card(one, folder, measured)
    say(f"in {to}: {', '.join(names)}")


def _pictures(one: FinishedStudent, plan: Plan) -> Pictures:
    """Of the trial's own splits; evenly spread where there are more than are looked at."""
    samples = table.read(plan.samples_folder)
    if samples_digest(samples) != one.card.samples:
        raise InputError(
            f"{one.folder}: a student of `{one.card.dataset}` as its images were then; those of the experiment "
            f"(`{plan.experiment.dataset}`) are others, and so are its splits: name the experiment that it is of "
            "(`--experiment`), or ask for no other format"
        )
    split = one.card.student.split
    out = np.array(is_out(samples, one.key.trial, split.rule, split.holdout_fraction))
    held_out = np.array([row.domain == one.key.held_out for row in samples.rows])
    load = loading.of_rows(plan.dataset, samples.rows, exif=samples.exif)
    training, judged = (
        _spread(np.flatnonzero(~out & of), most) for of, most in ((~held_out, CALIBRATION), (held_out, JUDGED))
    )
    first, second = (np.stack([squash(load(int(row)), one.size) for row in rows]) for rows in (training, judged))
    return Pictures(first, second, np.array([samples.rows[row].label for row in judged]))


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    return np.asarray(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])
