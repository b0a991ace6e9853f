"""Everything that `report.html` shows, as one record, and the template that shows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.report import figures, series
from pipeline.report.details import Details
from pipeline.report.headline import Headline
from pipeline.report.measures import largest_confusions
from pipeline.report.outcome import Group
from pipeline.trials.files import TIMES

# Groups that are looked at one by one; the others are in the table and in the lines by method.
MOST_DETAILS = 12
LARGEST = 10


@dataclass(frozen=True)
class Confusion:
    """How often a label got an answer, by whom."""

    label: str
    answer: str
    student: int
    teacher: int


@dataclass(frozen=True)
class Cost:
    """Of a group's trials, on average: seconds, None where they are not known, and bytes of the student's file."""

    group: Group
    seconds: float | None
    seconds_evaluating: float | None
    size: float


@dataclass(frozen=True)
class Page:
    """`about` and `provenance` are names with what is said of them; `leaks` make a result worthless, `gaps` make it less;
    `commands` make the page again."""

    title: str
    about: Mapping[str, str]
    verdict: str
    headline: Headline
    leaks: Sequence[str]
    gaps: Sequence[str]
    groups: Sequence[Group]
    details: Sequence[Details]
    domains: Sequence[str]
    classes: Sequence[str]
    stage_one: str
    provenance: Mapping[str, str]
    commands: Sequence[str]


def render(page: Page) -> str:
    """One file, with nothing from elsewhere."""
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    shown = [one.group for one in page.details]
    selecting = [group for group in shown if group.selects]
    terms = list(dict.fromkeys(line.name for group in shown for line in series.losses(group)))
    methods = list(dict.fromkeys(group.method for group in page.groups))
    held_out = list(dict.fromkeys(group.held_out for group in page.groups))
    return environment.get_template("report.html").render(
        page=page,
        overview=_each(partial(figures.by_method, groups=page.groups, methods=methods), held_out),
        accuracies=_each(partial(figures.by_domain, domains=page.domains), shown),
        losses=_each(partial(figures.objective, terms=terms), shown),
        scales=_each(figures.scale, shown),
        domain_shares=_each(partial(figures.domain_shares, domains=page.domains), selecting),
        class_shares=_each(partial(figures.class_shares, classes=page.classes), selecting),
        whole=[group.name for group in shown if not group.selects],
        confusions=[
            (one.group.name, figures.confusions(number, one, page.classes), _largest(one, page.classes))
            for number, one in enumerate(page.details)
        ],
        calibration=_each(figures.calibration, page.details),
        costs=[_cost(group) for group in page.groups],
    )


def _code(text: str) -> Markup:
    """Words in backticks become code, as in Markdown."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def _each(make: Callable[[int, Any], Markup | None], items: Sequence[Any]) -> list[Markup]:
    return [figure for number, item in enumerate(items) if (figure := make(number, item))]


def _largest(one: Details, classes: Sequence[str]) -> list[Confusion]:
    student, teacher = one.confusions["student"], one.confusions["teacher"]
    return [
        Confusion(classes[label], classes[answer], count, int(teacher[label, answer]))
        for label, answer, count in largest_confusions(student, LARGEST)
    ]


def _cost(group: Group) -> Cost:
    times = [one.times for one in group.outcomes]
    known = all(times)
    seconds, evaluating = (sum(one[name] for one in times) / len(times) if known else None for name in TIMES)
    size = sum(one.weights_bytes for one in group.outcomes) / len(group.outcomes)
    return Cost(group, seconds, evaluating, size)
