"""`model` in `configs/students/*.yaml`: which network, from which weights."""

from typing import Literal

from pydantic import Field

from pipeline.config import Section


class ModelSettings(Section):
    """`pretrained` is timm's weights (true), none (false), or a file of weights; `batch_norm: frozen` keeps their statistics."""

    backbone: str = "resnet50.tv2_in1k"
    pretrained: bool | str = True
    batch_norm: Literal["frozen", "trained"] = "frozen"
    dropout: float = Field(0.0, ge=0, lt=1)
    projector: Literal["linear", "mlp"] = "linear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
