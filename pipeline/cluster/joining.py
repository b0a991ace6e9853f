"""A Ray cluster: how one joins it, what it has, and how its processes come to this project's code and folder."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline import package
from pipeline.engine.cores import cores
from pipeline.errors import InputError, ResourceError, ScmdError, reason, resource_error

# Within which a cluster answers.
SECONDS = 5.0
# Seconds without anything done and without a process that could do it, after which one is told.
PATIENCE = 60.0
# How often what died is begun again: what kills whoever tries it is not tried for ever.
TRIES = 3
# Of the environment: where weights are found, how many threads compute, what is said.
PASSED_ON = ("SCMD_", "HF_HOME", "HF_HUB", "TORCH_", "OMP_", "MKL_")


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """A cluster by its address (or `RAY_ADDRESS`); without one, one on this machine that ends with the command.

    What was begun within ends when it is left. Raises InputError where no cluster answers.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    size: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False} if address == "local" else {}
    if address not in ("local", "auto"):
        _require_answer(address)
        _bring_token(address)
    heard = signal.getsignal(signal.SIGTERM)
    try:
        environment = {"env_vars": _environment()}
        ray.init(address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR, **size)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        raise InputError(f"no Ray cluster can be joined at {address}: {reason(error)}") from error
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


def _bring_token(address: str) -> None:
    """Joins with the user's token where the cluster lets nobody in without, and without one where it knows none: Ray decides that
    by itself only for an address that it finds."""
    if "RAY_AUTH_MODE" in os.environ:
        return
    asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    without = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    if subprocess.run(asked, env=without, capture_output=True, check=False).returncode:
        with suppress(ImportError):  # a Ray that knows no tokens
            from ray._private.authentication import authentication_token_setup as tokens

            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _environment() -> dict[str, str]:
    """Of the cluster's processes: they import this very code, which lies where all nodes see it or is installed on each."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    # The last: who asks for no GPU sees none.
    return {**passed, "PYTHONPATH": package.python_path(), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, with its cores and GPUs."""

    name: str
    cpus: int
    gpus: int


def nodes() -> list[Node]:
    """Those that have a core. Raises InputError where there is none."""
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    sizes = [(node["NodeID"], *(int(node["Resources"].get(what, 0)) for what in ("CPU", "GPU"))) for node in alive]
    found = [Node(*one) for one in sizes if one[1]]
    if not found:
        raise InputError("the Ray cluster has no node with a core to use; `ray status` tells what it has")
    return found


def idle() -> bool:
    """Whether nothing of the cluster is in use."""
    return bool(ray.available_resources() == ray.cluster_resources())  # type: ignore[no-untyped-call]


def enter(folder: Path, code: str) -> str:
    """In a process of the cluster: goes to the project's folder; returns the machine's name.

    Raises InputError where this machine does not have the folder, or has other code (`package.digest`).
    """
    host = socket.gethostname()
    if package.digest() != code:
        raise InputError(
            f"node {host} has another version of scmd ({package.HOME}) than this machine; install the same on all nodes, or "
            "run the command from where all of them see its code"
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"node {host} does not have {folder} ({reason(error)}); the project's folder must lie on a file system that "
            "all nodes of the cluster see under the same path"
        ) from error
    return host


@contextmanager
def told_by(host: str) -> Iterator[None]:
    """Errors of the system and of ours get the name of the machine on which they were raised."""
    try:
        yield
    except (ScmdError, MemoryError, RuntimeError, OSError) as error:
        known = error if isinstance(error, ScmdError) else resource_error(error)
        kind = type(known) if known else ResourceError
        raise kind(f"node {host}: {known or reason(error)}") from error


def named(error: RayTaskError) -> Exception:
    """What was raised in the cluster: an error of ours as it was there, any other with its traceback."""
    cause: Any = error.cause
    return cause if isinstance(cause, ScmdError) else error
