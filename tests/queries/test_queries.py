"""Questions to a cache: what FAISS says is what brute force says, and what commands make of it."""

import re
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.cache import reader
from pipeline.errors import InputError
from pipeline.queries import duplicates, index
from pipeline.queries.features import Features
from pipeline.queries.probe import probe
from pipeline.samples import table
from pipeline.samples.table import Sample
from tests.conftest import change, files, ok, refused, run_scmd


def unit_rows(seed: int, count: int, width: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def sample(at: int, domain="a", label=0, id=None) -> Sample:
    return Sample(id or f"{at:064x}", f"{domain}/{label}/{at}", domain, str(label), label, at, 9, 9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 60), k=st.integers(1, 70))
def test_the_nearest_are_those_of_brute_force(tmp_path_factory, seed, count, k):
    rows, questions = unit_rows(seed, count), unit_rows(seed + 1, 3)
    scores, found = index.build(rows, tmp_path_factory.getbasetemp() / "never").nearest(questions, k)
    cosines = questions.astype(np.float64) @ rows.astype(np.float64).T
    assert found.tolist() == np.argsort(-cosines, axis=1)[:, : min(k, count)].tolist()
    assert scores == pytest.approx(-np.sort(-cosines, axis=1)[:, : min(k, count)], abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 60), least=st.floats(-0.9, 0.9))
def test_pairs_are_those_of_brute_force(tmp_path_factory, seed, count, least):
    rows = unit_rows(seed, count)
    scores, firsts, seconds = index.build(rows, tmp_path_factory.getbasetemp() / "never").pairs(least)
    cosines = np.triu(rows.astype(np.float64) @ rows.astype(np.float64).T, 1)
    sure = [tuple(pair) for pair in np.argwhere(np.triu(cosines >= least + 1e-6, 1)).tolist()]
    perhaps = {tuple(pair) for pair in np.argwhere(np.triu(cosines >= least - 1e-6, 1)).tolist()}
    found = list(zip(firsts.tolist(), seconds.tolist(), strict=True))
    assert found == sorted(found)
    assert set(sure) <= set(found) <= perhaps
    assert scores == pytest.approx([cosines[pair] for pair in found], abs=1e-5)


def test_above_the_threshold_it_is_approximate_said_and_kept(tmp_path, capsys):
    rows, kept = unit_rows(0, 3000), tmp_path / "index"
    exact, rough = index.build(rows, kept), index.build(rows, kept, exact_up_to=2999)
    assert exact.exact
    assert not rough.exact
    assert "3,000 rows are more than 2,999: the search is approximate" in capsys.readouterr().err
    (file,) = kept.iterdir()
    before = file.stat().st_mtime_ns
    again = index.build(rows, kept, exact_up_to=2999)
    assert file.stat().st_mtime_ns == before
    questions = unit_rows(1, 50)
    (_, one), (_, two), (_, three) = (which.nearest(questions, 5) for which in (exact, rough, again))
    assert (two == three).all()
    overlap = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(one.tolist(), two.tolist(), strict=True)])
    assert 0.3 < overlap <= 1
    # Other rows are another index, and a damaged file is none.
    fewer = index.build(rows[1:], kept, exact_up_to=2998)
    assert fewer.nearest(rows[1:2], 1)[1].tolist() == [[0]]
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert index.build(rows[1:], kept, exact_up_to=2998).nearest(rows[1:2], 1)[1].tolist() == [[0]]


def test_a_flood_of_pairs_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(index, "MOST_PAIRS", 100)
    rows = np.tile(unit_rows(0, 1), (50, 1))
    with pytest.raises(InputError, match="more than 100 pairs of pictures are alike at"):
        index.build(rows, tmp_path).pairs(0.9)


def test_a_probe_is_the_majority_of_the_nearest_and_never_the_same_picture():
    # On a circle: class 0 near 0°, class 1 near 90°; the last of domain b is a copy of a's first under another label.
    angles = np.deg2rad([0, 5, 10, 80, 85, 90, 2, 88, 7, 0])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    labels, domains = [0, 0, 0, 1, 1, 1, 0, 1, 0, 1], "aaaaaabbbb"
    samples = tuple(sample(at, domain, label) for at, (domain, label) in enumerate(zip(domains, labels, strict=True)))
    samples = (*samples[:-1], sample(9, "b", 1, id=samples[0].id))
    first, second = probe(Features(samples, rows), k=1)
    assert (first.domain, first.samples, first.within, first.across) == ("a", 6, 1.0, 1.0)
    # 7° and 2° are each other's nearest but for the copy at 0°, whose label is wrong: it misleads 2° alone.
    assert second.within == pytest.approx(1 / 4)
    assert second.across == pytest.approx(3 / 4)


