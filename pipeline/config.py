"""Strict YAML configuration: one file, one frozen record; all faults of a file in one error. Knows no section."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from pipeline.errors import ConfigError, reason

# Beyond this a square overflows; of what overflows a network, training tells.
MOST = 1e100


class Section(BaseModel):
    """Base of all settings: frozen, and a key that it does not know is a fault. The line beneath a field says what it means."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _can_be_reckoned_with(cls, value: Any) -> Any:
        if isinstance(value, float) and abs(value) > MOST:
            raise ValueError(f"numbers of use are no larger than {MOST:g}")
        return value


SectionT = TypeVar("SectionT", bound=Section)


# What YAML makes of bare words such as `no`, `010` and `~`.
_KINDS = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}


class _Loader(yaml.SafeLoader):
    """YAML as DVC reads it too: a key twice is a fault, and 1e-3 is a number (YAML 1.2), not a string."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if merged := [key for key, _ in node.value if key.tag == "tag:yaml.org,2002:merge"]:
            raise yaml.MarkedYAMLError(
                problem="keys are not merged (`<<`) here; write them out", problem_mark=merged[0].start_mark
            )
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.MarkedYAMLError(problem=f"key `{twice.pop()}` stands twice", problem_mark=node.start_mark)
        if others := [key for key in keys if not isinstance(key, str)]:
            raise yaml.MarkedYAMLError(
                problem=f"YAML reads the key `{others[0]}` as {_KINDS.get(type(others[0]), 'no text')}; put it in quotes",
                problem_mark=node.start_mark,
            )
        return super().construct_mapping(node, deep)


# Octal and sexagesimal numbers of YAML 1.1, which YAML 1.2 (and so DVC) reads as others, or as words.
_OLD_NUMBER = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9_]+(:[0-9_.]+)+")


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    if _OLD_NUMBER.fullmatch(node.value):
        raise yaml.MarkedYAMLError(
            problem=f"`{node.value}` is another number to other readers of YAML; write it plainly, or in quotes if it is text",
            problem_mark=node.start_mark,
        )
    kind = node.tag.rpartition(":")[2]
    value: float = loader.construct_yaml_int(node) if kind == "int" else loader.construct_yaml_float(node)
    return value


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> object:
    """The plain data of a YAML file. Raises ConfigError where it is missing or malformed."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError as error:
        beside = sorted(p.name for p in path.parent.glob("*.yaml"))
        choices = f"; the files there are {', '.join(beside)}" if beside else ""
        raise ConfigError(f"{path}: no such file{choices}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML lets through what Python raises on numbers and keys that are none.
        raise ConfigError(f"{path}: not valid YAML ({reason(error)})") from error


def parse(data: object, section: type[SectionT], where: str) -> SectionT:
    """Plain data → settings. Raises ConfigError that begins with `where` and names every faulty key."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected keys with values, found {type(data).__name__}")
    try:
        text = json.dumps(data, default=str)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: a value contains itself, by an anchor (`&`) and its alias (`*`)") from error
    try:
        return section.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list whose every item is a fault is also told as too short.
        inner = {fault["loc"][:-1] for fault in found}
        told = [fault for fault in found if fault["type"] != "too_short" or fault["loc"] not in inner]
        faults = "; ".join(_sentence(fault, section) for fault in told)
        raise ConfigError(f"{where}: {' '.join(faults.split())}") from error


def load(path: Path, section: type[SectionT]) -> SectionT:
    """A whole file as one record."""
    return parse(read_yaml(path), section, str(path))


# Kinds of fault that pydantic tells in Python's words.
_EXPECTED = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected keys with values (`{}` for none)"),
    **dict.fromkeys(("tuple_type", "list_type"), "expected a list, in brackets"),
    "too_short": "expected one item at least",
}


def _sentence(fault: Mapping[str, Any], section: type[Section]) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(section.model_fields)
        at_top = len(fault["loc"]) == 1
        return f"`{key}` is not a key here" + (f" (known: {known})" if at_top else "")
    if fault["type"] == "missing":
        return f"`{key}` is missing"
    if fault["type"] == "string_type" and type(fault["input"]) in _KINDS:
        return f"`{key}` is {fault['input']!r}, as YAML reads this word as {_KINDS[type(fault['input'])]}; put it in quotes"
    message = _EXPECTED.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    # A whole section is told by its key alone.
    value = "" if isinstance(fault["input"], dict | list) else f" is {fault['input']!r}"
    return f"`{key}`{value}: {message}"
