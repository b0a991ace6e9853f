"""From files to the samples table."""

import pytest

from pipeline.errors import InputError
from pipeline.samples import dataset, table
from pipeline.samples.table import Found
from tests.conftest import draw_image


class Memory:
    """Image bytes in a dictionary."""

    def __init__(self, contents: dict[str, bytes]):
        self.contents = contents

    def read(self, key: str) -> bytes:
        return self.contents[key]


def png(domain: str, name: str, number: int) -> bytes:
    import io

    buffer = io.BytesIO()
    draw_image(domain, name, number).save(buffer, "PNG")
    return buffer.getvalue()


def build(entries: dict[tuple[str, str, str], bytes], warnings: list | None = None, **options):
    found = [Found(key, domain, name) for key, domain, name in entries]
    memory = Memory({key: data for (key, *_), data in entries.items()})
    arguments = {"domains": None, "classes": None, "exif": True, "flip": True}
    said = warnings if warnings is not None else []
    return dataset.build(found, memory, **{**arguments, **options}, warn=said.append)


def entries(**changed: bytes) -> dict[tuple[str, str, str], bytes]:
    places = [(f"{d}/{c}/0", d, c) for d in ("clay", "ink") for c in ("disc", "square")]
    return {place: changed.get(place[0].replace("/", "_"), png(place[1], place[2], 0)) for place in places}


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
    assert said == ["domain `ink` has no image of disc; the other domains teach it"]


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