def test_votes_count_and_cosines_settle_a_draw():
    angles = np.deg2rad([0, 3, 10, 12])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    samples = tuple(sample(at, "a", label) for at, label in enumerate([1, 1, 0, 0]))
    samples = (*samples, sample(9, "b", 0))
    rows = np.concatenate([rows, rows[:1]])
    (one, other) = probe(Features(samples, rows), k=2)
    assert one.within == 1.0  # of 0°: 3° and 10°, a draw that the nearer wins; and so on
    assert other.across == 0.0


def test_groups_leave_out_all_but_the_first():
    one, two, three, four = (sample(at) for at in range(4))
    pair = lambda a, b: duplicates.Pair(a, b, 1.0, exact=False)  # noqa: E731
    assert duplicates.to_exclude([pair(three, two), pair(one, two)]) == [two, three]
    assert duplicates.to_exclude([pair(one, two), pair(three, four)]) == [two, four]
    assert duplicates.to_exclude([]) == []


def test_a_pair_leaks_where_a_held_out_domain_meets_another():
    pair = duplicates.Pair(sample(0, "a"), sample(1, "b"), 1.0, exact=True)
    assert pair.leaks(["a"])
    assert pair.leaks(["b", "c"])
    assert not pair.leaks(["c"])
    assert not duplicates.Pair(sample(0, "a"), sample(1, "a"), 1.0, exact=True).leaks(["a"])


def test_likeness_is_blind_to_brightness_and_sees_another_picture():
    random = np.random.default_rng(0)
    one = Image.fromarray(random.integers(60, 200, (64, 64, 3), np.uint8))
    darker = Image.fromarray((np.asarray(one) * 0.7).astype(np.uint8))
    other = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8))
    first = duplicates.pattern(one)
    assert duplicates.likeness(first, first) == pytest.approx(1)
    assert duplicates.likeness(first, duplicates.pattern(darker)) > 0.99
    assert duplicates.likeness(first, duplicates.pattern(other)) < 0.5
    assert not duplicates.pattern(Image.new("RGB", (9, 9), "white")).any()


# The commands.


@pytest.fixture
def mine(made, tmp_path):
    return shutil.copytree(made, tmp_path / "mine")


def listed(output: str) -> list[tuple[float, str]]:
    return [(float(score), key) for score, key in re.findall(r"^(-?\d\.\d{3})  (\S+)  ", output, re.M)]


def brute(project, question: np.ndarray) -> list[tuple[float, str]]:
    cache, samples = reader.open_complete(project / "cache/toy/tiny"), table.read(project / "cache/toy")
    row = {one.id: at for at, one in enumerate(cache.rows)}
    clean = cache.column("image_features")[:, 0].astype(np.float64)
    unit = clean / np.linalg.norm(clean, axis=1, keepdims=True)
    cosines = unit @ (question / np.linalg.norm(question))
    return sorted(((cosines[row[one.id]], one.key) for one in samples.rows), reverse=True)


def test_a_sample_finds_itself_first_by_key_and_by_id(mine):
    samples = table.read(mine / "cache/toy").rows
    cache = reader.open_complete(mine / "cache/toy/tiny")
    at = next(at for at, row in enumerate(cache.rows) if row.id == samples[4].id)
    expected = brute(mine, cache.column("image_features")[at, 0].astype(np.float64))[:7]
    for name in (samples[4].key, samples[4].id[:16]):
        found = listed(ok("cache", "search", "--sample", name, "-k", "7", cwd=mine))
        assert found[0] == (1.0, samples[4].key)
        assert [key for _, key in found] == [key for _, key in expected]
        assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-3)


