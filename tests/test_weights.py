"""Files of weights as people keep them: what is read, and what a file is where it is not."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import weights
from pipeline.errors import InputError

TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


def same(tensors):
    return tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


class Doubled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)


def scripted(file):
    torch.jit.save(torch.jit.script(Doubled()), file)


def with_arguments(file):
    torch.save({"state_dict": TENSORS, "args": argparse.Namespace(lr=1)}, file)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: save_file(TENSORS, file),
        lambda file: torch.save(TENSORS, file),
        lambda file: torch.save(TENSORS, file, _use_new_zipfile_serialization=False),
        lambda file: torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in TENSORS.items()}}, file),
        lambda file: torch.save({f"module._orig_mod.{k}": v for k, v in TENSORS.items()}, file),
        lambda file: torch.save({"state_dict": {"other": torch.ones(1)}, "state_dict_ema": TENSORS}, file),
    ],
    ids=["safetensors", "torch", "legacy", "training", "compiled", "averaged"],
)
def test_tensors_come_out_whatever_a_training_run_wraps_them_in(tmp_path, write):
    write(tmp_path / "weights.safetensors")  # whatever it is called
    assert same(weights.read(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (scripted, "a TorchScript archive, which holds a program; convert it: python -c"),
        (with_arguments, r"as it has a argparse.Namespace, .*if you trust who made it, convert it: python -c"),
        (lambda file: file.mkdir(), "a folder, where a file of weights is expected"),
        (Path, "no such file, where a file of weights is expected"),
        (lambda file: file.write_bytes(b""), "neither safetensors nor a file by torch.save, or cut short"),
        (lambda file: file.write_bytes(b"<html>" * 99), "neither safetensors nor a file by torch.save, or cut short"),
        (lambda file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "run `git lfs pull`"),
        (lambda file: torch.save([1, 2], file), "holds no table of named tensors"),
        (lambda file: torch.save({}, file), "holds no table of named tensors"),
        (lambda file: torch.save({0: torch.ones(1)}, file), "holds no table of named tensors"),
        (lambda file: torch.save({"state_dict": TENSORS, "model": TENSORS}, file), "holds two tables of weights"),
        (lambda file: torch.save({"a": torch.ones(1), "module.a": torch.zeros(1)}, file), "holds `a` twice"),
        (lambda file: torch.save({"a": torch.ones(1, device="meta")}, file), "`a` is no plain tensor of numbers"),
        (lambda file: torch.save({"a": torch.eye(2).to_sparse()}, file), "`a` is no plain tensor of numbers"),
        (lambda file: save_file({"a": torch.tensor([1.0, float("nan")])}, file), "`a` has numbers that are not finite"),
    ],
)
def test_another_file_is_told_as_what_it_is(tmp_path, write, told):
    write(tmp_path / "weights.pt")
    with pytest.raises(InputError, match=told):
        weights.read(tmp_path / "weights.pt")


@pytest.mark.parametrize("length", [1, 7, 9, 40, 100, -3])
@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "torch"])
def test_a_file_cut_anywhere_is_refused(tmp_path, save, length):
    file = tmp_path / "weights"
    save(TENSORS, file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(InputError, match="or cut short"):
        weights.read(file)


def as_deit_does(file):
    torch.save({"model": TENSORS, "args": argparse.Namespace(lr=1)}, file)


@pytest.mark.parametrize("write", [scripted, with_arguments, as_deit_does])
def test_the_conversion_that_is_told_works(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "it's mine.pt")
    with pytest.raises(InputError) as refused:
        weights.read(tmp_path / "it's mine.pt")
    command = str(refused.value).split("convert it: python ")[1]
    subprocess.run(f"{sys.executable} {command}", shell=True, check=True)
    assert load_file(tmp_path / "it's mine.safetensors").keys() == TENSORS.keys()
