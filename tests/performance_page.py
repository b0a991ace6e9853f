"""`docs/performance.md`, made from `docs/benchmarks`: `python -m tests.performance_page` writes it, a test holds it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
FIGURES = DOCS / "benchmarks"


def page() -> str:
    """The whole page."""
    lines = [(FIGURES / "head.md").read_text(encoding="utf-8")]
    for file in sorted(FIGURES.glob("*.json")):
        for one in json.loads(file.read_text(encoding="utf-8")):
            lines += [f"## {_title(one['setting'])}", f"{_setting(one['setting'])} (`{file.name}`).", ""]
            lines += [*(_figures(one) if "figures" in one else _comparison(one)), ""]
    return "\n".join([*lines, (FIGURES / "notes.md").read_text(encoding="utf-8")])


def _title(setting: dict[str, Any]) -> str:
    if "student" not in setting:
        return ", ".join(
            [setting["what"].capitalize(), *([f"{setting['classes']} classes"] if "classes" in setting else [])]
        )
    how = f"{setting['precision']}{', compiled' if setting['compiled'] else ''}"
    return f"{setting['student']}, {setting['pictures']}, {setting['classes']} classes, {how}"


def _setting(setting: dict[str, Any]) -> str:
    if "student" in setting:
        return f"On {setting['device']}; {setting['rounds']} rounds of {setting['steps a round']} steps"
    told = [f"{value:,} {name}" if isinstance(value, int) else f"{name} {value}" for name, value in setting.items()]
    return ", ".join(told[1:])


def _comparison(one: dict[str, Any]) -> Iterator[str]:
    steps = one["setting"]["steps a round"] if "student" in one["setting"] else 1
    yield "| | ms | |"
    yield "|---|---|---|"
    for name, times in one["sides"].items():
        middle, low, high = (1e3 * times[key] / steps for key in ("median", "low", "high"))
        digits = 1 if middle >= 10 else 2
        yield f"| {name} | {middle:.{digits}f} | {low:.{digits}f} to {high:.{digits}f} |"
    for name, ratio in one["ratios"].items():
        yield f"| *{name}* | {ratio:.2f} | {_limit(one, name)} |"


def _figures(one: dict[str, Any]) -> Iterator[str]:
    yield "| | | |"
    yield "|---|---|---|"
    for name, figure in one["figures"].items():
        yield f"| {name} | {figure:.2f} | {_limit(one, name)} |"


def _limit(one: dict[str, Any], name: str) -> str:
    wanted = one.get("wanted", {})
    return f"at most {wanted[name]} wanted" if name in wanted else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
