"""From which ranges hyperparameters are drawn, by the names that seed their draws (DomainBed's `hparams_registry.py`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from numpy.random import RandomState


@dataclass(frozen=True)
class Range:
    """`name` is the hyperparameter's in the code that it is from, whose seed it is part of; `draw` takes a fresh generator."""

    name: str
    draw: Callable[[RandomState], float]


# Key of a student's configuration, by dots → range.
Ranges = Mapping[str, Range]


def uniform(low: float, high: float) -> Callable[[RandomState], float]:
    """Evenly between both."""
    return lambda random: float(random.uniform(low, high))


def power(base: float, low: float, high: float) -> Callable[[RandomState], float]:
    """`base` to a power that is even between both."""
    return lambda random: float(base ** random.uniform(low, high))


def whole_power(base: float, low: float, high: float) -> Callable[[RandomState], int]:
    """The same, cut to a whole number."""
    return lambda random: int(base ** random.uniform(low, high))


def one_of(*values: float) -> Callable[[RandomState], float]:
    """Any of them."""
    return lambda random: float(random.choice(values))


# Of every algorithm of DomainBed's at 224 pixels (commit 22002eaa), and of those of the SCMD code (commit f07068b).
DOMAINBED: Ranges = {
    "optimiser.lr": Range("lr", power(10, -5, -3.5)),
    "optimiser.weight_decay": Range("weight_decay", power(10, -6, -2)),
    "model.dropout": Range("resnet_dropout", one_of(0.0, 0.1, 0.5)),
    "batch": Range("batch_size", whole_power(2, 3, 5.5)),
}
SCMD_CODE: Ranges = {
    "optimiser.lr": Range("lr", one_of(3e-5, 5e-5)),
    "optimiser.weight_decay": Range("weight_decay", one_of(1e-4, 1e-6)),
    "model.dropout": Range("resnet_dropout", one_of(0.0, 0.1, 0.5)),
    "batch": Range("batch_size", whole_power(2, 4.9, 5.1)),
}
# Of both on DomainNet, whose batches are smaller.
DOMAINNET: Ranges = {"batch": Range("batch_size", whole_power(2, 3, 5))}
