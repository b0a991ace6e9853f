"""From files to the samples table."""

import contextlib
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.samples import building, judging, table
from pipeline.samples.names import require_names
from pipeline.samples.table import Found
from tests.conftest import draw_image


class Memory:
    """Image bytes in a dictionary."""

    def __init__(self, contents: dict[str, bytes]):
        self.contents = contents

    def read(self, key: str) -> bytes:
        return self.contents[key]


def png(domain: str, name: str, number: int) -> bytes:
    buffer = io.BytesIO()
    draw_image(domain, name, number).save(buffer, "PNG")
    return buffer.getvalue()


def build(entries: dict[tuple[str, str, str], bytes], warnings: list | None = None, **options):
    found = [Found(key, domain, name) for key, domain, name in entries]
    memory = Memory({key: data for (key, *_), data in entries.items()})
    arguments = {"excluded": frozenset(), "domains": None, "classes": None, "exif": True, "flip": True}
    said = warnings if warnings is not None else []
    return building.build(found, memory, **{**arguments, **options}, warn=said.append)


def entries(**changed: bytes) -> dict[tuple[str, str, str], bytes]:
    places = [(f"{d}/{c}/0", d, c) for d in ("clay", "ink") for c in ("disc", "square")]
    return {place: changed.get(place[0].replace("/", "_"), png(place[1], place[2], 0)) for place in places}


def test_what_is_excluded_is_set_aside_and_keeps_its_position():
    more = entries() | {("ink/disc/1", "ink", "disc"): png("ink", "disc", 1)}
    samples, quarantine = build(more, excluded={"ink/disc/0"})
    assert [row.key for row in samples.rows] == ["clay/disc/0", "clay/square/0", "ink/square/0", "ink/disc/1"]
    assert [(row.key, row.reason) for row in quarantine] == [("ink/disc/0", building.EXCLUDED)]
    assert [row.position for row in samples.rows] == [0, 1, 1, 2]
    assert samples.found == {"clay": 2, "ink": 3}
    with pytest.raises(InputError, match="`exclude` names ink/disc/9, and the data set has no such image"):
        build(more, excluded={"ink/disc/9"})


def test_every_readable_file_is_a_row_and_the_rest_has_a_reason():
    samples, quarantine = build(entries(ink_disc_0=b"") | {("ink/disc/1", "ink", "disc"): png("ink", "disc", 1)})
    assert [row.key for row in samples.rows] == ["clay/disc/0", "clay/square/0", "ink/square/0", "ink/disc/1"]
    assert [(row.key, row.reason) for row in quarantine] == [("ink/disc/0", "empty file")]
    # Positions and counts are over what was found: DomainBed splits before anything is set aside.
    assert [row.position for row in samples.rows] == [0, 1, 1, 2]
    assert samples.found == {"clay": 2, "ink": 3}


def test_the_table_reads_back_as_it_was_written(tmp_path):
    samples, quarantine = build(entries())
    table.write(samples, quarantine, tmp_path)
    assert table.read(tmp_path) == samples
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quarantine.parquet", "samples.parquet"]


def test_one_domain_is_not_enough():
    one = {place: data for place, data in entries().items() if place[1] == "ink"}
    with pytest.raises(InputError, match="at least two domains, found `ink`"):
        build(one)


def test_a_class_that_only_some_domains_have_is_allowed_with_a_warning():
    said = []
    some = {place: data for place, data in entries().items() if place[0] != "ink/disc/0"}
    samples, _ = build(some, said)
    assert len(samples.rows) == 3
    assert said == [
        "domain `ink` has no image of disc",
        "class `disc` is in domain `clay` alone: where `clay` is held out, no other domain teaches it",
    ]


def test_a_class_that_the_configuration_does_not_name_says_what_to_do():
    with pytest.raises(
        InputError, match=r"class `square` is not among .* \(disc, star\); name it there, or take its images"
    ):
        build(entries(), classes=("disc", "star"))


def test_a_held_out_domain_that_leaks_is_told():
    copied = entries(ink_disc_0=png("clay", "disc", 0))
    samples, _ = build(copied)
    (told,) = judging.leaks(samples.rows, ["ink"])
    assert told.startswith(
        "1 of 2 pictures of held-out domain `ink` also stand in another domain, first ink/disc/0 and clay/disc/0:"
    )
    assert [line.split(" pictures")[0] for line in judging.leaks(samples.rows, ["clay", "ink"])] == ["1 of 2", "1 of 2"]
    assert not list(judging.leaks(build(entries())[0].rows, ["clay", "ink"]))


def test_a_class_of_which_nothing_can_be_read_is_refused_with_the_first_reason():
    with pytest.raises(
        InputError, match=r"none of the images of class `disc` can be read \(the first, clay/disc/0: empty"
    ):
        build(entries(ink_disc_0=b"", clay_disc_0=b""))


