"""Items made by other processes: in order, and an end when one of those is killed, whatever it was doing."""

import multiprocessing
import os
import random
import signal
import threading
import time

import pytest

from pipeline.engine.workers import in_order

LARGE = 3_000_000  # bytes, far more than a pipe holds: a worker is then mostly in the middle of writing


class Blobs:
    def __getitem__(self, number):
        return number.to_bytes(4, "little") * (LARGE // 4)


def test_items_come_in_order_whoever_makes_them():
    assert [int.from_bytes(one[:4], "little") for one in in_order(Blobs(), range(20), 2)] == list(range(20))


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_that_is_killed_ends_the_others_and_the_wait(seed):
    def kill_one():
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
        os.kill(random.Random(seed).choice(multiprocessing.active_children()).pid, signal.SIGKILL)

    made = in_order(Blobs(), range(10**6), 3)
    next(made)
    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        for _ in made:
            pass
    killer.join()
    assert not multiprocessing.active_children()
