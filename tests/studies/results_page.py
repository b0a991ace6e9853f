"""`docs/results.md`: its text, and the tables of the study from `docs/studies/results.parquet`; `python -m
tests.studies.results_page` writes it, a test holds it.

The trials are those of `configs/study.yaml` and `configs/study-pretrained.yaml`, and beside them of `configs/random-800.yaml`;
`tests.studies.collecting` collects them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.report.accuracies import MARK
from pipeline.report.intervals import interval
from pipeline.report.table import cell
from tests.conftest import ROOT
from tests.studies.inference import bootstrap, holm, sign_flip
from tests.studies.pages import accuracy, renewed

PAGE = ROOT / "docs/results.md"
TRIALS, AT_RANDOM = ROOT / "docs/studies/results.parquet", ROOT / "docs/studies/random.parquet"
STUDENT, PRETRAINED = "resnet10t-800", "tf_efficientnet_lite0"
METHODS = ("erm", "kd", "scmd", "scmd_safest", "random", "rise", "vl2v_adip", "kd_coral")
RIVALS = ("kd", "erm")
HELD_BY_T = "°"
Trials = Sequence[dict[str, Any]]


def whole(trials: Trials) -> list[int]:
    """The trial numbers that every method has on every style."""
    there = {(one["held_out"], one["method"], one["trial"]) for one in trials}
    styles, methods, numbers = (sorted({cell[at] for cell in there}) for at in range(3))
    return [number for number in numbers if all((style, one, number) in there for style in styles for one in methods)]


def of(trials: Trials, method: str, field: str) -> np.ndarray:
    """(styles, trials) of a method, in the trials that are whole."""
    mine = {(one["held_out"], one["trial"]): one[field] for one in trials if one["method"] == method}
    styles, numbers = sorted({style for style, _ in mine}), whole(trials)
    return np.array([[mine[style, number] for number in numbers] for style in styles])


def percent(values: np.ndarray) -> str:
    """The mean with its interval, in %."""
    low, high = bootstrap(values)
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def points(values: np.ndarray) -> str:
    """The mean difference with its interval, in points; `HELD_BY_T` where that excludes zero, and Student's over the styles'
    means, which is wider of so few, does not."""
    low, high = bootstrap(values)
    of_styles = interval([float(one) for one in values.mean(1)])
    held = HELD_BY_T if (low > 0 or high < 0) and of_styles and of_styles.low <= 0 <= of_styles.high else ""
    return f"{100 * values.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]{held}"


def comparisons(trials: Trials) -> dict[tuple[str, str], tuple[np.ndarray, float, float]]:
    """(method, rival) → the differences (styles, trials), p, and p by Holm over all of them; a pair stands once."""
    pairs = [(one, rival) for rival in RIVALS for one in METHODS if one != rival and (rival, one) != ("erm", "kd")]
    gaps = {pair: of(trials, pair[0], "accuracy") - of(trials, pair[1], "accuracy") for pair in pairs}
    p = {pair: sign_flip(gap.ravel()) for pair, gap in gaps.items()}
    corrected = holm(p)
    return {pair: (gaps[pair], p[pair], corrected[pair]) for pair in pairs}


def compared(trials: Trials) -> Iterator[str]:
    """The first table: differences from both rivals, and on how many styles their mean is above zero."""
    found = comparisons(trials)
    found["kd", "erm"] = _turned(found["erm", "kd"])
    yield "| method | accuracy [95 %] | over `kd` [95 %] | styles | p | Holm | over `erm` [95 %] | styles | p | Holm |"
    yield f"|{'---|' * 10}"
    for method in METHODS:
        cells = [f"`{method}`", percent(of(trials, method, "accuracy"))]
        for rival in RIVALS:
            if (method, rival) not in found:
                cells += ["–"] * 4
                continue
            gap, p, corrected = found[method, rival]
            cells += [points(gap), f"{(gap.mean(1) > 0).sum()} of {len(gap)}", _told(p), _told(corrected)]
        yield f"| {' | '.join(cells)} |"


def _turned(one: tuple[np.ndarray, float, float]) -> tuple[np.ndarray, float, float]:
    gap, p, corrected = one
    return -gap, p, corrected


def _told(p: float) -> str:
    return f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def apart(trials: Trials) -> Iterator[str]:
    """Accuracy on what the teacher knows, and does not."""
    yield "| method | IP | over `erm` | OOP | over `erm` | where the teacher errs |"
    yield "|---|---|---|---|---|---|"
    share, known, unknown = (of(trials, "erm", one) for one in ("share", "teacher_ip", "teacher_oop"))
    yield f"| teacher zero-shot ({100 * share.mean():.0f} % IP) | {percent(known)} | – | {percent(unknown)} | – | 0 |"
    for method in METHODS:
        cells = []
        for field in ("ip", "oop"):
            values = of(trials, method, field)
            cells += [percent(values), "–" if method == "erm" else points(values - of(trials, "erm", field))]
        yield f"| `{method}` | {' | '.join(cells)} | {percent(of(trials, method, 'where_teacher_errs'))} |"


def by_style(trials: Trials, methods: Sequence[str]) -> Iterator[str]:
    """Held-out style × method, and validation."""
    yield f"| held out | teacher zero-shot | {' | '.join(f'`{one}`' for one in methods)} |"
    yield f"|---|---|{'---|' * len(methods)}"
    for style in sorted({one["held_out"] for one in trials}):
        here = [one for one in trials if one["held_out"] == style]
        teacher = cell([one["teacher_zero_shot"] for one in here if one["method"] == methods[0]]) or "–"
        cells = [accuracy([one for one in here if one["method"] == method]) for method in methods]
        yield f"| {style} | {teacher} | {' | '.join(cells)} |"
    chosen = [np.mean([one["validation"] for one in trials if one["method"] == method]) for method in methods]
    yield f"| *validation* | | {' | '.join(f'*{100 * one:.1f}*' for one in chosen)} |"


def learnt(trials: Trials) -> Iterator[str]:
    """What each method learnt from, and how well it fits that."""
    yield "| method | learnt from | teacher right, clean, on what was drawn | on what was learnt from | its own images named |"
    yield "|---|---|---|---|---|"
    for method in METHODS:
        mine = [one for one in trials if one["method"] == method]
        share = np.mean([one["images_learnt_from"] / one["images_drawn"] for one in mine])
        rest = [np.mean([one[name] for one in mine]) for name in ("teacher_of_drawn", "teacher_of_learnt", "fit")]
        yield f"| `{method}` | {' | '.join(f'{100 * one:.1f} %' for one in (share, *rest))} |"


def at_random(trials: Trials) -> Iterator[str]:
    """The paper's share by its rule and at random, between whole batches and each other."""
    yield "| method | accuracy [95 %] | over `scmd` [95 %] | over `kd` [95 %] | its own images named |"
    yield f"|{'---|' * 5}"
    for method in ("scmd", "random_p20", "kd"):
        mine = of(trials, method, "accuracy")
        over = [points(mine - of(trials, rival, "accuracy")) if method != rival else "–" for rival in ("scmd", "kd")]
        yield f"| `{method}` | {percent(mine)} | {' | '.join(over)} | {100 * of(trials, method, 'fit').mean():.1f} % |"


