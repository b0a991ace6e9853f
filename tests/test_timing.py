"""Benchmarks run, say their setting, both sides and what is wanted, and hand their figures on; what they find is no test."""

import json
import time

from pipeline.cache import reader
from pipeline.timing import cache_sizes, caches, growth, large, rounds
from pipeline.timing.rounds import Figures


def test_a_comparison_says_setting_sides_ratio_and_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(caches, "SAMPLES", 1024)
    monkeypatch.setattr(caches, "CLASSES", (5,))
    (found,) = caches.compared(tmp_path, 2)
    first, *lines = found.lines()
    assert "samples 1024" in first
    assert {line.split("  ")[1].strip() for line in lines} == {*found.sides, *found.ratios}
    assert any(line.endswith("(at most 1.2 is wanted)") for line in lines)
    rounds.write([found], tmp_path / "found.json")
    (read,) = json.loads((tmp_path / "found.json").read_text())
    assert read["wanted"] == dict(caches.WANTED)
    assert read["sides"].keys() == found.sides.keys()


def test_figures_say_their_limits():
    told = list(Figures({"what": "x"}, {"a": 1.0, "b": 2.0}, {"b": 3}).lines())
    assert told == ["what x", "  a  1.00", "  b  2.00     (at most 3 is wanted)"]


def test_the_large_cache_is_one_that_stage_two_reads(tmp_path):
    """Its parts in this process, small: `scmd benchmark stage-two` has them in another, large."""
    large.write(tmp_path, large.Shape(300, views=3, classes=5, prompts=1, embedding=8, columns=11, block=64))
    assert len(list(large.beginning(tmp_path).batches(2, 0))) == 2
    begun = time.perf_counter()
    assert begun < large.take_first_step(tmp_path, 2) <= time.perf_counter()


def test_growth_is_measured_on_real_images_and_told_without_the_tables(tmp_path, monkeypatch):
    """Its parts in this process, small: `scmd benchmark growth` has each number of images in another, large."""
    monkeypatch.setattr(growth, "LARGE", 300)
    growth._write(tmp_path, 40)
    told = growth._stage_one(tmp_path)
    assert 1e8 < told["before"] <= told["peak"]
    assert reader.open_complete(tmp_path / "cache").shape.samples == 40


def test_a_cache_of_any_size_is_written_opened_and_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_sizes, "SIZES", ((600, 2, 256),))
    (found,) = cache_sizes.measured(tmp_path)
    # Four chunks a block and view, a ledger a block; of the head six of metadata, ids, prompts, text, and its ledger.
    assert found.figures["files"] == 4 * 3 * 2 + 3 + 10
    assert 0 < found.figures[cache_sizes.MEMORY] < 2
    assert not list(tmp_path.iterdir())
