"""`docs/selection.md`: its text, and the map from `docs/studies/selection.parquet`; `python -m
tests.studies.selection_page` writes it, a test holds it.

The trials are those of `configs/selection-*.yaml`; `tests.studies.collecting` collects them.
"""

import math
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.report.accuracies import MARK
from tests.conftest import ROOT
from tests.studies.pages import accuracy, renewed

PAGE = ROOT / "docs/selection.md"
TRIALS = ROOT / "docs/studies/selection.parquet"
STUDY, STUDENT = ROOT / "docs/studies/results.parquet", "resnet10t-800"
SHARES = {"p10": 0.1, "p20": 0.2, "p35": 0.35, "p50": 0.5}
RULES = {"paper": "the paper's rule", "safest": "the safest"}
# The first cells of each method's row, in the map's order.
SAID = {
    "kd": "none (`kd`) | –",
    "whole": "none (`scmd` on whole batches) | –",
    **{f"{rule}_{share}": f"{p} | {name}" for share, p in SHARES.items() for rule, name in RULES.items()},
}
# Methods of `configs/study.yaml` that are cells of the map, in its trials and on its styles.
OF_THE_STUDY = {"kd": "kd", "scmd": "paper_p20", "scmd_safest": "safest_p50"}


def rows(trials: list[dict], steps: int, styles: list[str]) -> list[str]:
    """Of one length: what learns from whole batches, then each share by each rule; of these what has run."""
    lines = []
    for method, said in SAID.items():
        here = [one for one in trials if one["steps"] == steps and one["method"] == method]
        if here:
            cells = [accuracy([one for one in here if one["held_out"] == style]) for style in styles]
            lines.append(f"| {steps:,} | {said} | {' | '.join(cells)} | {100 * validation(here):.1f} |")
    return lines


def validation(trials: list[dict]) -> float:
    """Their mean validation accuracy; NaN of none."""
    return math.fsum(one["validation"] for one in trials) / len(trials) if trials else math.nan


def losses(trials: list[dict], steps: int) -> str:
    """A row of one length: mean validation accuracy of each rule and share less that of whole batches, in points."""
    here = {one: [trial for trial in trials if (trial["steps"], trial["method"]) == (steps, one)] for one in SAID}
    found = [validation(here[f"{rule}_{share}"]) - validation(here["whole"]) for rule in RULES for share in SHARES]
    cells = ["–" if math.isnan(one) else f"{100 * one:+.1f}" for one in found]
    return f"| {steps:,} | {' | '.join(cells)} |"


def table(file: Path = TRIALS) -> str:
    """Markdown: length × share × rule, accuracy on each held-out style and mean validation accuracy; what selection loses."""
    trials = pq.read_table(file).to_pylist()
    cells = {(one["held_out"], one["trial"]) for one in trials}
    trials += [
        {**one, "method": OF_THE_STUDY[one["method"]]}
        for one in pq.read_table(STUDY).to_pylist()
        if one["student"] == STUDENT and one["method"] in OF_THE_STUDY and (one["held_out"], one["trial"]) in cells
    ]
    styles = sorted({one["held_out"] for one in trials}, reverse=True)
    lines = [
        f"| steps | p | selection | {' | '.join(f'{style} held out' for style in styles)} | validation |",
        f"|---|---|---|{'---|' * (len(styles) + 1)}",
    ]
    lengths = sorted({one["steps"] for one in trials})
    for steps in lengths:
        lines += rows(trials, steps, styles)
    machines = sorted({one["machine"] for one in trials})
    said = [
        "",
        f"{len(trials)} trials: accuracy in % on the held-out domain's in split, mean ± standard error (number of trials);",
        "validation is the mean accuracy on the sources' out splits over all trials of a row.",
        f"{MARK} a trial collapsed. On {'; '.join(machines)}.",
    ]
    columns = [f"{name}, p = {share}" for name in RULES.values() for share in SHARES.values()]
    lost = [
        "",
        "Validation against that of whole batches, in points:",
        "",
        f"| steps | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(losses(trials, steps) for steps in lengths),
    ]
    return "\n".join([*lines, *said, *lost, ""])


def page() -> str:
    """The page as it stands, with the map of the trials that there are."""
    return renewed(PAGE, "tests.studies.selection_page", table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
