"""The real commands, killed once at a random moment; `make faults` kills them oftener."""

import numpy as np

from tests.conftest import ok
from tests.faults import live
from tests.faults.test_faults import assert_none_silent
from tests.test_dvc import make_repository


def test_scmd_teacher_killed_at_a_random_moment_ends_with_the_same_bytes(project):
    ok("samples", cwd=project)
    assert_none_silent(live.killed(project, live.TEACHER, 1, np.random.default_rng()), 1)


def test_a_flipped_bit_of_a_file_is_repaired(project):
    ok("samples", cwd=project)
    assert_none_silent(live.repaired(project, 4, np.random.default_rng(0)), 10)


def test_dvc_repro_killed_at_a_random_moment_ends_with_the_same_bytes(tmp_path, tiny_teacher):
    repository = make_repository(tmp_path / "project", tiny_teacher)
    assert_none_silent(live.killed(repository, live.REPRO, 1, np.random.default_rng()), 1)
