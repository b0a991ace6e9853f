"""`scmd teacher` as it is run: what it computes anew, what it keeps, and that a kill costs one block."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from pipeline.cache import reader
from pipeline.cache.layout import TEXT_CHUNK, encode
from pipeline.samples import table
from pipeline.teacher import zero_shot
from pipeline.views.distribution import Distribution, view_numbers
from tests.cache.test_hostile import sign
from tests.conftest import ENVIRONMENT, change, draw_image, files, ok, refused

CACHE = "cache/toy/tiny"
BUILDING = "cache/toy/.tiny.building"


def passed(output: str) -> int:
    """How many pictures the teacher saw, as the command says."""
    return int(output.split(" pictures went through")[0].split()[-1])


def test_the_cache_holds_what_the_format_says(made):
    cache = reader.open_complete(made / CACHE)
    assert (cache.shape.samples, cache.shape.views, cache.shape.classes, cache.shape.prompts) == (36, 3, 2, 2)
    features, logits = cache.column("image_features"), cache.column("logits")
    assert features.shape == (36, 3, 16)
    assert np.isfinite(features).all()
    for view in range(3):
        again = zero_shot.logits(features[:, view], cache.read_text_embeddings(), cache.attributes.logit_scale)
        assert again.tobytes() == logits[:, view].tobytes()
    row = cache.rows[5]
    assert (cache.column("views")[5, 2] == view_numbers(Distribution(), 0, row.id, 2, row.width, row.height)).all()


def test_a_complete_cache_costs_no_picture_and_changes_no_byte(ready):
    before = files(ready / CACHE)
    assert passed(ok("teacher", cwd=ready)) == 0
    assert files(ready / CACHE) == before


def test_two_runs_give_the_same_bytes_whatever_the_number_of_workers(made, ready):
    shutil.rmtree(ready / CACHE)
    ok("teacher", "--workers", "0", cwd=ready)
    assert files(ready / CACHE) == files(made / CACHE)


def test_changed_prompts_need_no_image(ready):
    features = reader.open_complete(ready / CACHE).column("image_features")
    shutil.rmtree(ready / "images")
    change(ready, "teachers/tiny.yaml", templates=["no more than a {}"])
    output = ok("teacher", cwd=ready)
    assert passed(output) == 0
    assert "only the text differs" in output
    cache = reader.open_complete(ready / CACHE)
    assert cache.identity["templates"] == ["no more than a {}"]
    assert cache.column("image_features").tobytes() == features.tobytes()
    again = zero_shot.logits(features[:, 1], cache.read_text_embeddings(), cache.attributes.logit_scale)
    assert again.tobytes() == cache.column("logits")[:, 1].tobytes()
    assert [path.name for path in (ready / "cache/toy").iterdir() if path.name.startswith(".tiny")] == [".tiny.lock"]


def test_another_view_setting_builds_a_new_cache(ready):
    change(ready, "teachers/tiny.yaml", seed=1)
    output = ok("teacher", cwd=ready)
    assert "another cache is built beside it, as drawing: seed is 0 in the cache, 1 is expected" in output
    assert passed(output) == 36 * 3


def test_more_views_compute_only_those(ready):
    before = files(ready / CACHE)
    change(ready, "teachers/tiny.yaml", views=5)
    assert passed(ok("teacher", cwd=ready)) == 36 * 2
    after = files(ready / CACHE)
    assert all(after[path] == data for path, data in before.items() if "/c/" in path)
    assert reader.open_complete(ready / CACHE).column("logits").shape == (36, 5, 2)


def test_an_extension_keeps_the_text_embeddings_that_the_logits_follow_from(ready):
    """They may be of a colleague's machine, whose last bits are others."""
    cache = reader.open_complete(ready / CACHE)
    text = encode(cache.read_text_embeddings() * np.float32(1 + 1e-5), "raw")
    (cache.folder / TEXT_CHUNK).write_bytes(text)
    sign(cache.folder, TEXT_CHUNK)
    change(ready, "teachers/tiny.yaml", views=4)
    assert passed(ok("teacher", cwd=ready)) == 36
    assert (ready / CACHE / TEXT_CHUNK).read_bytes() == text
    ok("cache", "verify", cwd=ready)


def test_a_new_a_moved_and_a_removed_image(ready):
    before = reader.open_complete(ready / CACHE)
    images = ready / "images"
    draw_image("ink", "disc", 77).save(images / "ink/disc/new.png")
    (images / "clay/disc/0.png").rename(images / "clay/square/moved.png")
    (images / "neon/square/1.png").unlink()
    ok("samples", cwd=ready)
    assert passed(ok("teacher", cwd=ready)) == 3
    after = reader.open_complete(ready / CACHE)
    assert after.rows[:36] == before.rows
    assert len(after.rows) == 37
    assert after.column("image_features")[:36].tobytes() == before.column("image_features").tobytes()
    ok("pixels", cwd=ready)
    ok("student", "--held-out", "ink", "--method", "kd", cwd=ready)


def test_killed_twice_and_run_again_it_goes_on_by_blocks(project):
    change(project, "teachers/tiny.yaml", block=2)
    ok("samples", cwd=project)
    ok("teacher", cwd=project)
    whole = files(project / CACHE)
    shutil.rmtree(project / CACHE)
    done = 0
    for number in range(2):
        kill_after_block(project, 2 + 3 * number)
        done = len(list((project / BUILDING / "ledger").glob("[0-9]*.json")))
        assert 0 < done < 18
        assert not (project / CACHE).exists()  # it comes into its place when it is whole
    output = ok("teacher", cwd=project)
    assert 0 < passed(output) <= (18 - done + 1) * 2 * 3
    assert files(project / CACHE) == whole


