"""One writer at a time, by a lock that dies with its owner."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.cache import lock
from pipeline.errors import CacheError
from tests.conftest import ENVIRONMENT

HOLD = """
import sys, time
from pathlib import Path
from pipeline.cache import lock
with lock.writing(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes the cache."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "cache")], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_stops_and_names_the_first(tmp_path, holder):
    with (
        pytest.raises(CacheError, match=f"process {holder.pid} .* is writing this cache"),
        lock.writing(tmp_path / "cache"),
    ):
        pass


def test_a_dead_owner_never_blocks(tmp_path, holder):
    holder.kill()
    holder.wait()
    with lock.writing(tmp_path / "cache"):
        pass
    with lock.writing(tmp_path / "cache"):
        pass


def test_a_frozen_owner_is_named_as_such(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    with (
        pytest.raises(CacheError, match=f"process {holder.pid} .*; stopped, `kill -CONT {holder.pid}` lets it go on"),
        lock.writing(tmp_path / "cache"),
    ):
        pass


def test_a_child_that_a_dead_owner_left_behind_does_not_block(tmp_path):
    owner = os.fork()
    if owner == 0:
        context = lock.writing(tmp_path / "cache")
        context.__enter__()
        if os.fork() == 0:
            time.sleep(5)
        os._exit(0)
    os.waitpid(owner, 0)
    with lock.writing(tmp_path / "cache"):
        pass


def test_other_caches_are_free(tmp_path, holder):
    assert holder.poll() is None
    with lock.writing(tmp_path / "another"):
        pass
