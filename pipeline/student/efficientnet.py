"""EfficientNet-Lite's published weights → timm's names: the same tensors, under names that differ, in the same order."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

# The layers of a block in the order in which a picture passes them, by their published names.
_BLOCK = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
_ENDS = {"_conv_stem": (0, 0), "_bn0": (0, 1), "_conv_head": (2, 0), "_bn1": (2, 1), "_fc": (2, 2)}
_PARAMETERS = ("weight", "bias", "running_mean", "running_var")
_NAME = re.compile(r"(?:_blocks\.(?P<block>\d+)\.)?(?P<layer>_\w+)\.(?P<parameter>\w+)")
COUNTER = "num_batches_tracked"


def is_published(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are names as the published files have them."""
    return "_conv_stem.weight" in tensors and "_fc.weight" in tensors


def renamed(tensors: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Published tensors under timm's `names`, in the order of the network; what does not fit is kept under its own name."""
    known = [name for name in tensors if not name.endswith(COUNTER) and _place(name) is not None]
    wanted = [name for name in names if not name.endswith(COUNTER)]
    if len(known) != len(wanted):
        return dict(tensors)
    ordered = sorted(known, key=lambda name: _place(name) or ())
    others = {name: tensor for name, tensor in tensors.items() if name not in known and not name.endswith(COUNTER)}
    return {**dict(zip(wanted, (tensors[name] for name in ordered), strict=True)), **others}


def _place(name: str) -> tuple[int, ...] | None:
    """Where in the network a tensor is, comparable; None for a name that is none of theirs."""
    parts = _NAME.fullmatch(name)
    if not parts or parts["parameter"] not in _PARAMETERS:
        return None
    parameter = _PARAMETERS.index(parts["parameter"])
    if parts["block"]:
        return (1, int(parts["block"]), _BLOCK.index(parts["layer"]), parameter) if parts["layer"] in _BLOCK else None
    return (*_ENDS[parts["layer"]], parameter) if parts["layer"] in _ENDS else None
