"""A model card in the form of the Hugging Face hub: what the student is, what it reached, how it is loaded, what it is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.finished.card import Card
from pipeline.finished.student import FinishedStudent
from pipeline.student.backbone import size_arguments
from pipeline.trials.files import WEIGHTS

# Five lines of timm and safetensors, for a student with a classifier; `vl2v_adip`'s and `label_free`'s have class embeddings.
_CLASSIFIER = """\
import timm, torch; from safetensors.torch import load_file
backbone, classifier = timm.create_model({backbone!r}, {arguments}), torch.nn.Linear({width}, {classes})
student = torch.nn.ModuleDict({{"backbone": backbone, "classifier": classifier}}).eval()
student.load_state_dict(load_file({file!r}))
logits = classifier(backbone(images))"""
_EMBEDDINGS = """\
import timm, torch; from safetensors.torch import load_file
weights, backbone = load_file({file!r}), timm.create_model({backbone!r}, {arguments}).eval()
backbone.load_state_dict({{key.removeprefix("backbone."): one for key, one in weights.items() if key.startswith("backbone.")}})
embeddings = torch.nn.functional.linear(backbone(images), weights["projector.weight"], weights.get("projector.bias"))
logits = weights["log_scale"].exp() * torch.nn.functional.normalize(embeddings, dim=1) @ weights["text"].T"""

# By whether EXIF turns pictures.
_OPENED = {True: 'ImageOps.exif_transpose(Image.open("image.jpg"))', False: 'Image.open("image.jpg")'}


@dataclass(frozen=True)
class Measurements:
    """On `count` pictures of the held-out domain: `runs` has accuracy and times by kind of file."""

    runs: Mapping[str, Any]
    count: int
    batch: int
    machine: str


def write(student: FinishedStudent, files: Mapping[str, str], measured: Measurements | None) -> str:
    """Markdown with metadata; `files` says what each file beside it is."""
    card = student.card
    environment = Environment(
        loader=PackageLoader("pipeline.finished"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters["code"] = _Code
    name = f"{card.dataset}, {card.trial.held_out} held out: {card.student.model.backbone} by {card.trial.method}"
    return environment.get_template("model_card.md").render(
        metadata=_Code(yaml.safe_dump(_metadata(card, name), sort_keys=False, allow_unicode=True)),
        name=name,
        card=card,
        size=student.size,
        sources=[domain for domain in card.domains if domain != card.trial.held_out],
        opened=_Code(_OPENED[card.preprocessing.decode.exif_orientation]),
        snippet=_Code(snippet(student)),
        normalise=card.preprocessing.normalise,
        files=files,
        results=[_result(card, domain) for domain in card.domains],
        measured=measured,
        start=_start(card),
        method=", ".join(f"{key} {value}" for key, value in (card.method.model_extra or {}).items()),
    )


class _Code(str):
    """Stands in the card as it is."""


def _plain(value: Any) -> Any:
    """Of everything else that is put in: what Markdown would take for more than text is spelled."""
    if isinstance(value, str) and not isinstance(value, _Code):
        return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else " " if c in "\r\n" else c for c in value)
    return value


def snippet(student: FinishedStudent) -> str:
    """Lines that load the student with timm and safetensors alone, and answer to `images`."""
    backbone = student.card.student.model.backbone  # a name that timm has, or it would not have been loaded
    arguments = {"num_classes": 0, **size_arguments(backbone, student.size)}
    predictor: Any = student.shipped.predictor
    form = _CLASSIFIER if hasattr(predictor, "classifier") else _EMBEDDINGS
    return form.format(
        backbone=backbone,
        arguments=", ".join(f"{key}={value}" for key, value in arguments.items()),
        width=predictor.classifier.in_features if hasattr(predictor, "classifier") else 0,
        classes=len(student.card.classes),
        file=WEIGHTS,
    )


def _metadata(card: Card, name: str) -> dict[str, Any]:
    metric = {"type": "accuracy", "value": round(card.metrics.accuracy, 4), "name": "accuracy, in split, held out"}
    return {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "domain-generalization", "knowledge-distillation", "scmd"],
        "datasets": [card.dataset],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": f"{card.dataset}, {card.trial.held_out}", "type": card.dataset},
                        "metrics": [metric],
                    }
                ],
            }
        ],
    }


def _result(card: Card, domain: str) -> dict[str, str]:
    shares = [card.accuracies.get(f"{domain}_{split}") for split in ("in", "out")]
    inside, outside = ("–" if share is None else f"{100 * share:.1f}" for share in shares)
    if domain == card.trial.held_out:
        return {"domain": domain, "part": "held out", "inside": _Code(f"**{inside}**"), "outside": outside}
    return {"domain": domain, "part": "trained on, chosen by", "inside": inside, "outside": outside}


def _start(card: Card) -> str:
    pretrained, digest = card.student.model.pretrained, card.starting_weights_sha256
    if not pretrained:
        return "random weights"
    what = "timm's pretrained weights" if pretrained is True else f"the file {Path(str(pretrained)).name}"
    return f"{what} (SHA-256 {digest})" if digest else what
