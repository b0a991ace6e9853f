"""A real Ray cluster of two nodes in one machine, whose processes and nodes are killed in the middle of the work."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from ray._private.node import Node as ClusterNode
from ray.cluster_utils import Cluster

from pipeline.cluster import joining
from pipeline.errors import InputError
from tests.conftest import CLASSES, DOMAINS, change, files, ok, refused, run_scmd

CACHE, CHUNKS = "cache/toy/tiny", "*/c/**/*"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head with a core; tests add nodes."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()


def processes(name: str, cluster: Cluster) -> dict[int, ClusterNode]:
    """Of a cluster's processes those that do what is named so, and on which node."""
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in cluster.list_all_nodes()}
    found = subprocess.run(["pgrep", "-f", f"^ray::{name}"], capture_output=True, text=True, check=False)
    parents = {}
    for pid in map(int, found.stdout.split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            parents[pid] = psutil.Process(pid).ppid()
    return {pid: raylets[parent] for pid, parent in parents.items() if parent in raylets}


def kill_one_elsewhere(name: str, node: ClusterNode, cluster: Cluster) -> None:
    """Of another node than this."""
    (other,) = [pid for pid, where in processes(name, cluster).items() if where is not node]
    os.kill(other, signal.SIGKILL)


def wait(condition: Callable[[], object], what: str) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 90, what
        time.sleep(0.02)


def disturbed(by: Callable[[], None], *arguments: str, cwd: Path) -> str:
    """What a command says that must succeed though something is done meanwhile, in a thread."""
    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(by)
        said = ok(*arguments, cwd=cwd)
        disturbing.result()
    return said


def write_larger_images(root: Path) -> None:
    """So large that a block of them takes a while."""
    random = np.random.default_rng(0)
    for domain in DOMAINS:
        for name in CLASSES:
            for number in range(16):
                noise = Image.fromarray(random.integers(0, 256, (75, 100, 3), np.uint8))
                noise.resize((1600, 1200)).save(root / domain / name / f"large-{number}.jpg")


def test_a_cache_is_the_same_bytes_though_a_process_and_then_a_node_are_killed(project, cluster):
    write_larger_images(project / "images")
    change(project, "teachers/tiny.yaml", block=8)
    ok("samples", cwd=project)
    node = cluster.add_node(num_cpus=1)
    blocks = lambda: len(list((project / "cache/toy").glob(".*/ledger/[0-9]*.json")))  # noqa: E731

    def disturb() -> None:
        wait(lambda: blocks() >= 2 and len(processes("Teacher", cluster)) == 2, "two processes and two blocks")
        kill_one_elsewhere("Teacher", node, cluster)
        wait(lambda: blocks() >= 5, "five blocks")
        cluster.remove_node(node, allow_graceful=False)

    said = disturbed(disturb, "teacher", "--engine", "ray", "--address", cluster.address, cwd=project)
    # Two died, each at another block, or the second between two: no block was begun more than twice.
    assert re.search(r"\n(1 block was|2 blocks were) begun again", said), said
    assert "cache/toy/tiny: a new cache\n2 processes of the cluster, with 2 cores and 0 GPUs\n" in said
    there = files(project / CACHE)
    (project / CACHE).rename(project / "on-the-cluster")
    ok("teacher", "--workers", "0", cwd=project)
    assert files(project / CACHE) == there


def test_trials_are_what_they_are_alone_though_a_process_and_then_a_node_are_killed(ready, cluster):
    change(ready, "students/small.yaml", steps=40, evaluate_every=20, checkpoint_every=4)
    node = cluster.add_node(num_cpus=1)
    kept = lambda: {path.name for path in (ready / "results").rglob("checkpoint*/*")}  # noqa: E731

    def disturb() -> None:
        wait(lambda: kept() and len(processes("_trained", cluster)) == 2, "two trials and a checkpoint")
        kill_one_elsewhere("_trained", node, cluster)
        seen = kept()
        wait(lambda: kept() - seen, "another checkpoint")
        cluster.remove_node(node, allow_graceful=False)

    said = disturbed(disturb, "students", "--engine", "ray", "--address", cluster.address, cwd=ready)
    assert "0 of 2 trials are current; 2 at a time" in said
    assert len(re.findall(r"\[\w+, ink held out, trial 0\] ink: [0-9.]+% at step", said)) == 2
    assert "goes on from step" in said
    there = numbers(ready / "results")
    (ready / "results").rename(ready / "on-the-cluster")
    for method in ("erm", "scmd"):
        ok("student", "--held-out", "ink", "--method", method, cwd=ready)
    assert len(there) == 2
    assert numbers(ready / "results") == there
    assert not list((ready / "on-the-cluster").rglob("checkpoint*"))


def numbers(results: Path) -> dict[str, tuple]:
    """Of every trial its weights' bytes and its metrics."""
    return {
        str(card.parent.relative_to(results)): (
            (card.parent / "student.safetensors").read_bytes(),
            json.loads(card.read_text())["metrics"],
        )
        for card in sorted(results.rglob("card.json"))
    }


def test_what_is_raised_in_the_cluster_is_told_as_it_would_be_here(ready, cluster):
    on_it = ("--engine", "ray", "--address", cluster.address)
    matrix = {"held_out": ["ink"], "method": ["scmd"], "trial": [0]}
    change(ready, "experiment.yaml", methods={"scmd": {"lambda1": 1e38, "hard_fraction": 0.5}}, matrix=matrix)
    failed = run_scmd("students", *on_it, cwd=ready)
    assert failed.returncode == 1
    assert re.search(
        r"\n\[scmd, ink held out, trial 0\] scmd: node \S+: the loss `\w+` is no finite number", failed.stderr
    )
    assert "scmd: 1 trials failed, first scmd, ink held out, trial 0: see above" in failed.stderr
    (ready / "images/clay/disc/0.png").write_bytes((ready / "images/clay/disc/1.png").read_bytes())
    change(ready, "teachers/tiny.yaml", views=4)
    refusal = refused("teacher", *on_it, cwd=ready)
    assert re.fullmatch(r"scmd: node \S+: image clay/disc/0.png under images has changed since .*", refusal)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001", "head"])
def test_a_cluster_that_does_not_answer_is_said_at_once(address):
    with (
        pytest.raises(InputError, match=re.escape(f"no Ray cluster can be joined at {address} (")),
        joining.joined(address),
    ):
        raise AssertionError("joined")


def test_options_of_a_cluster_come_with_one(ready):
    assert "`--gpus-per-trial` are for `--engine ray`" in refused("students", "--gpus-per-trial", "0.5", cwd=ready)
    assert "`--address` and" in refused("teacher", "--plan", "--address", "auto", cwd=ready)
    assert "`--jobs` is for this machine" in refused("students", "--engine", "ray", "--jobs", "2", cwd=ready)