def kill_after_block(project, block: int) -> None:
    """Runs stage one and sends SIGKILL to it and its workers once the ledger of `block` is there."""
    command = [sys.executable, "-m", "pipeline.cli", "teacher", "--workers", "0"]
    running = subprocess.Popen(command, cwd=project, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True)
    ledger = project / BUILDING / "ledger" / f"{block}.json"
    deadline = time.monotonic() + 120
    while not ledger.exists():
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.0005)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_what_was_begun_with_other_settings_waits_for_them(ready):
    change(ready, "teachers/tiny.yaml", block=2, seed=5)
    kill_after_block(ready, 3)
    change(ready, "teachers/tiny.yaml", block=16, seed=0)
    told = ok("teacher", cwd=ready)
    assert "an unfinished cache of other settings waits here" in told
    assert passed(told) == 0
    change(ready, "teachers/tiny.yaml", block=2, seed=5)
    assert 0 < passed(ok("teacher", cwd=ready)) <= 36 * 3 - 3 * 6


def test_a_cache_that_is_no_cache_is_refused(ready):
    (ready / CACHE / "zarr.json").write_text("{}")
    assert "zarr.json: not the file that the ledger lists" in refused("teacher", cwd=ready)


def test_a_teacher_that_answers_with_no_numbers_stops_the_build_and_names_the_sample(project, tiny_teacher):
    broken = project / "broken"
    shutil.copytree(tiny_teacher, broken)
    weights = load_file(broken / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] = float("nan")
    save_file(weights, broken / "open_clip_model.safetensors")
    change(project, "teachers/tiny.yaml", model=f"local-dir:{broken}")
    ok("samples", cwd=project)
    sentence = refused("teacher", cwd=project)
    assert "sample clay/disc/0.png: the teacher's features hold NaN or infinity" in sentence
    assert list((project / BUILDING / "ledger").iterdir()) == [project / BUILDING / "ledger/head.json"]


def test_a_plan_says_what_will_be_computed_and_does_nothing(project):
    ok("samples", cwd=project)
    before = files(project)
    output = ok("teacher", "--plan", cwd=project)
    assert "108 pictures to encode, so that 36 samples × 3 views stand" in output
    assert "pictures/s measured here" in output
    assert files(project) == before
    ok("teacher", cwd=project)
    stored = sum(len(data) for path, data in files(project / CACHE).items() if "/c/" in path and "text" not in path)
    assert f"{stored:,} bytes of chunks to write; the whole cache has {stored:,}" in output
    assert "0 pictures to encode" in ok("teacher", "--plan", cwd=project)
    (project / CACHE / "image_features/c/1/2/0").unlink()
    assert "16 pictures to encode" in ok("teacher", "--plan", cwd=project)
    change(project, "teachers/tiny.yaml", views=4)
    assert "52 pictures to encode, so that 36 samples × 4 views stand" in ok("teacher", "--plan", cwd=project)
    change(project, "teachers/tiny.yaml", templates=["{}"], views=3)
    output = ok("teacher", "--plan", cwd=project)
    assert "bytes of the image pass are copied" in output


def test_a_worker_that_the_system_kills_ends_the_run_by_name_and_the_next_goes_on(project):
    change(project, "teachers/tiny.yaml", views=300, block=2)
    ok("samples", cwd=project)
    command = [sys.executable, "-m", "pipeline.cli", "teacher", "--workers", "1"]
    running = subprocess.Popen(command, cwd=project, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while not (project / BUILDING / "ledger/0.json").exists():
        assert running.poll() is None
        time.sleep(0.01)
    os.kill(worker_of(running.pid), signal.SIGKILL)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "Traceback" not in said
    assert "scmd: a worker process died" in said
    assert "this cache is not finished" in refused("cache", "verify", cwd=project)
    assert "whole as far as it goes" in refused("cache", "verify", BUILDING, cwd=project)


def worker_of(pid: int) -> int:
    """The process that draws for stage one: a copy of the server that multiprocessing keeps."""
    (server,) = [one for one in children(pid) if b"forkserver" in Path(f"/proc/{one}/cmdline").read_bytes()]
    (worker,) = children(server)
    return worker


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_cache_folder_may_be_a_link_to_another_disk(ready, tmp_path):
    """Another cache takes the place of what the link leads to; the link stays."""
    elsewhere = tmp_path / "disk" / "tiny"
    elsewhere.parent.mkdir()
    (ready / CACHE).rename(elsewhere)
    (ready / CACHE).symlink_to(elsewhere)
    change(ready, "teachers/tiny.yaml", seed=5)
    ok("teacher", cwd=ready)
    assert (ready / CACHE).is_symlink()
    assert [path.name for path in elsewhere.parent.iterdir() if not path.name.endswith(".lock")] == ["tiny"]
    assert reader.open_complete(ready / CACHE).identity["drawing"]["seed"] == 5


def test_a_block_is_kept_though_the_first_image_of_the_next_is_broken(project):
    ok("samples", cwd=project)
    row = table.read(project / "cache/toy").unique()[16]
    (project / "images" / row.key).write_bytes(b"")
    assert f"image {row.key} under images has changed" in refused("teacher", "--workers", "0", cwd=project)
    assert (project / BUILDING / "ledger/0.json").is_file()