def tables(trials: Trials, random: Trials = ()) -> str:
    """All that is generated. Raises ValueError where no trial number is whole."""
    trials = [one for one in trials if one["method"] in METHODS]
    first = [one for one in trials if one["student"] == STUDENT]
    if not whole(first):
        raise ValueError("no trial number has all methods on all held-out styles")
    pretrained = [one for one in trials if one["student"] == PRETRAINED]
    machines = sorted({one["machine"] for one in trials})
    lines = [
        f"## Against `kd` and `erm`: {len({one['held_out'] for one in first})} held-out styles, {len(whole(first))} trials each",
        *compared(first),
        "",
        "## Exploratory: what the teacher knows (IP), and does not (OOP)",
        *apart(first),
        "",
        "## Exploratory: by style",
        *by_style(first, METHODS),
        "",
        "## Exploratory: what they learnt from",
        *learnt(first),
        "",
    ]
    if random:
        lines += ["## Exploratory: the paper's share at random", *at_random([*first, *random]), ""]
    if pretrained:
        methods = [one for one in METHODS if any(row["method"] == one for row in pretrained)]
        lines += ["## Exploratory: a student that was trained on ImageNet", *by_style(pretrained, methods), ""]
    marks = f"{MARK} a trial collapsed; {HELD_BY_T} by t over styles the interval holds zero"
    said = f"{len(trials)} trials; {marks}. On {'; '.join(machines)}; the row of each trial names its own."
    return "\n".join([*lines, said, ""])


def page() -> str:
    """The page as it stands, with the tables of the trials that there are."""
    return renewed(
        PAGE, "tests.studies.results_page", tables(*(pq.read_table(one).to_pylist() for one in (TRIALS, AT_RANDOM)))
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
