"""How well label agreement finds wrong labels: icons with a tenth of the sources' labels swapped.

`python -m tests.doubtful_labels FOLDER CACHE` makes a project in FOLDER, whose teacher cache is CACHE, that of the icons: the
pictures are the same, so no teacher runs. It says precision and recall; `scmd run` in FOLDER then trains with doubt and without.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.adapters.agreement import agreement
from pipeline.cache import reader
from pipeline.queries.features import features
from pipeline.samples import table
from pipeline.stages.doubtful import labelled_of
from tests.conftest import ROOT, ok

HELD_OUT, SWAPPED = "solid", 0.1
SELECTING = {"method": "scmd", "hard_fraction": 0.5}


def swap(folder: Path) -> set[int]:
    """Writes the data set with a tenth of the labels of all domains but one exchanged for others; returns the rows of those."""
    icons = pq.read_table(ROOT / "pipeline/data/icons.parquet")
    labels, domains = (np.array(icons[name].to_pylist()) for name in ("label", "domain"))
    classes, random = np.unique(labels), np.random.default_rng(0)
    known = np.flatnonzero(domains != HELD_OUT)
    chosen = random.choice(known, round(SWAPPED * len(known)), replace=False)
    for row in chosen:
        labels[row] = random.choice(classes[classes != labels[row]])
    at = icons.schema.get_field_index("label")
    pq.write_table(icons.set_column(at, "label", pa.array(labels.tolist(), pa.string())), folder / "noisy.parquet")
    return set(chosen.tolist())


def configure(folder: Path) -> None:
    """The default student, four hundred steps, with each rule; the noise is in the sources alone."""
    icons = yaml.safe_load((ROOT / "configs/datasets/icons.yaml").read_text())
    student = yaml.safe_load((ROOT / "configs/students/resnet10t-400.yaml").read_text())
    methods = {
        "kd": {},
        "hard": SELECTING,
        "hard_without_doubt": {**SELECTING, "select": "hard_without_doubt"},
        "whole": {"method": "scmd", "hard_fraction": 1.0},
    }
    experiment = {
        "dataset": "noisy",
        "images": "noisy.parquet",
        "teacher": "icons",
        "student": "resnet10t-400",
        "pixels": {"size": 32},
        "matrix": {"held_out": [HELD_OUT], "method": list(methods), "trial": [0, 1, 2]},
        "methods": methods,
    }
    files = {
        "datasets/noisy": {**icons, "root": "noisy.parquet"},
        "teachers/icons": yaml.safe_load((ROOT / "configs/teachers/icons.yaml").read_text()),
        "students/resnet10t-400": student,
        "experiment": experiment,
    }
    for name, values in files.items():
        path = folder / f"configs/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values, sort_keys=False))


def found(folder: Path, swapped: set[int]) -> list[str]:
    """Precision and recall of the labels that less than a share of their neighbours have, a line a share."""
    cache = reader.open_complete(folder / "cache/noisy/icons")
    all_of_them = features(cache, table.read(folder / "cache/noisy"))
    known = all_of_them.part(all_of_them.values("domain") != HELD_OUT)
    shares = agreement(labelled_of(known))
    wrong = np.array([int(sample.key.split("#")[1]) in swapped for sample in known.samples])
    lines = [f"{wrong.sum()} of {len(wrong)} labels are swapped"]
    for below in (0.05, 0.1, 0.15, 0.2, 0.3):
        listed = shares < below
        precision, recall = wrong[listed].mean(), listed[wrong].mean()
        lines.append(f"below {below:.2f}: {listed.sum()} listed, precision {precision:.2f}, recall {recall:.2f}")
    return lines


def main(folder: Path, cache: Path) -> None:
    """Makes the project and says what the features alone find."""
    folder.mkdir(parents=True)
    swapped = swap(folder)
    configure(folder)
    ok("samples", cwd=folder)
    (folder / "cache/noisy/icons").symlink_to(cache.resolve(), target_is_directory=True)
    print("\n".join(found(folder, swapped)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
