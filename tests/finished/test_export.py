"""`scmd export`: files that other runtimes read, each answering as the student does, and the card that comes with them."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image

from pipeline import api
from pipeline.errors import InputError
from pipeline.finished import exporting
from pipeline.finished import onnx as our_onnx
from pipeline.finished import student as students
from tests.conftest import ENVIRONMENT, change, files, ok, once, process_scmd, refused

SCMD = "results/trials/small/ink/scmd/hparams-0/trial-0"
VL2V = "results/trials/small/ink/vl2v_adip/hparams-0/trial-0"
ALL = ("--format", "onnx", "--format", "torch", "--format", "int8")


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """A project with an export of every format; never changed."""

    def make(folder):
        shutil.copytree(trained, folder)
        (folder / "said").write_text(ok("export", "--student", SCMD, *ALL, cwd=folder))

    return once(tmp_path_factory, "exported", make)


def pictures(project, count: int) -> np.ndarray:
    paths = sorted((project / "images").rglob("*.png"))
    images = [Image.open(path).convert("RGB").resize((24, 24), Image.Resampling.BILINEAR) for path in paths]
    return np.stack([np.asarray(images[at % len(images)]) for at in range(count)])


def expected(folder, images: np.ndarray) -> np.ndarray:
    """Logits by the student's own network, prepared here by hand."""
    one = students.load(folder, torch.device("cpu"))
    numbers = one.card.preprocessing.normalise
    prepared = (images / 255 - np.array(numbers.mean)) / np.array(numbers.std)
    with torch.no_grad():
        return one.shipped(torch.from_numpy(prepared).permute(0, 3, 1, 2).float()).numpy()


def test_everything_is_there_and_said(exported):
    names = {path.name for path in (exported / "export").iterdir()}
    assert names == set(exporting.FILES)
    said = (exported / "said").read_text()
    assert re.search(r"student\.onnx: logits agree with PyTorch's to \de-\d+ in batches of 1, 3, 64", said)
    assert re.search(r"int8: [\d.]+%, [\d.]+ ms a picture alone", said)
    for name in ("student.safetensors", "projection.safetensors", "card.json"):
        assert (exported / "export" / name).read_bytes() == (exported / SCMD / name).read_bytes()


@pytest.mark.parametrize("batch", [1, 3, 5, 64])
def test_onnx_and_torch_answer_as_the_student_in_batches_of_any_size(exported, batch):
    images = pictures(exported, batch)
    logits = expected(exported / SCMD, images)
    session = onnxruntime.InferenceSession(exported / "export/student.onnx")
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert np.abs(session.run(["logits"], {"images": images})[0] - logits).max() < 1e-4
    extra = {"classes": ""}
    program = torch.export.load(exported / "export/student.pt2", extra_files=extra).module()
    assert json.loads(extra["classes"]) == ["disc", "square"]
    with torch.no_grad():
        assert np.abs(program(torch.from_numpy(images)).numpy() - logits).max() < 1e-4


def test_the_opset_is_the_stated_one_and_int8_holds_eight_bits(exported):
    made = onnx.load(exported / "export/student.onnx")
    assert [one.version for one in made.opset_import if one.domain == ""] == [our_onnx.OPSET]
    small = onnx.load(exported / "export/student.int8.onnx")
    for one in (made, small):
        assert {"classes": '["disc", "square"]'}.items() <= {
            prop.key: prop.value for prop in one.metadata_props
        }.items()
    weights = [one for one in small.graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4]
    assert len(weights) > 5
    sizes = [(exported / "export" / name).stat().st_size for name in ("student.onnx", "student.int8.onnx")]
    assert sizes[1] < 0.4 * sizes[0]


