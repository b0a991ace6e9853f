"""Strict configuration: what a wrong file is told."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: &x {lr: 1}\ninner: {<<: *x}\n", "keys are not merged (`<<`) here; write them out"),
        ("inner: {lr: 1, names: &x [*x]}\n", "a value contains itself, by an anchor (`&`) and its alias (`*`)"),
        ("inner: nothing\n", "`inner` is 'nothing': expected keys with values (`{}` for none)"),
        ("inner: {lr: 1, names: a}\n", "`inner.names` is 'a': expected a list, in brackets"),
        ("inner: {lr: 1e300}\n", "`inner.lr` is 1e+300: numbers of use are no larger than 1e+100"),
        ("inner: {lr: -1e101}\n", "`inner.lr` is -1e+101: numbers of use are no larger"),
    ],
)
def test_what_yaml_can_say_and_no_setting_can_use_is_a_fault(tmp_path, text, said):
    assert said in refused(tmp_path, text)


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "there.yaml").write_text("steps: 1\n")
    with pytest.raises(ConfigError, match=r"no such file; the files there are there\.yaml"):
        config.load(tmp_path / "gone.yaml", Outer)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("no", "False, as YAML reads this word as true or false"),
        ("10", "10, as YAML reads this word as a number"),
        ("1.10", "1.1, as YAML reads this word as a number"),
        ("~", "None, as YAML reads this word as nothing"),
    ],
)
def test_a_bare_word_that_yaml_reads_as_something_else_is_to_be_quoted(tmp_path, word, told):
    assert f"`inner.names.1` is {told}; put it in quotes" in refused(
        tmp_path, f"inner: {{lr: 1, names: [ink, {word}]}}\n"
    )
    assert "; put it in quotes" in refused(tmp_path, f"inner: {{lr: 1}}\n{word}: 3\n")
    path = tmp_path / "it.yaml"
    path.write_text(f"inner: {{lr: 1, names: [ink, '{word}']}}\n")
    assert config.load(path, Outer).inner.names == ("ink", word)


@pytest.mark.parametrize("number", ["010", "-07", "1:30", "1:30.5", "0_1"])
def test_a_number_that_other_readers_of_yaml_take_for_another_is_a_fault(tmp_path, number):
    for text in (f"inner: {{lr: 1}}\nsteps: {number}\n", f"inner: {{lr: 1}}\n{number} : 1\n"):
        assert f"`{number}` is another number to other readers of YAML; write it plainly, or in" in refused(
            tmp_path, text
        )
    path = tmp_path / "it.yaml"
    path.write_text("inner: {lr: 0.5, names: ['010']}\nsteps: 10\n")
    assert config.load(path, Outer).steps == 10


@given(st.text(max_size=80))
def test_no_text_raises_anything_but_a_named_error(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        with contextlib.suppress(ConfigError):
            config.load(path, Outer)


# What YAML has besides plain words: anchors, merges, tags, documents, binary, dates, sets, sexagesimals, huge numbers.
ODD = "&a [*a] <<: !!python/object:os.system --- ... !!binary %YAML ? | > - {} 2020-01-01 !!set 1:30 .nan .inf 9e999".split()
ODDER = ("0x_", "1__2", "0b", "0o8", "\t", "é", "\x85", "2020-99-99", "!!int x", "!!timestamp x", "!!float", "[[]: 1]")
PLAIN = ("inner", "lr", "steps", ":", "\n", " ", "  ", "1", "'", '"', "[", "]", ",")


@given(st.lists(st.sampled_from([*PLAIN, *ODD, *ODDER]), max_size=30))
def test_no_odd_yaml_raises_anything_but_a_named_error(parts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.yaml"
        path.write_text("".join(parts), encoding="utf-8")
        with contextlib.suppress(ConfigError):
            config.load(path, Outer)
