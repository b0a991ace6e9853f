"""`docs/settings.md`, made from the schema: `python -m tests.settings_page` writes it, a test holds it."""

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.experiment.schema import Experiment
from pipeline.methods import METHODS, NAMED, decided
from pipeline.methods.settings import MethodSettings
from pipeline.samples.dataset import DatasetSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.trials.settings import StudentSettings

PAGE = Path(__file__).parent.parent / "docs/settings.md"
FILES = (
    ("`configs/experiment.yaml`", Experiment),
    ("`configs/datasets/*.yaml`", DatasetSettings),
    ("`configs/teachers/*.yaml`", TeacherSettings),
    ("`configs/students/*.yaml`", StudentSettings),
)
HEAD = """\
# Settings

Every key of every configuration file, from the schema (`python -m tests.settings_page` writes this page). A key that is not
here is a fault. "required" has no default. Paths are relative to the working folder.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for title, section in FILES:
        lines += [f"## {title}", *_table(_rows(section, "")), ""]
    lines += ["## `methods`", "", "Every method has these:", "", *_table(_rows(MethodSettings, "")), ""]
    for name, method in METHODS.items():
        own = [row for row in _rows(method.Settings, "") if _is_own(row[0].strip("`"), method.Settings)]
        lines += [f"### `{name}`", *(_table(own) if own else ["", "Nothing of its own."]), ""]
        if without := sorted(decided(method)):
            lines += [f"It has a rule of its own in the place of {' and '.join(f'`{key}`' for key in without)}.", ""]
    lines += ["### Names for settings", ""]
    lines += [f"* `{name}` is `{method}` with `{json.dumps(given)}`" for name, (method, given) in NAMED.items()]
    return "\n".join([*lines, ""])


def _is_own(key: str, section: type[MethodSettings]) -> bool:
    """Whether it is not as every method has it."""
    name = key.partition(".")[0]
    base = MethodSettings.model_fields.get(name)
    return base is None or base.default != section.model_fields[name].default


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    return ["", "| key | type | default | meaning |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _rows(section: type[BaseModel], prefix: str) -> list[tuple[str, ...]]:
    return list(_walk(section, prefix))


def _walk(section: type[BaseModel], prefix: str, standing: BaseModel | None = None) -> Iterator[tuple[str, ...]]:
    """`standing` is what a section that is left out stands for."""
    for name, field in section.model_fields.items():
        inner = next(
            (one for one in _parts(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)), None
        )
        meaning = " ".join((field.description or "").split())
        if inner:
            yield (f"`{prefix}{name}`", "section" if field.is_required() else "section, optional", "", meaning)
            default = field.get_default(call_default_factory=True)
            yield from _walk(inner, f"{prefix}{name}.", default if isinstance(default, BaseModel) else None)
        else:
            default = _default(field) if standing is None else _shown(getattr(standing, name))
            yield (f"`{prefix}{name}`", _type(field), default, meaning)


def _parts(annotation: object) -> tuple[object, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _type(field: FieldInfo) -> str:
    names = [_name(part) for part in _parts(field.annotation) if part is not type(None)]
    bounds = [
        f"{sign} {getattr(one, kind)}" for one in field.metadata for kind, sign in _SIGNS.items() if hasattr(one, kind)
    ]
    return " or ".join(dict.fromkeys(names)) + (f", {', '.join(bounds)}" if bounds else "")


_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "at least"}
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", object: "anything"}


def _name(part: object) -> str:
    origin, arguments = typing.get_origin(part), typing.get_args(part)
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin is typing.Annotated:
        return _name(arguments[0])
    if origin is tuple:
        inner = _name(arguments[0])
        return f"list of {inner}" if arguments[-1] is Ellipsis else f"{len(arguments)} × {inner}"
    if origin is dict:
        return "key → value"
    return _WORDS.get(part, str(part))  # type: ignore[call-overload]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return _shown(field.get_default(call_default_factory=True))


def _shown(value: object) -> str:
    return "–" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
