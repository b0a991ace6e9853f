"""The rules by which icons become data set or corpus, on icons made up here."""

import json

import numpy as np
import torch

from pipeline.icons import augment, corpus, iconify, pretrain, selection
from pipeline.icons.iconify import Icon


def icon(prefix: str, name: str) -> Icon:
    return Icon(prefix, name, (), "")


def test_words_leave_out_numbers_and_style():
    assert iconify.words("bell-02-solid") == ("bell",)
    assert iconify.words("credit-card-one") == ("credit", "card")


def test_a_label_is_the_one_class_whose_word_stands_in_the_name():
    assert selection.label_of("alarm-clocks-2") == "clock"
    assert selection.label_of("gear") == "setting"
    assert selection.label_of("music-file") is None
    assert selection.label_of("tree") is None
    assert selection.label_of("handle") is None


def test_variants_and_themes_are_one_design():
    assert selection.design(icon("streamline-plump-color", "bell-1-flat")) == ("streamline", "bell-1")
    assert selection.design(icon("streamline-freehand", "bell-1")) == ("streamline", "bell-1")
    assert selection.design(icon("pixel", "bell-solid")) == ("pixel", "bell")
    assert selection.design(icon("lucide", "bell")) != selection.design(icon("tabler", "bell"))


def test_of_a_design_one_candidate_stays_and_short_names_come_first():
    sets = {prefix: [] for prefixes in selection.DOMAINS.values() for prefix in prefixes}
    sets["lucide"] = [icon("lucide", "lock-key-old"), icon("lucide", "lock")]
    sets["streamline-freehand"] = [icon("streamline-freehand", "hand-high")]
    sets["streamline-freehand-color"] = [icon("streamline-freehand-color", "hand-high")]
    sets["ph"] = [icon("ph", "file-fill"), icon("ph", "file-bold")]
    names = [candidate.icon.name for candidate in selection.candidates(sets)]
    assert sorted(names[:2]) == ["file-fill", "lock"]
    assert names[2:] == ["hand-high", "lock-key-old"]


def test_twins_are_dropped_in_order_of_preference():
    rows = np.array([[1, 0], [0, 1], [0.999, 0.0447]], np.float32)
    assert selection.without_twins(rows, 0.96).tolist() == [0, 1]
    assert selection.near(rows[2:], rows[:1], 0.96).tolist() == [True]
    assert selection.near(rows[2:], rows[:0], 0.96).tolist() == [False]


def test_sets_of_the_data_set_their_kin_and_other_pictures_are_not_read():
    def facts(licence="MIT", category="UI 24px"):
        return {"license": {"spdx": licence}, "category": category}

    sets = {
        "mdi": facts(),
        "famicons": facts(),
        "tabler": facts(),
        "fa6-solid": facts(),
        "bx": facts(),
        "phx": facts(),
        "twemoji": facts(category="Emoji"),
        "circle-flags": facts(category="Flags / Maps"),
        "gala": facts("GPL-3.0"),
        "devicon": facts(category="Programming"),
        "codicon": facts(category="Programming"),
    }
    assert corpus.allowed_sets(sets) == ["codicon", "famicons", "mdi", "phx"]


def test_a_small_package_goes_from_svg_to_pairs(tmp_path):
    square = '<path fill="currentColor" d="M2 2h20v20H2z"/>'
    ring = '<circle cx="12" cy="12" r="8" fill="none" stroke="currentColor"/>'
    icons = {
        "box-solid": {"body": square},
        "ring": {"body": ring},
        "gone": {"body": square, "hidden": True},
        "void": {"body": ""},
    }
    (tmp_path / "json").mkdir()
    facts = {"mdi": {"license": {"spdx": "MIT"}, "category": "UI 24px", "name": "M", "author": {"name": "A"}}}
    (tmp_path / "collections.json").write_text(json.dumps(facts))
    aliases = {"circle": {"parent": "ring"}, "turned": {"parent": "ring", "rotate": 1}}
    (tmp_path / "json/mdi.json").write_text(json.dumps({"icons": icons, "aliases": aliases, "width": 24, "height": 24}))
    far = np.full((1, 64, 64, 3), 255, np.uint8)
    far[0, 10:20, 30:60:4] = 0
    [(prefix, resembling, pairs)] = list(corpus.gather(tmp_path, far))
    assert (prefix, resembling) == ("mdi", 0)
    assert pairs.names == ["box-solid", "ring"]
    assert pairs.captions == [("box",), ("ring", "circle")]
    assert pairs.images.shape == (2, 64, 64, 3)
    [(_, resembling, rest)] = list(corpus.gather(tmp_path, pairs.images[1:]))
    assert (resembling, rest.names) == (1, ["box-solid"])


def test_restyling_is_a_function_of_its_generator_and_stays_in_range():
    pixels = torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    flippable = torch.ones(16, dtype=torch.bool)
    one, two = (augment.restyle(pixels, flippable, 48, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (16, 3, 48, 48)
    assert one.min() >= 0
    assert one.max() <= 1


def test_equal_captions_are_positives_of_one_another():
    rows = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    scale = torch.tensor(20.0)
    apart = pretrain.contrast(rows, rows, scale, torch.tensor([0, 1, 2]))
    together = pretrain.contrast(rows, rows, scale, torch.tensor([0, 0, 2]))
    # Two equal rows under two names share their probability: ln 2 for each of them; under one name it is what is asked.
    assert apart.item() == together.item()
    assert abs(apart.item() - 2 / 3 * np.log(2)) < 1e-4
