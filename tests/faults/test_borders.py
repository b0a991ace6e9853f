"""The borders in short; `make faults` has them long."""

import numpy as np
import pytest

from tests.faults import borders


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_but_named_errors_comes_through(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(borders.Path(__file__).parent.parent.parent)
    random = np.random.default_rng(seed)
    for case in (borders.exif(300, random), borders.pictures(200, random)):
        assert [verdict for verdict in case if verdict] == []
    for case in (borders.tables, borders.weight_files, borders.configurations):
        room = tmp_path / case.__name__
        room.mkdir()
        assert [verdict for verdict in case(room, 150, random) if verdict] == []
