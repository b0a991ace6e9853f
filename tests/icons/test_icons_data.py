"""The embedded data set as it ships: its rules, and that the teacher never saw it."""

import hashlib
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from pipeline.icons import corpus, iconify, selection
from pipeline.icons.iconify import Icon
from pipeline.icons.selection import CLASSES, DOMAINS, MINIMUM, PER_CELL, TWIN_COSINE
from pipeline.samples.images import decode
from tests.conftest import ROOT

DATA = ROOT / "pipeline/data"


@pytest.fixture(scope="module")
def table():
    return pq.read_table(DATA / "icons.parquet").to_pylist()


@pytest.fixture(scope="module")
def images(table):
    return np.stack([np.asarray(decode(row["image"], exif=False)) for row in table])


def test_every_cell_has_enough_and_none_too_many(table):
    counts = Counter((row["domain"], row["label"]) for row in table)
    assert len(counts) == len(DOMAINS) * len(CLASSES) == 100
    assert min(counts.values()) >= MINIMUM == 8
    assert max(counts.values()) <= PER_CELL == 60


def test_every_image_is_a_64_pixel_picture_with_set_and_name(table, images):
    assert images.shape == (len(table), 64, 64, 3)
    assert all(row["set"] in DOMAINS[row["domain"]] for row in table)
    assert all(selection.label_of(row["name"]) == row["label"] for row in table)


def test_no_design_stands_twice(table):
    designs = [selection.design(Icon(row["set"], row["name"], (), "")) for row in table]
    assert len(set(designs)) == len(designs)


def test_no_picture_has_a_twin(images):
    rows = iconify.descriptors(images)
    similar = rows @ rows.T
    np.fill_diagonal(similar, 0)
    assert similar.max() <= TWIN_COSINE + 1e-6


def test_the_teacher_read_no_icon_and_no_set_of_the_data_set(images):
    read = pq.read_table(DATA / "icons_teacher/corpus.parquet")
    assert read.num_rows > 100_000
    prefixes = set(read["set"].to_pylist())
    assert len(prefixes) > 100
    assert prefixes.isdisjoint({prefix for sets in DOMAINS.values() for prefix in sets})
    assert not [prefix for prefix in prefixes if corpus.DATA_SET_FAMILIES.search(prefix)]
    digests = set(read["digest"].to_pylist())
    assert digests.isdisjoint({hashlib.sha256(image.tobytes()).digest()[:16] for image in images})


def test_the_teachers_weights_are_half_precision_and_small():
    path = DATA / "icons_teacher/open_clip_model.safetensors"
    assert path.stat().st_size <= 40e6
    with safe_open(path, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds <= {"F16", "I64"}
    assert json.loads((DATA / "icons_teacher/open_clip_config.json").read_text())["model_cfg"]["embed_dim"] == 256


def test_every_set_is_in_the_notice(table):
    notice = (ROOT / "NOTICE").read_text()
    read = set(pq.read_table(DATA / "icons_teacher/corpus.parquet")["set"].to_pylist())
    missing = [prefix for prefix in {row["set"] for row in table} | read if f"\n{prefix}: " not in notice]
    assert missing == []
