"""Strict configuration: what a wrong file is told."""

from pathlib import Path

import pytest

from pipeline import config
from pipeline.errors import ConfigError


class Inner(config.Section):
    lr: float
    names: tuple[str, ...] = ()


class Outer(config.Section):
    inner: Inner
    steps: int = 3


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "it.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path, Outer)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_valid_file_becomes_a_frozen_record(tmp_path):
    path = tmp_path / "it.yaml"
    path.write_text("inner: {lr: 1e-3, names: [a, b]}\n")
    loaded = config.load(path, Outer)
    assert loaded.inner.lr == 0.001
    assert loaded.inner.names == ("a", "b")
    with pytest.raises(ValueError, match="frozen"):
        loaded.steps = 4


def test_all_faults_of_a_file_are_reported_together(tmp_path):
    message = refused(tmp_path, "inner: {lr: fast, colour: red}\nsteps: 1.5\nextra: 1\n")
    for key in ("`inner.lr`", "`inner.colour`", "`steps`", "`extra`"):
        assert key in message


def test_a_section_is_told_by_its_key_without_its_content(tmp_path):
    assert "`steps`: input should be a valid integer" in refused(tmp_path, "inner: {lr: 1}\nsteps: {a: 1}\n")


def test_a_missing_key_is_named(tmp_path):
    assert "`inner` is missing" in refused(tmp_path, "steps: 1\n")


def test_a_key_that_stands_twice_is_a_fault(tmp_path):
    assert "`steps` stands twice" in refused(tmp_path, "inner: {lr: 1}\nsteps: 1\nsteps: 2\n")


def test_text_that_is_no_mapping_is_a_fault(tmp_path):
    assert "expected keys" in refused(tmp_path, "- a\n- b\n")


def test_malformed_yaml_is_a_fault(tmp_path):
    assert "not valid YAML" in refused(tmp_path, "inner: {lr: 1\n")


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "there.yaml").write_text("steps: 1\n")
    with pytest.raises(ConfigError, match=r"no such file; the files there are there\.yaml"):
        config.load(tmp_path / "gone.yaml", Outer)
