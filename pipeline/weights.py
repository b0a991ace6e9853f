"""A file of weights → named tensors, or what the file is instead. Nothing in a file is executed."""

import json
import pickle
import re
import shlex
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.errors import InputError, is_out_of_memory

# Where training runs keep the table of tensors in what they save; the averaged ones are preferred.
_TABLES = ("state_dict_ema", "model_ema", "state_dict", "model")
# What wrappers of a training run write before each name.
_WRAPPERS = ("_orig_mod.", "module.")
# How a user gets at the tensors of files that are not read here; `f` is the file.
_SCRIPT = 'torch.jit.load(f, map_location="cpu").state_dict()'
_PICKLE = (
    '(lambda d: d.state_dict() if hasattr(d, "state_dict") else next((d[k] for k in ("state_dict", "model") if k in d), d))'
    '(torch.load(f, map_location="cpu", weights_only=False))'
)

# What the libraries raise on files that are none of theirs, or damaged.
_DAMAGE = (
    *(pickle.UnpicklingError, SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError),
    *(TypeError, AttributeError, AssertionError, ArithmeticError, zipfile.BadZipFile),
)


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of one by `torch.save` with tensors alone, without a training run's wrappers.

    Raises InputError that says what the file is where it is none of these, or has numbers that are not finite.
    """
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no such file"
        raise InputError(f"{file}: {what}, where a file of weights is expected")
    tensors = _unwrapped(_loaded(file), file)
    for name, tensor in tensors.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            raise InputError(f"{file}: `{name}` is no plain tensor of numbers; save the weights as such")
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise InputError(f"{file}: `{name}` has numbers that are not finite; these weights are damaged")
    return tensors


def _loaded(file: Path) -> Any:
    with file.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{file}: a Git LFS pointer and not the file itself; run `git lfs pull`")
    if _is_script(file):
        raise InputError(
            f"{file}: a TorchScript archive, which holds a program; convert it: {_conversion(file, _SCRIPT)}"
        )
    try:
        if start[8:9] == b"{":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles: it loads, or is an error
            with file.open("rb") as stream:  # by its content: a path's suffix would decide
                return torch.load(stream, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        if is_out_of_memory(error):
            raise
        if foreign := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"{file}: not tensors alone, as it has a {foreign[1]}, and opening it could run what it holds; if you trust "
                f"who made it, convert it: {_conversion(file, _PICKLE)}"
            ) from error
        # Not torch's own words, which advise to turn its safety off.
        raise InputError(f"{file}: neither safetensors nor a file by torch.save, or cut short") from error


def _is_script(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(("/constants.pkl", "/code/")) or "/code/" in name for name in archive.namelist())
    except _DAMAGE:
        return False


def _conversion(file: Path, tensors: str) -> str:
    """A command that writes the tensors beside the file, as safetensors."""
    made = str(file.with_suffix(".safetensors"))
    program = (
        f"import torch; from safetensors.torch import save_file; f = {json.dumps(str(file))}; "
        f"save_file({{k: v.clone().contiguous() for k, v in {tensors}.items() if torch.is_tensor(v)}}, {json.dumps(made)})"
    )
    return shlex.join(["python", "-c", program])


def _unwrapped(loaded: Any, file: Path) -> dict[str, Tensor]:
    if isinstance(loaded, dict):
        tables = [name for name in _TABLES if isinstance(loaded.get(name), dict)]
        if {"state_dict", "model"} <= set(tables):
            raise InputError(
                f"{file}: holds two tables of weights, `state_dict` and `model`; save the one that is meant"
            )
        loaded = loaded[tables[0]] if tables else loaded
    named = isinstance(loaded, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items())
    if not named or not loaded:
        raise InputError(f"{file}: holds no table of named tensors, as a network's weights are")
    tensors = {}
    for name, tensor in loaded.items():
        for wrapper in _WRAPPERS * 2:
            name = name.removeprefix(wrapper)
        if name in tensors:
            raise InputError(f"{file}: holds `{name}` twice, with and without the prefix of a training run")
        tensors[name] = tensor
    return tensors
