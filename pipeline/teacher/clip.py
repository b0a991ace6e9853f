"""A frozen open_clip model: pictures and texts → embeddings, and the facts that determine them."""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import ToTensor

from pipeline import weights
from pipeline.errors import InputError, ResourceError, TeacherError, is_out_of_memory, reason
from pipeline.teacher.prompts import texts
from pipeline.teacher.settings import (
    LOCAL,
    Preprocess,
    TeacherSettings,
    digest,
    local_folder,
    named_file,
    stated,
    weights_file,
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class CleanView:
    """View 0: open_clip's own evaluation preprocessing up to pixels. RGB image → (size, size, 3) uint8."""

    transforms: tuple[Any, ...]

    def __call__(self, image: Image.Image) -> np.ndarray:
        for transform in self.transforms:
            image = transform(image)
        return np.asarray(image)


@dataclass(frozen=True)
class Clip:
    """`facts` is plain data for a cache's identity: weights digest, open_clip's model settings, preprocessing. The image tower
    computes in `precision`."""

    model: Any
    preprocess: Any
    tokenize: Any
    facts: dict[str, Any]
    device: torch.device
    precision: torch.dtype

    @cached_property
    def size(self) -> int:
        """The side of the square input, in pixels."""
        side = self.model.visual.image_size
        return int(side[0] if isinstance(side, tuple | list) else side)

    @cached_property
    def logit_scale(self) -> float:
        """exp of the trained log scale: 100 for OpenAI's models."""
        return float(self.model.logit_scale.exp())

    @cached_property
    def clean(self) -> "CleanView":
        """What makes view 0; it holds no network, so that it can be sent to workers."""
        return CleanView(
            tuple(itertools.takewhile(lambda one: not isinstance(one, ToTensor), self.preprocess.transforms))
        )

    def encode_images(self, pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
        """(B, size, size, 3) uint8 → (B, D) float16, not normalised. Raises ResourceError where memory runs out."""
        return np.asarray(self.send(torch.from_numpy(np.ascontiguousarray(pixels)), mean, std).cpu())

    @torch.inference_mode()
    def send(self, pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """(B, size, size, 3) uint8 on the host → (B, D) float16 on the device, not normalised; a GPU is not waited for, and
        `pixels` must stay as they are until the features are fetched. Raises ResourceError where memory runs out."""
        try:
            batch = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
            shift, scale = (_constant(values, self.device)[:, None, None] for values in (mean, std))
            half = torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
            with _real_float32(), half:
                features: Tensor = self.model.encode_image((batch - shift) / scale)
            return features.half()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ResourceError(
                f"out of memory with {len(pixels)} pictures at once; set a smaller `batch` in the teacher's configuration"
            ) from error

    @torch.inference_mode()
    def encode_texts(self, texts: list[list[str]]) -> np.ndarray:
        """(P, C) texts → (P, C, D) float32, not normalised."""
        with _real_float32():
            return np.stack(
                [self.model.encode_text(self.tokenize(row).to(self.device)).float().cpu().numpy() for row in texts]
            )

    def require_distinct(self, templates: Sequence[str], classes: Sequence[str]) -> None:
        """Raises TeacherError where a prompt is longer than the text context, or two classes become the same tokens."""
        tokens = []
        for template, row in zip(templates, texts(templates, classes), strict=True):
            tokens.append(self.tokenize(row))
            room = tokens[-1].shape[1]
            longer = self.tokenize(row, context_length=4 * room)
            # Where something was cut off, the last token is another, or something other than padding follows.
            cut = (longer[:, :room] != tokens[-1]).any(1) | (longer[:, room:] != longer[:, -1:]).any(1)
            if cut.any():
                name = classes[int(cut.nonzero()[0])]
                raise TeacherError(
                    f"the prompt of class `{name}` by template {template!r} is longer than the text context of the teacher "
                    f"({room} tokens) and would be cut; shorten the template, or the class's name"
                )
        every = torch.stack(tokens, 1)
        for one, other in itertools.combinations(range(len(classes)), 2):
            if torch.equal(every[one], every[other]):
                raise TeacherError(
                    f"classes `{classes[one]}` and `{classes[other]}` are the same tokens to the teacher; make one of them, "
                    "or rename one"
                )

    @property
    def own_mean(self) -> tuple[float, ...]:
        """By which the teacher's own preprocessing normalises."""
        return tuple(self.facts["preprocess"]["mean"])

    @property
    def own_std(self) -> tuple[float, ...]:
        """By which the teacher's own preprocessing normalises."""
        return tuple(self.facts["preprocess"]["std"])


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Kept: to bring values to a GPU waits for all that it has to do."""
    return torch.tensor(values, device=device)


@contextmanager
def _real_float32() -> Iterator[None]:
    """A GPU would round the factors of float32 products to 19 bits (TF32), by default in convolutions."""
    libraries: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [library.allow_tf32 for library in libraries]
    for library in libraries:
        library.allow_tf32 = False
    try:
        yield
    finally:
        for library, one in zip(libraries, before, strict=True):
            library.allow_tf32 = one


def load(settings: TeacherSettings, device: torch.device) -> Clip:
    """Loads and checks a teacher. Raises TeacherError where it is missing or would silently be another one."""
    model = settings.model
    if model.startswith(LOCAL):
        file = _local_weights(model)
        source: dict[str, Any] = {"model_name": f"{LOCAL}{file.parent}"}
    else:
        source, file = _named(model, settings.weights, settings.preprocess)
    try:
        network, _, transform = open_clip.create_model_and_transforms(**source, precision="fp32", device=device)
        tokenize = open_clip.get_tokenizer(source["model_name"])
    except Exception as error:
        # For a configuration or weights that are not theirs, open_clip and torch raise all kinds, assertions among them.
        if is_out_of_memory(error):
            raise
        raise TeacherError(f"teacher `{model}`: {_what_is_wrong(file, error)}") from error
    network.eval().requires_grad_(False)
    _require_usable(model, network)
    known = stated(settings)
    facts = {
        **known,
        "weights_sha256": known.get("weights_sha256") or digest(file),
        "settings": _model_settings(model),
        "preprocess": {key: _plain(value) for key, value in vars_of(network.visual.preprocess_cfg).items()},
        "transform": repr(transform),
        "embedding": int(network.encode_text(tokenize(["x"]).to(device)).shape[1]),
    }
    return Clip(network, transform, tokenize, facts, device, getattr(torch, settings.precision))


def _what_is_wrong(file: Path, error: Exception) -> str:
    """What the file is where it is none of weights, else what open_clip says."""
    try:
        weights.read(file)
    except InputError as found:
        return str(found)
    return f"open_clip cannot load it ({reason(error)})"


def _require_usable(model: str, network: Any) -> None:
    """Square pictures, and logits that half precision holds."""
    scale = float(network.logit_scale.exp())
    if not math.isfinite(scale):
        raise TeacherError(f"teacher `{model}`: its logit scale is no number; its weights are damaged")
    smallest, largest = float(np.finfo(np.float16).smallest_normal), float(np.finfo(np.float16).max)
    if not smallest <= scale <= largest:
        raise TeacherError(
            f"teacher `{model}`: its logit scale of {scale:.3g} makes logits that half precision does not hold "
            f"({smallest:.2g} to {largest:.0f}); choose another teacher"
        )
    side = network.visual.image_size
    if isinstance(side, tuple | list) and side[0] != side[1]:
        raise TeacherError(
            f"teacher `{model}` takes pictures of {side[0]} × {side[1]} pixels; only square ones are made here: choose another"
        )


def vars_of(config: object) -> dict[str, Any]:
    """A configuration of open_clip's as a dictionary, whichever of its kinds it is."""
    return dict(config) if isinstance(config, dict) else vars(config)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _local_weights(model: str) -> Path:
    folder, file = local_folder(model), weights_file(model, None)
    if file is None or not (folder / "open_clip_config.json").is_file():
        raise TeacherError(
            f"teacher `{model}`: {folder} must hold open_clip_config.json and open_clip_model.safetensors, and does not"
        )
    return file


def _named(model: str, named: str | Path | None, preprocess: Preprocess | None) -> tuple[dict[str, Any], Path]:
    """open_clip's arguments and the weights file of a built-in architecture."""
    scheme, _, rest = model.partition(":")
    if rest:
        raise TeacherError(
            f"teacher `{model}`: models by `{scheme}:` are not read, as what they are can change; download the folder "
            f"(`hf download {rest} --local-dir FOLDER`) and set `model: {LOCAL}FOLDER`"
        )
    if open_clip.get_model_config(model) is None:
        raise TeacherError(f"teacher `{model}` is no architecture of open_clip; `open_clip.list_models()` lists them")
    if named is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise TeacherError(f"teacher `{model}` needs `weights`: a file, or one of open_clip's tags ({tags})")
    if (file := named_file(named)).is_file():
        return _bare_file(model, file, preprocess)
    tag = open_clip.get_pretrained_cfg(model, str(named))
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise TeacherError(f"teacher `{model}`: `weights: {named}` is neither a file nor one of its tags ({tags})")
    if bool(tag.get("quick_gelu")) != bool(open_clip.get_model_config(model).get("quick_gelu")):
        raise TeacherError(
            f"teacher `{model}` with `weights: {named}` would run with another activation (QuickGELU) than it was "
            f"trained with and give wrong embeddings; {_of_other_activation(model)}"
        )
    return {"model_name": model, "pretrained": str(named)}, _download(model, str(named), tag)


def _of_other_activation(model: str) -> str:
    other = model.removesuffix("-quickgelu") if model.endswith("-quickgelu") else f"{model}-quickgelu"
    if open_clip.get_model_config(other) is not None:
        return f"set `model: {other}`"
    return "download the weights and name the file, with `preprocess` that says `quick_gelu`"


def _bare_file(model: str, file: Path, preprocess: Preprocess | None) -> tuple[dict[str, Any], Path]:
    if preprocess is None:
        raise TeacherError(
            f"teacher `{model}`: the weights file {file} does not say how its input is prepared; add `preprocess` "
            "(mean, std, interpolation, resize_mode, quick_gelu) or use a `local-dir:` folder"
        )
    source = {
        "model_name": model,
        "pretrained": str(file),
        "force_quick_gelu": preprocess.quick_gelu,
        "image_mean": preprocess.mean,
        "image_std": preprocess.std,
        "image_interpolation": preprocess.interpolation,
        "image_resize_mode": preprocess.resize_mode,
    }
    return source, file


def _download(model: str, weights: str, tag: dict[str, Any]) -> Path:
    try:
        return Path(open_clip.download_pretrained(tag))
    except Exception as error:
        # Hub, proxy and socket layers each have exceptions of their own; to the user they are one thing.
        raise TeacherError(
            f"teacher `{model}`: the weights `{weights}` are not on this machine and cannot be downloaded "
            f"({type(error).__name__}: {reason(error)}); without a network, set `weights` to a local file or `model` to a "
            "`local-dir:` folder"
        ) from error


def _model_settings(model: str) -> dict[str, Any]:
    if model.startswith(LOCAL):
        return dict(json.loads((local_folder(model) / "open_clip_config.json").read_text())["model_cfg"])
    return dict(open_clip.get_model_config(model))
