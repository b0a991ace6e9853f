"""The methods that there are: a line each, or all of one."""

import json
import sys

from pipeline.averaging.building import SOURCES
from pipeline.errors import InputError
from pipeline.methods import METHODS, NAMED, decided, named
from pipeline.methods.method import Method
from pipeline.progress import show
from pipeline.selection.rules import RULES


def listed() -> None:
    """Name, family, what it needs of the cache, and its source; then the rules that are settings of every method."""
    rows = [("name", "family", "needs", "source")]
    rows += [(name, one.family, ", ".join(read_by(one)) or "no teacher", said(one)[0]) for name, one in METHODS.items()]
    rows += [
        (name, METHODS[method].family, f"as `{method}`", f"`{method}` with {json.dumps(given)}")
        for name, (method, given) in NAMED.items()
    ]
    rows += [
        (f"select: {name}", "any method's", ", ".join(sorted(rule.needs)) or "no teacher", rule.source)
        for name, rule in RULES.items()
    ]
    rows += [(f"averaging: {name}", "any method's", "no teacher", source) for name, source in SOURCES.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for row in rows:
        show("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))


def told(name: str) -> None:
    """Formula and settings of a method. Raises InputError for one that is not known."""
    if name not in {**METHODS, **NAMED}:
        raise InputError(f"method `{name}` is unknown (known: {', '.join([*METHODS, *NAMED])})")
    known, given = named(name, {})
    method = METHODS[known]
    if given:
        show(f"`{known}` with {json.dumps(given)}\n")
    show("\n".join(said(method)))
    show(f"\nfamily: {method.family}; needs: {', '.join(read_by(method)) or 'nothing of the cache'}\n")
    for key, field in method.Settings.model_fields.items():
        if key not in decided(method):
            value = given.get(key, field.get_default(call_default_factory=True))
            show(f"{key}: {json.dumps(value)}    {' '.join((field.description or '').split())}".rstrip())


def read_by(method: type[Method]) -> list[str]:
    """What it needs of a batch besides pictures and labels, and of the cache besides that."""
    return [*sorted(method.needs), *(["prompts"] if method.templates(method.Settings(), ("a", "b")) else [])]


def said(method: type[Method]) -> list[str]:
    """The lines that its module says of it."""
    return (sys.modules[method.__module__].__doc__ or "").strip().splitlines()
