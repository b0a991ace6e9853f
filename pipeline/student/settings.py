"""`model` in `configs/students/*.yaml`: which network, from which weights."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config import Section

# Of channels from 0 to 1: what is near nothing divides them out of reach.
Deviation = Annotated[float, Field(ge=1e-3)]


class ModelSettings(Section):
    """`model`: which network, from which weights, with which heads."""

    backbone: str = "resnet50.tv2_in1k"
    """A model of timm, with the tag of its weights behind a dot."""
    pretrained: bool | str = True
    """timm's weights (true), none (false), or a file: safetensors, or one by `torch.save` with tensors alone; `package:NAME/PATH`
    is a file of an installed Python package. All of the network's or a refusal; a classifier in the file is left aside."""
    batch_norm: Literal["frozen", "trained"] = "frozen"
    """`frozen` keeps the statistics of the weights it starts from, `trained` measures them."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Before the classifier."""
    projector: Literal["linear", "mlp"] = "linear"
    """From features into the teacher's space: `linear` without bias, or an `mlp` with one hidden layer."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """By which the student's pictures are normalised."""
    std: tuple[Deviation, Deviation, Deviation] = (0.229, 0.224, 0.225)
    """By which the student's pictures are normalised."""
