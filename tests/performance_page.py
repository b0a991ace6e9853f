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
            lines += [*_table(one, file.name), ""]
    return "\n".join([*lines, (FIGURES / "notes.md").read_text(encoding="utf-8")])


def _table(one: dict[str, Any], file: str) -> Iterator[str]:
    setting = one["setting"]
    how = f"{setting['precision']}{', compiled' if setting['compiled'] else ''}"
    yield f"## {setting['student']}, {setting['pictures']}, {setting['classes']} classes, {how}"
    yield f"On {setting['device']}; {setting['rounds']} rounds of {setting['steps a round']} steps (`{file}`)."
    yield ""
    yield "| | ms a step | |"
    yield "|---|---|---|"
    for name, times in one["sides"].items():
        middle, low, high = (1e3 * times[key] / setting["steps a round"] for key in ("median", "low", "high"))
        yield f"| {name} | {middle:.1f} | {low:.1f} to {high:.1f} |"
    for name, ratio in one["ratios"].items():
        yield f"| *{name}* | {ratio:.2f} | |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
