"""(trial, domain or id) → in or out. Pure: the same question always gets the same answer."""

import hashlib
from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.config import Section
from pipeline.samples.table import Samples


class SplitSettings(Section):
    """`domainbed` reproduces its `split_dataset`; `stable` is a threshold on the hash of trial and sample id."""

    rule: Literal["domainbed", "stable"] = "domainbed"
    """`domainbed` reproduces its `split_dataset`; `stable` is a threshold on the hash of trial and sample id, which
    adding images does not move."""
    holdout_fraction: float = Field(0.2, gt=0, lt=1)
    """The share of each domain in its out split, by which checkpoints are chosen."""


def seed_hash(*parts: object) -> int:
    """DomainBed's `seed_hash`: MD5 of the tuple's repr, below 2³¹."""
    return int(hashlib.md5(str(tuple(parts)).encode()).hexdigest(), 16) % 2**31


def domainbed_out(count: int, trial: int, environment: int, fraction: float) -> set[int]:
    """Positions 0 … count − 1 that DomainBed's `split_dataset` puts in the out split of an environment."""
    keys = list(range(count))
    np.random.RandomState(seed_hash(trial, environment)).shuffle(keys)
    return set(keys[: int(count * fraction)])


def stable_out(sample_id: str, trial: int, fraction: float) -> bool:
    """Whether the hash of trial and id falls below the fraction: adding images moves no other."""
    digest = hashlib.sha256(f"{trial}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def is_out(samples: Samples, trial: int, rule: str, fraction: float) -> np.ndarray:
    """(samples,) bool: which rows form the out split of their domain. `rule` is "domainbed" or "stable";
    DomainBed numbers environments in order of their names, whatever the order in which a configuration has them."""
    if rule == "stable":
        return np.array([stable_out(row.id, trial, fraction) for row in samples.rows])
    out = {
        domain: domainbed_out(samples.found[domain], trial, environment, fraction)
        for environment, domain in enumerate(sorted(samples.domains))
    }
    return np.array([row.position in out[row.domain] for row in samples.rows])
