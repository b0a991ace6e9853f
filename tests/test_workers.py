"""Items made by other processes: in order, and an end when one of those is killed, whatever it was doing."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.engine import workers
from pipeline.engine.workers import importing, in_order
from tests.conftest import ENVIRONMENT, ROOT, alive

LARGE = 3_000_000  # bytes, far more than a pipe holds: a worker is then mostly in the middle of writing


class Blobs:
    def __getitem__(self, number):
        return number.to_bytes(4, "little") * (LARGE // 4)


def test_items_come_in_order_whoever_makes_them():
    assert [int.from_bytes(one[:4], "little") for one in in_order(Blobs(), range(20), 2)] == list(range(20))


def test_workers_come_from_the_process_that_imported_ahead_and_an_error_ends_it():
    with importing(Blobs, 2):
        (server,) = workers._servers()
        assert len(list(in_order(Blobs(), range(3), 2))) == 3
        assert list(workers._servers()) == [server]
    with pytest.raises(ZeroDivisionError), importing(Blobs, 2):
        _ = 1 / 0
    assert not list(workers._servers())
    with importing(Blobs, 0):
        assert not list(workers._servers())


@pytest.mark.parametrize("seed", range(2))
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


MAIN = """
import sys
from pipeline.engine.workers import in_order
from tests.test_workers import Blobs
if __name__ == "__main__":
    for number, _ in enumerate(in_order(Blobs(), range(10**6), 2)):
        if not number:
            print("begun", flush=True)
"""


def test_workers_and_their_server_end_with_a_main_process_that_is_killed(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    options = {"env": environment, "stdout": subprocess.PIPE, "start_new_session": True}
    main = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], **options)
    assert main.stdout.readline() == b"begun\n"
    assert len(alive(main.pid)) >= 4  # with two workers, their server, and multiprocessing's own tracker
    main.kill()
    main.wait()
    deadline = time.monotonic() + 20
    while alive(main.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(main.pid)


def test_workers_run_this_code_whatever_lies_in_the_working_folder(tmp_path):
    (tmp_path / "pipeline.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/main.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{MAIN}")
    options = {"cwd": tmp_path, "env": ENVIRONMENT, "stdout": subprocess.PIPE, "start_new_session": True}
    main = subprocess.Popen([sys.executable, "elsewhere/main.py"], **options)
    assert main.stdout.readline() == b"begun\n"
    os.killpg(main.pid, signal.SIGKILL)
    main.wait()
