"""`docs/api.md` runs, and its functions are the commands' own."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys

import pytest

from pipeline import api
from pipeline.errors import InputError
from tests.conftest import ENVIRONMENT, ROOT, change

NAMES = [
    name
    for name, one in vars(api).items()
    if inspect.isfunction(one) and one.__module__ == api.__name__ and not name.startswith("_")
]


def test_every_block_of_the_page_runs(project, tmp_path):
    page = (ROOT / "docs/api.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 3
    change(project, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["scmd"], "trial": [0]})
    environment = {**ENVIRONMENT, "XDG_CACHE_HOME": str(tmp_path / "kept")}
    command = [sys.executable, "-W", "error::UserWarning:pipeline", "-c", "\n".join(blocks)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "36 ('clay', 'ink', 'neon') ('disc', 'square')" in done.stdout
    assert len(re.findall(r"^images/\S+\.png \(\('", done.stdout, re.M)) == 36
    assert "'star'" in done.stdout
    assert (project / "export/README.md").is_file()


def test_the_page_shows_every_function():
    page = (ROOT / "docs/api.md").read_text()
    assert len(NAMES) >= 12
    assert [name for name in NAMES if f"api.{name}(" not in page] == []


def test_every_function_is_typed_and_told():
    for name in NAMES:
        one = getattr(api, name)
        assert "Raises" in inspect.getdoc(one) or name == "find_duplicates"
        hints = inspect.signature(one)
        assert hints.return_annotation is not inspect.Signature.empty
        assert all(parameter.annotation is not inspect.Parameter.empty for parameter in hints.parameters.values())


def test_the_commands_use_it():
    called = {
        node.func.attr
        for node in ast.walk(ast.parse((ROOT / "pipeline/cli.py").read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "api"
    }
    # The others ask what the commands print: `predict`, `cache search|duplicates`, and the two that only open.
    asked = {"predict", "search", "find_duplicates", "load_student", "open_cache"}
    assert called == set(NAMES) - asked


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys; from pipeline import api; print(sorted({'torch', 'numpy', 'faiss', 'zarr'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_new_classes_without_an_experiment_are_refused(trained, tmp_path, monkeypatch):
    project = shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(project)
    student = api.load_student(str(project / "results/trials/small/ink/scmd/hparams-0/trial-0"))
    with pytest.raises(InputError, match="new classes are spoken by a teacher"):
        api.predict(student, [], classes=["a", "b"])
    with pytest.raises(InputError, match="is one path, and a list of them is wanted"):
        api.predict(student, "images")
    assert os.getcwd() == str(project)
