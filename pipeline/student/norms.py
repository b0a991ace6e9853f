"""Which parts of a network measure its pictures."""

from torch import nn


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """All batch norms of a network."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
