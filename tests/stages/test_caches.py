"""`scmd cache`: told, compared, verified and mended through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache import ledger, reader
from pipeline.cache.files import sha256
from pipeline.cache.layout import METADATA, VIEW_ARRAYS, encode
from pipeline.cache.rows import read_rows, rows_file
from pipeline.cache.writer import HEAD_PATHS
from pipeline.experiment import places
from pipeline.stage_one import task
from pipeline.stage_one.encoding import here
from pipeline.stages import teacher
from tests.cache.test_hostile import sign
from tests.conftest import change, draw_image, files, ok, refused, run_scmd
from tests.stages.test_stage_one import CACHE, passed

STUDENT = ("student", "--held-out", "ink", "--method", "scmd")
CHUNK = "image_features/c/1/2/0"


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_whole_cache_is_verified_and_changes_no_byte(ready):
    before = files(ready / CACHE)
    output = ok("cache", "verify", "--replay", "20", "--against-teacher", "6", cwd=ready)
    assert f"whole, 36 samples × 3 views; content {reader.open_complete(ready / CACHE).content_digest()}" in output
    assert "20 views drawn again: the same pictures" in output
    assert "6 views encoded again: features and text differ by at most" in output
    assert files(ready / CACHE) == before


HARMS = {
    "a flipped bit": (flip, "damaged: not the bytes that are listed"),
    "gone": (lambda path: path.unlink(), "missing"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cut short: 507 bytes, 516 are listed"),
    "swapped": (
        lambda path: shutil.copy(path.parents[2] / "0/1/0", path),
        "holds what image_features/c/0/1/0 should (swapped or duplicated)",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_chunk_is_named_and_it_alone_is_computed_again(ready, harm):
    before = files(ready / CACHE)
    do, what = HARMS[harm]
    do(ready / CACHE / CHUNK)
    done = run_scmd("cache", "verify", cwd=ready)
    assert done.returncode == 1
    assert f"{CACHE}/{CHUNK}" not in files(ready / CACHE)
    assert f"{CACHE}: {CHUNK}: {what}" in done.stdout
    assert f"scmd: {CACHE}: 1 faults" in done.stderr
    assert passed(ok("cache", "repair", cwd=ready)) == 16
    assert files(ready / CACHE) == before


@pytest.mark.parametrize(
    ("path", "pictures"),
    [
        ("ledger/1.json", 48),
        ("ledger/head.json", 0),
        ("zarr.json", 0),
        ("logits/c/2/0/0", 0),
    ],
)
def test_any_other_file_is_named_and_comes_back_as_it_was(ready, path, pictures):
    """Every file in turn: `tests/faults`, case 10, repaired."""
    before = files(ready / CACHE)
    flip(ready / CACHE / path)
    done = run_scmd("cache", "verify", cwd=ready)
    assert done.returncode == 1
    assert f"{CACHE}: {path}: " in done.stdout
    assert passed(ok("cache", "repair", cwd=ready)) == pictures
    assert files(ready / CACHE) == before


def test_a_stray_file_and_a_stale_chunk_are_named(ready):
    old = (ready / CACHE / CHUNK).read_bytes()
    change(ready, "teachers/tiny.yaml", seed=1)
    ok("teacher", cwd=ready)
    (ready / CACHE / CHUNK).write_bytes(old)
    (ready / CACHE / "logits/c/0/note").write_text("mine")
    done = run_scmd("cache", "verify", cwd=ready)
    assert f"{CHUNK}: whole, but not the one that is listed: stale, of another run" in done.stdout
    assert "logits/c/0/note: named by no ledger" in done.stdout
    ok("cache", "repair", cwd=ready)
    ok("cache", "verify", cwd=ready)
    assert not (ready / CACHE / "logits/c/0/note").exists()


def test_a_torn_chunk_is_seen_by_a_second_run_of_stage_one(ready):
    before = files(ready / CACHE)
    path = ready / CACHE / "pixel_probe/c/1/0/0"
    path.write_bytes(path.read_bytes()[:100])
    output = ok("teacher", cwd=ready)
    assert "pixel_probe/c/1/0/0: cut short: 100 bytes, 772 are listed; it is computed again" in output
    assert passed(output) == 0
    assert files(ready / CACHE) == before


def test_repair_refuses_another_configuration(ready):
    flip(ready / CACHE / CHUNK)
    change(ready, "teachers/tiny.yaml", seed=1)
    sentence = refused("cache", "repair", cwd=ready)
    assert "repair needs the teacher's and data set's configuration that the cache was made with" in sentence


def test_info_tells_shape_size_map_and_digests(ready):
    output = ok("cache", "info", CACHE, cwd=ready)
    assert "36 samples × 3 views, 16 numbers an embedding, 2 classes × 2 prompt templates" in output
    assert output.count("■■■\n") == 3
    assert "4,644 bytes,         1,548 a view" in " ".join(output.split("image_features")[1].splitlines()[:1])
    assert reader.open_complete(ready / CACHE).content_digest() in output
    assert "torch" in output


def test_diff_says_in_words_how_two_caches_differ(ready):
    shutil.copytree(ready / CACHE, ready / "other")
    assert "equal, byte for byte" in ok("cache", "diff", CACHE, "other", cwd=ready)
    change(ready, "teachers/tiny.yaml", seed=1, views=4, templates=["{}"])
    ok("teacher", cwd=ready)
    output = ok("cache", "diff", CACHE, "other", cwd=ready)
    assert "identity: drawing: seed is 1 in the first, 0 in the second" in output
    assert 'identity: templates is ["{}"] in the first' in output
    assert "views: 4 in the first, 3 in the second" in output
    assert "image_features: the same rows and views differ by up to" in output


def test_a_folder_without_a_cache_is_refused(project):
    for command in ("info", "verify"):
        assert "no teacher cache here" in refused("cache", command, cwd=project)


@pytest.mark.parametrize("path", ["prompts.parquet", "zarr.json"])
def test_repair_of_a_harmed_head_refuses_another_configuration(ready, path):
    flip(ready / CACHE / path)
    before = files(ready / CACHE)
    change(ready, "teachers/tiny.yaml", seed=1)
    sentence = refused("cache", "repair", cwd=ready)
    assert "configuration that" in sentence
    assert files(ready / CACHE) == before


def test_the_head_of_a_compressed_cache_comes_back_whatever_the_configuration_now_says_of_blocks(ready, monkeypatch):
    shutil.rmtree(ready / CACHE)
    monkeypatch.chdir(ready)
    monkeypatch.setattr(task, "CHAIN", "zstd")
    teacher.run(places.load(Path("configs/experiment.yaml")), here(0))
    before = files(ready / CACHE)
    change(ready, "teachers/tiny.yaml", views=2, block=5)
    for path in METADATA:
        flip(ready / CACHE / path)
    assert passed(ok("cache", "repair", cwd=ready)) == 0
    assert files(ready / CACHE) == before


def test_a_kill_between_a_damaged_head_and_its_successor_leaves_what_repair_mends(ready):
    before = files(ready / CACHE)
    ledger.forget(ready / CACHE, ledger.path_of(ledger.HEAD))
    assert "ledger/head.json: does not list image_features/zarr.json" in run_scmd("cache", "verify", cwd=ready).stdout
    assert passed(ok("cache", "repair", cwd=ready)) == 0
    assert files(ready / CACHE) == before


def test_a_cache_that_lost_its_head_is_mended_and_never_begun_anew(ready):
    before = files(ready / CACHE)
    (ready / CACHE / "ledger/head.json").unlink()
    for path in ("ledger/1.json", "views/c/0/2/0"):
        flip(ready / CACHE / path)
    assert "ledger/head.json: missing" in run_scmd("cache", "verify", cwd=ready).stdout
    assert "ledger/head.json: missing, or without what every cache has; run `scmd cache repair`" in refused(
        "teacher", cwd=ready
    )
    ok("cache", "repair", cwd=ready)
    assert files(ready / CACHE) == before


def test_a_head_that_no_block_confirms_is_not_believed(ready):
    (ready / CACHE / "ledger/head.json").unlink()
    rows = read_rows((ready / CACHE / "rows.parquet").read_bytes(), "rows.parquet")
    (ready / CACHE / "rows.parquet").write_bytes(rows_file(rows[::-1]))
    before = files(ready / CACHE)
    assert "no block's ledger says that it is of these rows" in refused("cache", "repair", cwd=ready)
    assert files(ready / CACHE) == before


def test_a_block_of_another_cache_is_computed_again(ready):
    before = files(ready / CACHE)
    shutil.copytree(ready / CACHE, ready / "mine")
    change(ready, "teachers/tiny.yaml", seed=1)
    ok("teacher", cwd=ready)
    for path in [path for path in before if path.split("/")[2:3] == ["1"]] + ["ledger/1.json"]:
        shutil.copy(ready / CACHE / path, ready / "mine" / path)
    shutil.rmtree(ready / CACHE)
    (ready / "mine").rename(ready / CACHE)
    change(ready, "teachers/tiny.yaml", seed=0)
    assert "ledger/1.json: of another cache" in run_scmd("cache", "verify", cwd=ready).stdout
    assert passed(ok("teacher", cwd=ready)) == 48
    assert files(ready / CACHE) == before


def test_repair_computes_nothing_but_what_is_harmed(ready):
    before = files(ready / CACHE)
    change(ready, "teachers/tiny.yaml", views=5)
    draw_image("ink", "disc", 77).save(ready / "images/ink/disc/new.png")
    ok("samples", cwd=ready)
    flip(ready / CACHE / "logits/c/2/0/0")
    assert passed(ok("cache", "repair", cwd=ready)) == 0
    assert files(ready / CACHE) == before


def test_verify_looks_at_the_folder_that_it_is_given_and_at_logits_and_text(ready):
    shutil.copytree(ready / CACHE, ready / "other")
    swapped = reader.open_any(ready / "other").column("logits")[:16, 1:2, ::-1]
    (ready / "other/logits/c/0/1/0").write_bytes(encode(swapped, "raw"))
    sign(ready / "other", "logits/c/0/1/0")
    ok("cache", "verify", CACHE, "--against-teacher", "300", cwd=ready)
    told = refused("cache", "verify", "other", "--replay", "10", "--against-teacher", "300", cwd=ready)
    assert "view 1: its logits do not follow from its features and the text embeddings" in told


def test_diff_calls_no_damaged_cache_equal(ready):
    shutil.copytree(ready / CACHE, ready / "other")
    flip(ready / "other/views/c/0/0/0")
    assert "other: views/c/0/0/0: damaged" in refused("cache", "diff", CACHE, "other", cwd=ready)


def test_a_folder_of_other_things_is_never_removed(project):
    (project / "cache/toy/tiny/thesis").mkdir(parents=True)
    (project / "cache/toy/tiny/thesis/precious.txt").write_text("years")
    ok("samples", cwd=project)
    assert "thesis/precious.txt: no file of the teacher cache that belongs here" in refused("teacher", cwd=project)
    assert (project / "cache/toy/tiny/thesis/precious.txt").read_text() == "years"


def test_more_chunks_than_a_reader_takes_are_refused_before_anything_is_written(ready):
    before = files(ready / CACHE)
    change(ready, "teachers/tiny.yaml", views=65_536, block=1, seed=1)
    assert "36 blocks × 65,536 views, where at most 262,144 chunks" in refused("teacher", cwd=ready)
    assert files(ready / CACHE) == before


def test_a_removed_image_makes_no_trap_of_more_views(ready):
    image = ready / "images/neon/square/1.png"
    data = image.read_bytes()
    image.unlink()
    ok("samples", cwd=ready)
    assert passed(ok("teacher", cwd=ready)) == 0
    change(ready, "teachers/tiny.yaml", views=5)
    assert "70 pictures to encode" in ok("teacher", "--plan", cwd=ready)
    told = ok("teacher", cwd=ready)
    assert f"1 images are gone, first that of id {sha256(data)[:12]}" in told
    assert passed(told) == 35 * 2
    assert "1 samples have not all views" in ok("cache", "info", cwd=ready)
    ok("cache", "verify", "--replay", "50", "--against-teacher", "50", cwd=ready)
    assert passed(ok("teacher", cwd=ready)) == 0
    # A student learns from the others.
    ok("pixels", cwd=ready)
    ok("student", "--held-out", "ink", "--method", "scmd", cwd=ready)
    # It comes back: a student is not given its fill, and stage one makes what is missing.
    image.write_bytes(data)
    ok("samples", cwd=ready)
    assert "1 images were gone when some of their views were made, and are there again" in refused(*STUDENT, cwd=ready)
    told = ok("cache", "verify", "--replay", "300", "--against-teacher", "100", cwd=ready)
    assert "whole, 36 samples × 5 views (1 samples have not all, as their images were gone)" in told
    ok("teacher", cwd=ready)
    assert "gone  " not in ok("cache", "info", cwd=ready)
    ok("cache", "verify", "--replay", "50", "--against-teacher", "50", cwd=ready)
    ok("pixels", cwd=ready)
    ok(*STUDENT, cwd=ready)


def test_what_stands_of_gone_images_outlives_the_return_of_another(ready):
    """One is gone before two views are added, another after: what was made of each while it was there stays."""
    early, late = (ready / f"images/neon/square/{number}.png" for number in (1, 2))
    data = early.read_bytes()
    early.unlink()
    ok("samples", cwd=ready)
    change(ready, "teachers/tiny.yaml", views=5)
    ok("teacher", cwd=ready)
    cache = reader.open_complete(ready / CACHE)
    row = next(at for at, one in enumerate(cache.rows) if one.id == sha256(late.read_bytes()))
    before = {name: cache.column(name)[row] for name in VIEW_ARRAYS}
    late.unlink()
    early.write_bytes(data)
    ok("samples", cwd=ready)
    ok("teacher", cwd=ready)
    cache = reader.open_complete(ready / CACHE)
    assert not cache.absent.any()
    assert all(np.array_equal(cache.column(name)[row], before[name]) for name in VIEW_ARRAYS)


def test_a_damaged_block_of_which_an_image_is_gone_is_repaired_without_it(ready):
    gone = ready / "images/neon/square/1.png"
    digest = sha256(gone.read_bytes())
    gone.unlink()
    ok("samples", cwd=ready)
    row = next(at for at, one in enumerate(reader.open_complete(ready / CACHE).rows) if one.id == digest)
    (ready / CACHE / f"image_features/c/{row // 16}/1/0").unlink()
    assert "1 images are gone" in ok("cache", "repair", cwd=ready)
    assert np.argwhere(reader.open_complete(ready / CACHE).absent).tolist() == [[row, 1]]
    ok("cache", "verify", "--against-teacher", "50", cwd=ready)


def test_whoever_does_not_know_absent_rows_refuses_the_ledger(ready):
    """Readers of format 1 before there were any: an entry had three keys, and another was a fault."""
    (ready / "images/neon/square/1.png").unlink()
    ok("samples", cwd=ready)
    change(ready, "teachers/tiny.yaml", views=4)
    ok("teacher", cwd=ready)
    keys = [
        set(entry)
        for path in (ready / CACHE / "ledger").glob("[0-9]*.json")
        for entry in json.loads(path.read_text())["files"].values()
    ]
    assert {"size", "sha256", "rows"} in keys
    assert {"size", "sha256", "rows", "absent"} in keys


def test_a_block_whose_images_are_all_gone_keeps_what_stands(ready):
    for name in ("disc", "square"):
        for image in (ready / "images/clay" / name).iterdir():
            image.unlink()
        for number in range(70, 73):
            draw_image("clay", name, number).save(ready / f"images/clay/{name}/{number}.png")
    for number in range(4):
        (ready / f"images/ink/disc/{number}.png").unlink()  # the rest of the first block of sixteen
    ok("samples", cwd=ready)
    change(ready, "teachers/tiny.yaml", views=4)
    assert "16 images are gone" in ok("teacher", cwd=ready)
    cache = reader.open_complete(ready / CACHE)
    assert cache.absent[:16, 3].all()
    assert cache.absent.sum() == 16
    ok("cache", "verify", "--replay", "50", "--against-teacher", "50", cwd=ready)


def test_what_an_older_head_does_not_have_is_given_up_by_repair(ready):
    for path in HEAD_PATHS:
        (ready / "kept" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ready / CACHE / path, ready / "kept" / path)
    change(ready, "teachers/tiny.yaml", views=5)
    ok("teacher", cwd=ready)
    change(ready, "teachers/tiny.yaml", views=3)
    shutil.copytree(ready / "kept", ready / CACHE, dirs_exist_ok=True)
    assert passed(ok("cache", "repair", cwd=ready)) == 0
    ok("cache", "verify", "--against-teacher", "20", cwd=ready)


def test_other_files_in_a_cache_are_not_lost_with_it(ready):
    (ready / CACHE / "notes.txt").write_text("mine")
    change(ready, "teachers/tiny.yaml", templates=["{}"])
    assert "notes.txt: no file of the teacher cache that belongs here" in refused("teacher", cwd=ready)
    assert (ready / CACHE / "notes.txt").read_text() == "mine"