def test_a_class_of_the_configuration_that_no_domain_has_is_refused():
    with pytest.raises(InputError, match="class `zebra` of the configuration's `classes` has no image in any domain"):
        build(entries(), classes=("disc", "square", "zebra"))


def test_what_a_user_may_not_expect_of_pictures_is_said():
    def saved(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, **options)
        return buffer.getvalue()

    frames = [draw_image("ink", "disc", number).resize((9, 9)) for number in range(3)]
    twelve_bits = Image.fromarray(np.random.default_rng(0).integers(0, 4096, (9, 9)).astype(np.uint16))
    said = []
    build(
        entries(
            ink_disc_0=saved(frames[0], format="WEBP", save_all=True, append_images=frames[1:]),
            clay_disc_0=saved(twelve_bits, format="PNG"),
        ),
        said,
    )
    assert said == [
        "1 pictures: almost black: nothing above 31 of 255; first clay/disc/0",
        "1 pictures: several frames, of which the first is taken; first ink/disc/0",
    ]


def odd_names():
    return st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(name=odd_names())
def test_a_domain_that_is_taken_is_one_folder_and_one_word(name):
    with contextlib.suppress(InputError):
        require_names(("clay", name), ("disc", "square"))
        assert Path(name).name == name
        assert shlex.split(f'"{name}"') == [name]
        assert yaml.safe_load(json.dumps([name], ensure_ascii=False)) == [name]


NO_NAMES = ("drawn/ink", "../../../escaped", "..", ".hidden", "-v2", "Van Gogh's", 'the "best"', "$(touch x)", "${x}")
NO_WORDS = (
    "A$AP",
    "a\\b",
    "sketch ",
    " ",
    "best*",
    "a\nb",
    "\x1b[31m",
    "a;b",
    "a|b",
    "{x}",
    "photo [2019]",
    "#1",
    "`ls`",
)


@pytest.mark.parametrize("name", [*NO_NAMES, *NO_WORDS, "Average", "x" * 201])
def test_a_domain_that_is_no_folders_name_or_plain_word_is_refused(name):
    with pytest.raises(InputError, match="rename it"):
        require_names(("clay", name), ("disc", "square"))


@pytest.mark.parametrize(
    "name", ["Real World", "pen, ink", "水彩画", "16:9", "50% grey", "user@home", "v1.0-beta", "no", "été"]
)
def test_names_as_people_give_them_are_fine(name):
    require_names(("clay", name), ("disc", name, "T-shirt/top", "jack-o'-lantern"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "Cat"),
        ("alarm_clock", "alarm clock"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "straße"),
        ("a  b", "a b"),
    ],
)
@pytest.mark.parametrize("what", ["class", "domain"])
def test_two_names_that_are_one_when_spoken_are_refused_with_both(what, one, other):
    names = {"class": ("disc", "square"), "domain": ("clay", "ink"), what: (one, "third", other)}
    with pytest.raises(InputError, match=f"{what} .* and {what} .* are one when spoken") as refused:
        require_names(names["domain"], names["class"])
    assert repr(one) in str(refused.value)
    assert repr(other) in str(refused.value)


def test_what_is_set_aside_is_told_by_kind_ten_at_a_time(tmp_path):
    places = [table.SetAside(f"ink/{n}", "ink", "", "a hidden file") for n in range(12)]
    places.append(table.SetAside("ink/x", "ink", "disc", "damaged: cut short"))
    lines = list(judging.set_aside_lines(places))
    assert lines[0] == "12 not taken, a hidden file:"
    assert lines[1] == "  ink/0: a hidden file"
    assert lines[11:] == [
        "  … and 2 more, which `scmd samples --list` names",
        "1 not taken, damaged:",
        "  ink/x: damaged: cut short",
    ]
    samples, _ = build(entries())
    table.write(samples, places, tmp_path)
    assert table.read_set_aside(tmp_path) == places


def test_a_domain_of_which_nothing_can_be_read_is_refused_with_the_first_reason():
    with pytest.raises(InputError, match="none of the images of domain `ink` can be read"):
        build(entries(ink_disc_0=b"", ink_square_0=b"x"))


def test_the_same_picture_under_two_labels_is_reported():
    said = []
    twin = png("clay", "disc", 0)
    build(entries(clay_square_0=twin), said)
    assert said == ["1 pictures stand under several labels, first clay/disc/0 and clay/square/0"]


def test_a_picture_that_stands_twice_is_one_unique_sample():
    samples, _ = build(entries(ink_disc_0=png("clay", "disc", 0)))
    assert len(samples.rows) == 4
    assert [row.key for row in samples.unique()] == ["clay/disc/0", "clay/square/0", "ink/square/0"]


def test_an_unknown_class_is_refused():
    with pytest.raises(InputError, match="class `square` is not among"):
        build(entries(), classes=("disc", "ring"))
