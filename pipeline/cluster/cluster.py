"""Which cluster a command uses, and what runs there."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipeline.cluster import encoding, joining
from pipeline.cluster.trials import OnCluster
from pipeline.stage_one.encoding import Engine


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster by its address; without one (and without `RAY_ADDRESS`), one on this machine that ends with the command.

    `gpus_per_trial` is a share (0.25: four trials on each GPU), by default 1 where the cluster has GPUs, which is the most.
    """

    address: str | None = None
    gpus_per_trial: float | None = None

    def joined(self) -> AbstractContextManager[None]:
        """Engine and runner work within. Raises InputError where no cluster answers."""
        return joining.joined(self.address)

    def engine(self, workers: int | None) -> Engine:
        """Where stage one runs, `workers` drawing for each process; by default a core each."""
        return encoding.on_cluster(workers)

    @property
    def runner(self) -> OnCluster:
        """Where trials run."""
        return OnCluster(self.gpus_per_trial)
