"""What `dvc.yaml` watches of the code is what a stage imports, no less and no more."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

# Commands that a stage starts in processes of their own.
STARTED = {"students": ("student",)}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def file_of(module: str) -> Path | None:
    """`pipeline.a.b` → its file; None for a name within a module."""
    place = ROOT.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def nodes(tree: ast.AST):
    """All of a module but what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from nodes(node)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of the package that a file imports, wherever in it the import stands."""
    modules = set()
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found for one in modules if one.startswith("pipeline") and (found := file_of(one)))


def closure(start: Path) -> set[Path]:
    """All that a file imports, and what that imports; without the `__init__` files, which hold a sentence."""
    found, todo = set(), [start]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += imported(path)
    return {path for path in found if path.name != "__init__.py" or len(path.read_text().splitlines()) > 1}


def written(files: set[Path]) -> list[str]:
    """As `dvc.yaml` lists them: a folder where all of it is meant."""
    lines = set()
    for path in files:
        whole = [folder for folder in path.parents if folder.parent == ROOT / "pipeline" and set(folder.rglob("*.py"))]
        place = next((one for one in whole if one != ROOT and code(one) <= files), path)
        lines.add(f"      - {place.relative_to(ROOT)}")
    return sorted(lines)


def code(folder: Path) -> set[Path]:
    """The files below a folder that hold more than a sentence."""
    return {one for one in folder.rglob("*.py") if one.name != "__init__.py" or len(one.read_text().splitlines()) > 1}


def watched(stage: str) -> set[Path]:
    """The code that a stage's dependencies name, files of folders one by one."""
    files = set()
    for dependency in STAGES[stage]["deps"]:
        place = ROOT / dependency
        if dependency.startswith("pipeline/") and "data" not in place.parts:
            files |= {place} if place.is_file() else code(place)
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_watches_the_closure_of_its_imports(stage):
    expected = set().union(*(closure(ROOT / f"pipeline/stages/{name}.py") for name in (stage, *STARTED.get(stage, ()))))
    assert watched(stage) == expected, "\n".join([f"in dvc.yaml, the code of `{stage}` is:", *written(expected)])
