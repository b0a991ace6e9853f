"""How much of what exact scoring chooses cheaper scoring chooses too, over trials of the default experiment on what device there
is: `python -m tests.scoring_overlap FILE`, after `dvc repro` or `scmd run`."""

import json
import sys
from pathlib import Path

import numpy as np

from pipeline import training
from pipeline.experiment import DEFAULT, places
from pipeline.selection.rules import cross_entropies
from pipeline.selection.schedule import kept
from pipeline.selection.scoring import SCORING, scoring
from pipeline.selection.selector import ranked
from pipeline.stage_two import data, running
from pipeline.stages.gathering import assigned, gathered

EVERY = 10
FRACTIONS = (0.2, 0.5)
RESULTS = Path("build/scoring")


def measured(held_out: str, trial: int) -> dict[str, float]:
    """Mean share over the selecting steps of a trial of `scmd`, by scoring and p."""
    plan = places.load(DEFAULT)
    key = plan.experiment.key(held_out, "scmd", trial)
    assignment, materials = assigned(plan, key), gathered(plan)
    max_gb = plan.experiment.pixels.max_gb
    pictures = data.student_pictures(materials, plan.dataset, plan.pixels_folder, max_gb, trial)
    shared: dict[str, list[float]] = {}
    learn = training.learn

    def looked_at(one, batch):
        if one.step % EVERY == 0 and one.method.selector.selects(one.step, len(batch)):
            with scoring(one.predictor):
                answers = {name: answer(one.predictor, batch.images) for name, answer in SCORING.items()}
            found = {name: ranked(cross_entropies(logits, batch)) for name, logits in answers.items()}
            for fraction in FRACTIONS:
                count = kept(len(batch), fraction)
                exact = set(found["exact"][:count].tolist())
                for name in SCORING:
                    same = exact & set(found[name][:count].tolist())
                    shared.setdefault(f"{name}, p = {fraction}", []).append(len(same) / len(exact))
        learn(one, batch)

    training.learn = looked_at
    try:
        sources = running.sources_of(materials, assignment)
        running.run(materials, assignment, sources, pictures, key.folder(RESULTS))
    finally:
        training.learn = learn
    return {name: round(float(np.mean(shares)), 4) for name, shares in shared.items()}


if __name__ == "__main__":
    found = {
        f"{held_out}, trial {trial}": measured(held_out, trial) for held_out in ("solid", "freehand") for trial in (0,)
    }
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
