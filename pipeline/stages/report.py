"""Finished trials → the table and the page."""

from __future__ import annotations

import json
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.domainbed.choosing import RULES
from pipeline.errors import CacheError, InputError
from pipeline.progress import say, show, warn
from pipeline.queries.alignment import alignments
from pipeline.report import apart, ensembles, outcome, page, soups, sweeps, table, tidy, told
from pipeline.report.accuracies import AVERAGE, MEANING, ZERO_SHOT, Accuracies, accuracies, collapsed
from pipeline.report.details import details
from pipeline.report.headline import headline
from pipeline.report.verdict import sentence
from pipeline.samples import judging, loading
from pipeline.stage_two import current
from pipeline.stage_two.materials import made_from
from pipeline.stages.gathering import assigned, gathered
from pipeline.writing import replace_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.experiment.places import Plan
    from pipeline.report.outcome import Group, Outcome
    from pipeline.report.page import Page
    from pipeline.stage_two.current import Standing
    from pipeline.stage_two.materials import Materials


def run(plan: Plan, results: Path, sweep: Path | None = None) -> Accuracies:
    """`report.html`, `.md`, `.json`, plots, and the table on the terminal; `sweep` is a DomainBed folder whose runs of this data
    set stand in the same table. Raises InputError where no trial is current, or the sweep has no run of this data set."""
    matrix, materials = plan.experiment.matrix, gathered(plan)
    assignments = [assigned(plan, key) for key in plan.experiment.trials()]
    standing = current.look(results, assignments, partial(made_from, materials))
    outcomes, damaged = _read(plan, results, standing)
    if not outcomes:
        raise InputError(
            f"{results}: no finished trial of this experiment here; run `{plan.command('students', results)}` first"
        )
    domains, dataset = materials.samples.domains, plan.experiment.dataset
    theirs = sweeps.read(sweep, dataset, domains) if sweep else []
    others = sweeps.columns(theirs, domains, RULES["training-domain validation"])
    if sweep and not any(name in matrix.held_out for held_out in others.values() for name in held_out):
        warn(f"{sweep}: no run of it holds out {' or '.join(matrix.held_out)} alone, so that none stands in the table")
    best = outcome.best_by_validation(outcomes)
    metrics = {one.key: one.card["metrics"] for one in best}
    found, marked = accuracies(metrics, matrix.held_out, matrix.method, others), collapsed(metrics)
    cells = table.tabulate(found, marked)
    counts = len(outcomes), len(assignments), len(standing.outdated)
    gaps = [*table.gap_lines(*counts, plan.command("students", results)), *damaged, *([MEANING] if marked else [])]
    about = ", ".join(f"{name} {said}" for name, said in _about(plan, "`").items())
    leaks = list(judging.leaks(materials.samples.rows, matrix.held_out))
    shown = _page(plan, materials, results, best, found, marked, leaks, gaps)
    inside = 1 - plan.student.split.holdout_fraction
    text = table.page(f"{about[0].upper()}{about[1:]}.", shown.verdict, leaks, cells, inside, gaps)
    if known := _known(shown.groups, materials):
        text += f"\n{known}"
    if together := ensembles.section(shown.groups):
        text += f"\n{together}"
    if mixed := soups.section(results, outcomes):
        text += f"\n{mixed}"
    if theirs:
        text += "\n" + sweeps.other_rules(
            [*sweeps.own_records(outcomes, dataset, domains), *theirs], domains, matrix.held_out, marked
        )
    files = {
        "report.md": text,
        "report.json": json.dumps(table.plain(cells), indent=1) + "\n",
        "report.html": page.render(shown),
        **_plots(shown),
    }
    (results / "plots").mkdir(exist_ok=True)
    for name, content in files.items():
        replace_text(results / name, content)
    show(text)
    say(f"in {results / 'report.md'}; with plots and samples in {results / 'report.html'}")
    return found


def _read(plan: Plan, results: Path, standing: Standing) -> tuple[list[Outcome], list[str]]:
    """What the current trials left; and of each whose files are damaged a sentence with the command that runs it again."""
    outcomes, damaged = [], []
    for one, card in standing.done.items():
        try:
            outcomes.append(outcome.read(results, one.key, card))
        except InputError as error:
            damaged.append(
                f"{one.key} is left out: {error}: `{plan.command('student', results)} {shlex.join(one.key.arguments)}`."
            )
    return outcomes, damaged


def _known(groups: Sequence[Group], materials: Materials) -> str:
    """Nothing where the teacher's features are damaged, of which the trials may need none: a warning says so."""
    try:
        return apart.section(groups, alignments(materials.cache, materials.samples))
    except CacheError as error:
        warn(f"{error}; so the report does not say what the teacher knows")
        return ""


def _plots(shown: Page) -> dict[str, str]:
    """What `dvc plots` draws, with the templates in `configs/plots`."""
    accuracy = tidy.accuracy(shown.groups, shown.domains)
    rows = {
        "accuracy": tidy.held_out(accuracy),
        "accuracy-by-domain": accuracy,
        "loss": tidy.losses(shown.groups),
        "confusion": tidy.confusions(shown.details, shown.classes),
    }
    return {f"plots/{name}.json": json.dumps(one, indent=1, allow_nan=False) + "\n" for name, one in rows.items()}


def _about(plan: Plan, quote: str = "") -> dict[str, str]:
    student, name = plan.student, plan.experiment.student
    return {
        "data set": f"{quote}{plan.experiment.dataset}{quote}",
        "teacher": f"{quote}{plan.experiment.teacher}{quote} ({plan.teacher.views} views)",
        "student": f"{quote}{name}{quote} ({quote}{student.model.backbone}{quote}, {plan.experiment.pixels.size} px, "
        f"{student.steps} steps of {student.batch} images a source domain)",
    }


def _page(
    plan: Plan,
    materials: Materials,
    results: Path,
    outcomes: list[Outcome],
    found: Accuracies,
    marked: set[tuple[str, str]],
    leaks: list[str],
    gaps: list[str],
) -> Page:
    samples, matrix = materials.samples, plan.experiment.matrix
    groups = outcome.grouped(outcomes)
    average = found[AVERAGE]
    load = loading.of_rows(plan.dataset, samples.rows, exif=samples.exif)
    return page.Page(
        title=f"{plan.experiment.dataset}: {', '.join(matrix.method)}",
        about=_about(plan),
        verdict=sentence({name: average[name] for name in matrix.method}, average[ZERO_SHOT], matrix.held_out),
        headline=headline(found, marked),
        leaks=leaks,
        gaps=gaps,
        groups=groups,
        details=[details(group, samples.rows, samples.classes, load) for group in groups[: page.MOST_DETAILS]],
        domains=samples.domains,
        classes=samples.classes,
        stage_one=told.cost_of_cache(materials.cache),
        provenance=told.provenance(materials.cache, [one.card for one in outcomes]),
        commands=[plan.command(stage, results) for stage in ("run", "report")],
    )