def test_a_picture_finds_its_own_sample_and_a_text_what_brute_force_finds(mine, tiny_teacher):
    path = "images/neon/square/3.png"
    output = ok("cache", "search", "--image", path, "-k", "3", "--sheet", "sheet.png", cwd=mine)
    assert listed(output)[0] == (pytest.approx(1.0, abs=2e-3), "neon/square/3.png")
    with Image.open(mine / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 3 * 160
    import torch

    from pipeline.teacher import clip
    from pipeline.teacher.settings import TeacherSettings

    teacher = clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), torch.device("cpu"))
    expected = brute(mine, teacher.encode_texts([["a round thing"]])[0, 0].astype(np.float64))
    found = listed(ok("cache", "search", "--text", "a round thing", "-k", "36", cwd=mine))
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-3)


def test_copies_are_the_files_by_domain_and_class(mine):
    ok("cache", "search", "--sample", "ink/disc/0.png", "-k", "36", "--copies", "found", cwd=mine)
    assert files(mine / "found") == files(mine / "images")
    (mine / "images/ink/disc/0.png").unlink()
    assert "is missing" in refused("cache", "search", "--text", "a", "-k", "36", "--copies", "more", cwd=mine)


def test_questions_that_cannot_be_asked_are_one_sentence(mine):
    assert "say what to look for" in refused("cache", "search", cwd=mine)
    assert "say what to look for" in refused("cache", "search", "--text", "a", "--sample", "b", cwd=mine)
    assert "of no samples; name one" in refused("cache", "search", "--sample", "nowhere", cwd=mine)
    assert "of 36 samples; name one" in refused("cache", "search", "--sample", "", cwd=mine)
    assert "cannot be read as an image" in refused("cache", "search", "--image", "configs/experiment.yaml", cwd=mine)


def test_the_probe_has_a_line_a_domain(mine):
    lines = ok("cache", "probe", "-k", "3", cwd=mine).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["clay", "ink", "neon"]
    assert all(0 <= float(value) <= 100 for line in lines[1:4] for value in line.split()[2:])


def test_a_leak_is_named_ends_with_exit_code_one_and_the_list_mends_it(mine):
    """A held-out picture that also stands in a source: once as it is, once stored anew; and one across splits."""
    shutil.copy(mine / "images/ink/disc/0.png", mine / "images/clay/disc/copy.png")
    Image.open(mine / "images/ink/square/1.png").resize((200, 180)).save(
        mine / "images/neon/square/again.jpg", quality=85
    )
    shutil.copy(mine / "images/clay/square/2.png", mine / "images/clay/square/twice.png")
    for stage in ("samples", "teacher"):
        ok(stage, cwd=mine)
    before = {row.key: row.position for row in table.read(mine / "cache/toy").rows}
    command = ("cache", "duplicates", "--near", "0.9", "--exclude", "configs/exclude.txt")
    told = refused(*command, cwd=mine)
    assert re.search(r"2 pairs join a held-out domain \(ink\) with another", told)
    listed = set((mine / "configs/exclude.txt").read_text().splitlines())
    assert {"ink/disc/0.png", "neon/square/again.jpg"} <= listed
    assert len({"clay/square/2.png", "clay/square/twice.png"} & listed) == 1
    change(mine, "datasets/toy.yaml", exclude="configs/exclude.txt")
    output = ok("samples", cwd=mine)
    assert "excluded by the configuration's list" in output
    after = {row.key: row.position for row in table.read(mine / "cache/toy").rows}
    assert after == {key: position for key, position in before.items() if key not in listed}
    assert "0 exact and 0 near pairs" in ok(*command, cwd=mine)
    assert set((mine / "configs/exclude.txt").read_text().splitlines()) == listed


def test_without_images_near_pairs_are_told_by_their_features_and_that_is_said(mine):
    shutil.rmtree(mine / "images")
    done = ok("cache", "duplicates", "--near", "1", cwd=mine)
    assert "0 exact and" in done
    many = run_scmd("cache", "duplicates", "--near", "0.5", cwd=mine)
    assert re.search(r"of \d+ near pairs the images are not here: they are listed by their features alone", many.stderr)


def test_a_list_that_is_not_there_is_named(mine):
    change(mine, "datasets/toy.yaml", exclude="configs/nowhere.txt")
    assert "configs/nowhere.txt: the list that `exclude`" in refused("samples", cwd=mine)
    assert yaml.safe_load((mine / "configs/datasets/toy.yaml").read_text())["exclude"] == "configs/nowhere.txt"
