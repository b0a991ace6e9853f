"""timm's network by its name, with all of the weights that the settings name, or the reason why not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from pipeline import weights
from pipeline.errors import InputError, is_out_of_memory, reason
from pipeline.progress import say
from pipeline.student import efficientnet, start

# What a trial's own `student.safetensors` calls the parts of its predictor.
OWN_BACKBONE, OWN_CLASSIFIER = "backbone.", "classifier."


def build(name: str, pretrained: bool | str, size: int) -> tuple[Any, int]:
    """A network of square pictures of `size` pixels without a classifier, and d, the width of its features.

    `pretrained` is as in `ModelSettings`. Raises InputError for a name that timm does not have, pictures that the network
    cannot take, and weights that are not there or not all of the network's.
    """
    require_known(name)
    sized = size_arguments(name, size)
    if isinstance(pretrained, str):
        network = _from_file(name, start.require_file(pretrained), sized)
    elif pretrained:
        network = _from_hub(name, sized)
    else:
        network = _created(name, num_classes=0, **sized)
    return network, _width(name, network, size)


def size_arguments(name: str, size: int) -> dict[str, int]:
    """What `timm.create_model` must be told of the pictures: a transformer's positions are made for one size."""
    return {"img_size": size} if getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False) else {}


def require_known(name: str) -> None:
    """Raises InputError for a model or a tag that timm does not have."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise InputError(f"student backbone `{name}` is no model of timm; `timm.list_models()` lists them")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise InputError(
            f"student backbone `{name}`: timm has no weights `{tag}` of {architecture} ({', '.join(tags) or 'none'})"
        )


def _created(name: str, **arguments: Any) -> Any:
    try:
        return timm.create_model(name, **arguments)
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        size = f" for pictures of {arguments['img_size']} pixels" if "img_size" in arguments else ""
        raise InputError(f"student backbone `{name}`: timm cannot build it{size} ({reason(error)})") from error


def _from_hub(name: str, sized: Mapping[str, Any]) -> Any:
    """With the classifier that the weights have, as timm loads strictly only then."""
    if not timm.list_pretrained(f"{name.partition('.')[0]}.*"):
        raise InputError(
            f"student backbone `{name}`: timm has no weights of it; set `pretrained` to a file, or to false"
        )
    try:
        with _missing_keys() as missing:
            network: Any = timm.create_model(name, pretrained=True, **sized)
    except Exception as error:
        # Hub, proxy and socket layers each raise their own.
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"student backbone `{name}`: its pretrained weights cannot be loaded from this machine or downloaded "
            f"({type(error).__name__}: {reason(error)}); without a network, set `pretrained` to a local weights file, "
            "or to false"
        ) from error
    if missing:
        raise InputError(
            f"student backbone `{name}`: its pretrained weights lack {missing[0]}; set `pretrained` to a file"
        )
    network.reset_classifier(0)
    return network


def _from_file(name: str, file: Path, sized: Mapping[str, Any]) -> Any:
    """Through timm, which fits positions to the size; all of the network's or a refusal. The file's classifier is left aside."""
    tensors = _tensors_of(name, file)
    found = len(tensors)
    count = next(
        (len(t) for head in _classifiers(name) if (t := tensors.get(f"{head}.weight")) is not None and t.ndim), 0
    )
    overlay = {"state_dict": tensors, "num_classes": count, "label_offset": 0}
    if not count:
        overlay["classifier"] = None
    _require_same_kind(name, file, tensors, _created(name, num_classes=count, **sized))
    try:
        with _missing_keys() as missing:
            network: Any = timm.create_model(
                name, pretrained=True, num_classes=count, pretrained_cfg_overlay=overlay, **sized
            )
    except (AssertionError, AttributeError, KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{file}: {found} tensors that are not the weights of `{name}` ({reason(error)})") from error
    if missing:
        raise InputError(
            f"{file}: {found} tensors that are not the weights of `{name}`: {len(missing)} lack, first {missing[0]}"
        )
    network.pretrained_cfg.pop("state_dict", None)  # a copy of all weights else
    if count:
        network.reset_classifier(0)
    aside = f"; its classifier of {count} classes is left aside" if count else ""
    say(f"{file}: {len(network.state_dict())} tensors of `{name}` loaded, all that it has{aside}")
    return network


def _tensors_of(name: str, file: Path) -> dict[str, Tensor]:
    """Of a file, by timm's names where it has published ones or those of a trial."""
    try:
        tensors = weights.read(file)
    except InputError as error:
        raise InputError(f"`pretrained` of the student's configuration: {error}") from error
    if efficientnet.is_published(tensors):
        return efficientnet.renamed(tensors, list(_created(name).state_dict()))
    if all(one.startswith((OWN_BACKBONE, OWN_CLASSIFIER)) for one in tensors):
        return {one.removeprefix(OWN_BACKBONE): t for one, t in tensors.items() if one.startswith(OWN_BACKBONE)}
    return tensors


def _require_same_kind(name: str, file: Path, tensors: Mapping[str, Tensor], network: Any) -> None:
    """Raises InputError for whole numbers in a weight's place, and for shapes of which timm would make others in silence.

    Only positions may be fitted to another size.
    """
    for key, own in network.state_dict().items():
        theirs = tensors.get(key)
        if theirs is None:
            continue
        if own.is_floating_point() and not theirs.is_floating_point():
            raise InputError(f"{file}: `{key}` holds {theirs.dtype} and not the floating-point numbers of a weight")
        if own.shape != theirs.shape and not any(word in key for word in ("pos", "rel", "bias_table", "index")):
            raise InputError(
                f"{file}: not the weights of `{name}`: `{key}` is {tuple(theirs.shape)}, and the network's {tuple(own.shape)}"
            )


@contextmanager
def _missing_keys() -> Iterator[list[str]]:
    """What the networks that are loaded within lack: timm does not insist for all families, and only logs it."""
    missing: list[str] = []
    load = torch.nn.Module.load_state_dict

    def noting(module: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        result = load(module, *arguments, **options)
        missing.extend(result.missing_keys)
        return result

    torch.nn.Module.load_state_dict = noting  # type: ignore[method-assign, assignment]
    try:
        yield missing
    finally:
        torch.nn.Module.load_state_dict = load  # type: ignore[method-assign]


def _classifiers(name: str) -> tuple[str, ...]:
    named = getattr(timm.get_pretrained_cfg(name), "classifier", None) or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _width(name: str, network: Any, size: int) -> int:
    """Measured, as what timm calls a network's number of features is not always that of its output."""
    network.eval()
    try:
        with torch.no_grad():
            features = network(torch.zeros(1, 3, size, size))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"student backbone `{name}` cannot take pictures of {size} × {size} pixels ({reason(error)}); "
            "set another `pixels.size`, or another backbone"
        ) from error
    network.train()
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise InputError(f"student backbone `{name}` gives no vector of features a picture; choose another")
    return features.shape[1]
