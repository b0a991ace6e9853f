"""`docs/methods.md`, made from the methods' own words and `docs/references.csv`: `python -m tests.methods_page` writes it."""

import csv
import json

from pipeline.methods import METHODS, NAMED
from pipeline.stages.methods import read_by, said
from tests.performance_page import DOCS

PAGE = DOCS / "methods.md"
REFERENCES = DOCS / "references.csv"
STATES = {
    "runs": "runs:",
    "not yet": "can be learnt from a cache exactly; not written yet",
    "teacher": "a choice of teacher: its weights in open_clip's form, or the text embeddings that it gives",
    "cannot": "cannot:",
    "data set": "a data set",
    "survey or theory": "a survey, a bound or a benchmark of others",
    "other field": "of another field:",
}
HEAD = """\
# Methods

All learn from the same cache, views, initial weights and protocol: `scmd methods` lists them, `scmd methods rkd` shows one's
formula and settings ([all of them](settings.md)), `methods` of an experiment names those that it compares.

| name | family | needs | what and whose |
|---|---|---|---|
"""
LIST = """
## The reference list
Every reference of the plan that this project began with, and whether it can be compared here. A cache has, of each image
and view, the teacher's features and logits, and the class texts: what needs more of the teacher cannot learn from it.

| reference | year | what | here |
|---|---|---|---|
"""


def references() -> list[dict[str, str]]:
    with REFERENCES.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """The whole page."""
    methods = [
        f"| `{name}` | {one.family} | {', '.join(read_by(one)) or 'no teacher'} | {cell(said(one)[0])} |\n"
        for name, one in METHODS.items()
    ]
    names = [
        f"| `{name}` | {METHODS[method].family} | as `{method}` | `{method}` with `{cell(json.dumps(given))}` |\n"
        for name, (method, given) in NAMED.items()
    ]
    listed = [
        f"| {one['reference']} | {one['year']} | {cell(one['what'])} | {STATES[one['state']]} {one['by']}".rstrip()
        + " |\n"
        for one in references()
    ]
    return "".join([HEAD, *methods, *names, LIST, *listed])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
