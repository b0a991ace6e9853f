"""Methods by name: what a trial learns from. A new one is one file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.methods import erm, kd, scmd
from pipeline.methods.settings import MethodSettings

# Each takes the settings of its own method.
Terms = Callable[[Outputs, Batch, Any], dict[str, Tensor]]


@dataclass(frozen=True)
class Method:
    """`terms` maps outputs, batch and settings to named, weighted scalars; their sum is the objective."""

    settings: type[MethodSettings]
    terms: Terms


METHODS: dict[str, Method] = {
    "erm": Method(erm.Settings, erm.terms),
    "kd": Method(kd.Settings, kd.terms),
    "scmd": Method(scmd.Settings, scmd.terms),
}
