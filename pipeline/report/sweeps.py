"""A DomainBed sweep beside an experiment's own trials: the same columns, and DomainBed's other rules of choice for both."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.domainbed import choosing, records
from pipeline.domainbed.records import Record
from pipeline.errors import InputError
from pipeline.report.accuracies import accuracies, shown
from pipeline.report.outcome import Outcome
from pipeline.report.table import markdown, tabulate

# Method → held-out domain → trial number → accuracy.
Columns = dict[str, dict[str, dict[int, float]]]


def read(folder: Path, dataset: str, domains: Sequence[str]) -> list[Record]:
    """The records of a data set in a sweep's folder, each algorithm's name with what it is of.

    Raises InputError where there is none of this name, however spelt, or of other environments than `domains`.
    """
    found = records.read(folder)
    mine = [one for one in found if _plain(one.dataset) == _plain(dataset)]
    if not mine:
        there = ", ".join(sorted({one.dataset for one in found})) or "none"
        raise InputError(f"{folder}: no record of data set `{dataset}`; those there are of {there}")
    if others := [one for one in mine if one.environments != len(domains)]:
        raise InputError(
            f"{folder}: its `{mine[0].dataset}` has {others[0].environments} environments, and `{dataset}` has "
            f"{len(domains)} domains ({', '.join(domains)}): another data set of this name"
        )
    return [replace(one, algorithm=f"{_in_a_cell(one.algorithm)} (DomainBed)") for one in mine]


def columns(found: Sequence[Record], domains: Sequence[str], rule: choosing.Rule) -> Columns:
    """By a rule of choice. An environment's number is its place among the domains' sorted names."""
    names = sorted(domains)
    return {
        algorithm: {names[environment]: trials for environment, trials in environments.items()}
        for algorithm, environments in choosing.accuracies(found, rule).items()
    }


def own_records(outcomes: Sequence[Outcome], dataset: str, domains: Sequence[str]) -> list[Record]:
    """The evaluations of those of an experiment's trials that looked at every split of every domain each time (`evaluate: all`):
    elsewhere the last that did is no last step, but the chosen one."""
    sorted_names = sorted(domains)
    names = {
        f"{name}_{split}": f"env{at}_{split}_acc" for at, name in enumerate(sorted_names) for split in ("in", "out")
    }
    return [
        Record(
            dataset=dataset,
            algorithm=one.key.method,
            test_envs=(sorted_names.index(one.key.held_out),),
            hparams_seed=one.key.hparams_seed,
            trial_seed=one.key.trial,
            step=row["step"],
            accuracies={theirs: row[ours] for ours, theirs in names.items()},
        )
        for one in outcomes
        if all(names.keys() <= row.keys() for row in one.history)
        for row in one.history
    ]


def other_rules(
    found: Sequence[Record],
    domains: Sequence[str],
    held_out: Sequence[str],
    collapsed: Collection[tuple[str, str]] = (),
) -> str:
    """Markdown tables by the rules that are no headline: they look at the held-out domain, or need runs that hold two out;
    `collapsed` cells are marked."""
    lines = ["## By DomainBed's other rules of choice", "", "Of own trials those with `evaluate: all`.", ""]
    for name, rule in choosing.RULES.items():
        if name == "training-domain validation":
            continue
        methods = columns(found, domains, rule)
        lines += [f"### {name}", ""]
        if not methods:
            lines += ["No record follows it.", ""]
            continue
        cells = shown(tabulate(accuracies({}, held_out, (), methods), collapsed))
        rows = {domain: [of_domain[name] for name in methods] for domain, of_domain in cells.items()}
        lines += [*markdown(list(methods), rows), ""]
    return "\n".join(lines)


def _in_a_cell(name: str) -> str:
    """With a space for whatever would end the cell of a table."""
    return re.sub(r"[|\s]+", " ", name).strip()


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
