"""Imports go one way: no room imports one that comes after it."""

import ast

import pytest

from tests.conftest import ROOT

# What each room may import. `errors`, `config`, `package`, `progress`, `records` and `writing` are open to all.
OPEN = {"errors", "config", "package", "progress", "records", "writing"}
ROOMS = {
    "errors": set(),
    "config": set(),
    "package": set(),
    "ending": set(),
    "progress": set(),
    "records": set(),
    "writing": set(),
    "provenance": set(),
    "journal": set(),
    "samples": set(),
    "engine": set(),
    "views": {"engine", "samples"},
    "teacher": {"engine", "samples", "views", "weights"},
    "cache": {"samples"},
    "matching": {"cache", "samples", "teacher", "views"},
    "recorded": {"cache", "samples", "views"},
    "replay": {"cache", "samples", "views"},
    "batches": {"engine"},
    "training_set": {"batches", "engine", "views"},
    "adapters": {"engine", "queries"},
    "losses": set(),
    "selection": {"batches", "student"},
    "averaging": {"student"},
    "optimiser": set(),
    "weights": set(),
    "domainbed": set(),
    "student": {"batches", "weights"},
    "methods": {"averaging", "batches", "losses", "samples", "selection", "student"},
    "evaluation": {"batches", "views"},
    "results": set(),
    "trials": {
        *("averaging", "evaluation", "methods", "optimiser", "results", "samples", "selection", "student", "teacher"),
    },
    "training": {
        *("batches", "engine", "evaluation", "losses", "optimiser", "results", "selection", "training_set", "trials"),
    },
    "experiment": {"averaging", "methods", "samples", "selection", "student", "teacher", "trials"},
    "stage_one": {"cache", "engine", "matching", "provenance", "recorded", "replay", "samples", "teacher", "views"},
    "stage_two": {
        *(
            "adapters",
            "averaging",
            "batches",
            "cache",
            "engine",
            "evaluation",
            "experiment",
            "matching",
            "methods",
            "provenance",
            "recorded",
            "replay",
            "results",
        ),
        *("samples", "student", "teacher", "training", "training_set", "trials", "views", "weights"),
    },
    "report": {"cache", "domainbed", "samples", "trials"},
    "finished": {
        "batches",
        "cache",
        "engine",
        "journal",
        "losses",
        "methods",
        "samples",
        "student",
        "teacher",
        "trials",
        "views",
        "weights",
    },
    "project": {"cache", "engine", "experiment", "queries", "samples", "student", "teacher", "views"},
    "queries": {"cache", "samples", "teacher"},
    "icons": {"samples", "teacher"},
    "timing": {
        *("batches", "cache", "engine", "evaluation", "losses", "methods", "recorded", "replay", "report"),
        *(
            "results",
            "samples",
            "stage_one",
            "stage_two",
            "student",
            "teacher",
            "training",
            "training_set",
            "trials",
            "views",
        ),
    },
}
ROOMS["stages"] = set(ROOMS)
ROOMS["cluster"] = {"cache", "engine", "experiment", "stage_one", "stages", "teacher", "trials", "views"}
ROOMS["api"] = {
    "cache",
    "cluster",
    "engine",
    "experiment",
    "finished",
    "queries",
    "report",
    "samples",
    "stage_one",
    "stages",
}
ROOMS["cli"] = {"api", "cluster", "ending", "experiment", "stages"}


def imports(path) -> set[str]:
    """The rooms of `pipeline` that a file imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pipeline":
            parts = node.module.split(".")[1:2]
            found |= set(parts) if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pipeline.")}
    return found


FILES = sorted((ROOT / "pipeline").rglob("*.py"))


def room_of(path) -> str:
    return path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")


def test_the_walk_finds_the_project():
    assert len(FILES) > 40
    assert {room_of(path) for path in FILES} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(path):
    room = room_of(path)
    if room != "__init__":
        assert imports(path) - {room} <= ROOMS[room] | OPEN


def test_stage_two_needs_neither_teacher_network_nor_open_clip():
    for path in ("pipeline/stages/student.py", "pipeline/matching.py", "pipeline/stage_two/data.py"):
        assert "open_clip" not in (ROOT / path).read_text().replace("without open_clip", "")