def test_the_model_card_is_the_hubs_form_and_says_what_the_trial_did(exported):
    text = (exported / "export/README.md").read_text()
    _, head, body = text.split("---\n", 2)
    metadata = yaml.safe_load(head)
    card = json.loads((exported / SCMD / "card.json").read_text())
    (result,) = metadata["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == round(card["metrics"]["accuracy"], 4)
    assert metadata["library_name"] == "timm"
    assert f"| ink | held out | **{100 * card['accuracies']['ink_in']:.1f}** |" in body
    assert f"| clay | trained on, chosen by | {100 * card['accuracies']['clay_in']:.1f} |" in body
    assert card["teacher"]["weights_sha256"] in body
    assert card["teacher_cache"] in body
    assert "started from random weights" in body
    assert re.search(r"\| int8 \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", body)
    for name, said in exporting.FILES.items():
        assert f"| `{name}` | {said} |" in body


# Runs the card's own lines on pictures, with nothing of this package.
OUTSIDE = r"""
import json, pathlib, re, sys
import numpy as np
prepare, load, answer = re.findall(r"```python\n(.*?)```", pathlib.Path("README.md").read_text(), re.S)
assert len(load.strip().splitlines()) == 5
exec(prepare.replace("image.jpg", "../images/clay/disc/0.png"))
assert np.abs(images[0].numpy() - np.load(sys.argv[1])[0]).max() < 1e-6
images = torch.from_numpy(np.load(sys.argv[1]))
with torch.no_grad():
    exec(load)
exec(answer)
assert "pipeline" not in sys.modules
np.save(sys.argv[2], logits.numpy())
"""


@pytest.mark.parametrize("trial", [SCMD, VL2V])
def test_five_lines_of_timm_and_safetensors_load_the_student(trained, tmp_path, trial):
    project = shutil.copytree(trained, tmp_path / "project")
    if trial == VL2V:
        change(project, "experiment.yaml", methods={"erm": {}, "vl2v_adip": {}, "scmd": {"hard_fraction": 0.5}})
        ok("student", "--held-out", "ink", "--method", "vl2v_adip", cwd=project)
    ok("export", "--student", trial, "--to", "mine", cwd=project)
    images = pictures(project, 7)
    one = students.load(project / trial, torch.device("cpu"))
    numbers = one.card.preprocessing.normalise
    prepared = (images / 255 - np.array(numbers.mean)) / np.array(numbers.std)
    np.save(tmp_path / "in.npy", prepared.transpose(0, 3, 1, 2).astype(np.float32))
    command = [sys.executable, "-c", OUTSIDE, str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=project / "mine", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    logits = expected(project / trial, images)
    assert np.abs(np.load(tmp_path / "out.npy") - logits).max() < 1e-4
    assert done.stdout.strip() == ("disc", "square")[logits[0].argmax()]
    assert not (project / "mine/student.onnx").exists()


def test_an_export_is_replaced_by_the_next_and_other_folders_are_left_alone(exported, tmp_path):
    project = shutil.copytree(exported, tmp_path / "project")
    ok("export", "--student", SCMD, cwd=project)
    assert {path.name for path in (project / "export").iterdir()} == {
        *("student.safetensors", "projection.safetensors", "card.json", "README.md")
    }
    before = sorted((project / "configs").rglob("*"))
    assert "which no export left there" in refused("export", "--student", SCMD, "--to", "configs", cwd=project)
    assert "name a folder" in refused("export", "--student", SCMD, "--to", "configs/experiment.yaml", cwd=project)
    assert sorted((project / "configs").rglob("*")) == before
    # What was exported is itself a student.
    assert "disc" in ok("predict", "images/ink", "--student", "export", "--workers", "0", cwd=project)


def test_a_student_of_another_data_set_is_refused(trained, tmp_path):
    project = shutil.copytree(trained, tmp_path / "project")
    card = project / SCMD / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "samples": "0" * 64}))
    told = refused("export", "--student", SCMD, "--format", "onnx", cwd=project)
    assert "a student of `toy` as its images were then; those of the experiment (`toy`) are others" in told
    assert not (project / "export").exists()
    ok("export", "--student", SCMD, cwd=project)


def test_formats_without_images_or_that_are_none_are_refused(trained, tmp_path):
    for formats, told in ((["onnx"], "name the experiment"), (["tflite"], "format `tflite` is none")):
        with pytest.raises(InputError, match=told):
            api.export_student(trained / SCMD, tmp_path / "out", formats)
    assert not list(tmp_path.iterdir())


def test_an_export_behind_a_link_is_replaced_in_its_place(trained, tmp_path):
    project = shutil.copytree(trained, tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    (project / "export").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        ok("export", "--student", SCMD, cwd=project)
        assert sorted(files(tmp_path / "elsewhere")) == sorted(
            ["student.safetensors", "projection.safetensors", "card.json", "README.md"]
        )


def test_names_are_text_in_the_model_card_and_run_nothing(trained, tmp_path):
    project = shutil.copytree(trained, tmp_path / "project")
    path = project / SCMD / "card.json"
    card = json.loads(path.read_text())
    card["dataset"] = "a|b # <script>alert(1)</script>"
    card["network"]["arguments"] = {"num_classes": "0); __import__('os').system('true') #"}
    path.write_text(json.dumps(card))
    ok("export", "--student", SCMD, cwd=project)
    text = (project / "export/README.md").read_text()
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "a\\|b \\# \\<script\\>" in body
    assert "__import__" not in text
    assert yaml.safe_load(text.split("---\n", 2)[1])["datasets"] == [card["dataset"]]


def test_onnx_that_answers_otherwise_is_not_kept(exported, tmp_path, monkeypatch):
    project = shutil.copytree(exported, tmp_path / "project")
    before = files(project / "export")
    monkeypatch.setattr(our_onnx, "TOLERANCE", 0.0)
    told = refused("export", "--student", SCMD, "--format", "onnx", cwd=project)
    assert re.search(r"differ from PyTorch's by \S+ of the largest .*; use the safetensors with timm", told)
    assert files(project / "export") == before
    assert not list(project.glob(".export*"))


def test_without_the_extra_it_says_what_to_install(trained, tmp_path):
    block = tmp_path / "blocked"
    block.mkdir()
    (block / "onnxruntime.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'onnxruntime'\", name='onnxruntime')"
    )
    done = process_scmd(
        *("export", "--student", SCMD, "--to", str(tmp_path / "out"), "--format", "onnx"),
        cwd=trained,
        env={"PYTHONPATH": f"{block}:{ENVIRONMENT['PYTHONPATH']}"},
    )
    assert done.returncode == 1
    assert not list(tmp_path.glob("*out*"))
    assert "scmd: `onnxruntime` is not installed; run `pip install 'scmd[export]'`" in done.stderr


def test_a_network_that_an_exporter_cannot_take_is_one_sentence(exported, tmp_path, monkeypatch):
    project = shutil.copytree(exported, tmp_path / "project")

    def write(*_):
        raise AssertionError("no such operator")

    monkeypatch.setattr(our_onnx, "write", write)
    told = refused("export", "--student", SCMD, "--format", "onnx", cwd=project)
    assert (
        "`test_resnet` cannot be written as onnx (AssertionError: no such operator); use its safetensors with timm"
        in told
    )
