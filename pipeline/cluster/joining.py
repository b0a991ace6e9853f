"""A Ray cluster: how one joins it, what it has, and how its processes come to this project's code and folder."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from pipeline import package
from pipeline.engine.cores import cores
from pipeline.errors import InputError, ScmdError, reason

# Within which a cluster answers.
SECONDS = 5.0
# Of the environment: where weights are found, how many threads compute, what is said.
PASSED_ON = ("SCMD_", "HF_", "TORCH_", "OMP_", "MKL_")


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """A cluster by its address (or `RAY_ADDRESS`); without one, one on this machine that ends with the command.

    What was begun within ends when it is left. Raises InputError where no cluster answers.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    size: dict[str, Any] = {} if address else {"num_cpus": cores(), "include_dashboard": False}
    if address and address != "auto":
        _require_answer(address)
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address, runtime_env={"env_vars": _environment()}, log_to_driver=False, logging_level=logging.ERROR, **size
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(f"no Ray cluster can be joined at {address or 'this machine'}: {reason(error)}") from error
    signal.signal(signal.SIGTERM, heard)  # Ray's own handler would end the command without its sentence
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raises InputError, at once, where nobody listens: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Ray cluster can be joined at {address} ({reason(error)}); start the command on a machine of the cluster, with "
            "`auto` or the HOST:PORT that `ray start --head` told"
        ) from error


def _environment() -> dict[str, str]:
    """Of the cluster's processes: they import this very code, which lies where all nodes see it or is installed on each."""
    paths = [str(package.HOME.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return {**passed, "PYTHONPATH": os.pathsep.join(paths), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def nodes() -> list[dict[str, float]]:
    """What each node that is there has: `CPU`, `GPU` and others."""
    return [
        node["Resources"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    ]


def enter(folder: Path) -> str:
    """In a process of the cluster: goes to the project's folder; returns the machine's name.

    Raises InputError where this machine does not have the folder.
    """
    host = socket.gethostname()
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"node {host} does not have {folder} ({reason(error)}); the project's folder must lie on a file system that "
            "all nodes of the cluster see under the same path"
        ) from error
    return host


def named(error: RayTaskError) -> Exception:
    """What was raised in the cluster: an error of ours as it was there, any other with its traceback."""
    cause: Any = error.cause
    return cause if isinstance(cause, ScmdError) else error
