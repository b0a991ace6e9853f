"""Image bytes in Parquet, as Hugging Face publishes them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.samples import parquet
from pipeline.samples.parquet import Columns, ParquetImages


def write(path, labels, metadata=None):
    table = pa.table(
        {
            "image": [{"bytes": f"{path.stem}-{row}".encode(), "path": None} for row in range(len(labels))],
            "domain": ["art", "photo"] * (len(labels) // 2),
            "label": labels,
        }
    )
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=2)


def published(names):
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def test_class_names_come_from_the_files_metadata(tmp_path):
    write(tmp_path / "a.parquet", [0, 1, 1, 0], published(["dog", "cat"]))
    found = parquet.scan(tmp_path, Columns(), None, None)
    assert [(place.key, place.domain, place.class_name) for place in found] == [
        ("a.parquet#0", "art", "dog"),
        ("a.parquet#1", "photo", "cat"),
        ("a.parquet#2", "art", "cat"),
        ("a.parquet#3", "photo", "dog"),
    ]


def test_bytes_are_found_by_key_in_any_order_and_file(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", [0] * 6)
    images = ParquetImages(tmp_path, "image.bytes")
    for name, row in (("a", 5), ("b", 0), ("a", 0), ("b", 3)):
        assert images.read(f"{name}.parquet#{row}") == f"{name}-{row}".encode()


def test_a_row_or_file_that_is_gone_is_a_missing_file(tmp_path):
    write(tmp_path / "a.parquet", [0, 0])
    images = ParquetImages(tmp_path, "image.bytes")
    for key in ("a.parquet#2", "b.parquet#0"):
        with pytest.raises(OSError, match=r"row 2|b\.parquet"):
            images.read(key)


def test_numbers_without_names_ask_for_the_classes(tmp_path):
    write(tmp_path / "a.parquet", [0, 1])
    with pytest.raises(InputError, match="list `classes`"):
        parquet.scan(tmp_path, Columns(), None, None)
    named = parquet.scan(tmp_path, Columns(), None, ("dog", "cat"))
    assert [place.class_name for place in named] == ["dog", "cat"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, None, 1, None], r"column `label`: 2 of 4 rows, first row 1, have none \(None: missing\)"),
        ([0, -1, 1, -1], r"2 of 4 rows, first row 1, have none \(-1: missing\)"),
        ([0, 1, 2, 0], r"1 of 4 rows, first row 2, have a number \(2\) beyond the 2 names"),
        ([0.0, 1.0, None, 1.0], r"have 0.0, which is float and no name; write names, or integers"),
        ([b"dog", b"cat", b"dog", b"cat"], "have b'dog', which is bytes and no name"),
        ([True, False, True, False], "have True, which is bool and no name"),
    ],
)
def test_labels_that_are_none_are_told_for_what_they_are(tmp_path, labels, told):
    write(tmp_path / "a.parquet", labels)
    with pytest.raises(InputError, match=told):
        parquet.scan(tmp_path, Columns(), None, ("dog", "cat"))


def test_a_missing_domain_is_no_domain(tmp_path):
    table = pa.table({"image": [{"bytes": b"x"}] * 3, "domain": ["art", None, "ink"], "label": ["dog"] * 3})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"column `domain`: 1 of 3 rows, first row 1, have none"):
        parquet.scan(tmp_path, Columns(), None, None)


def test_a_plain_column_may_have_a_dot_in_its_name(tmp_path):
    table = pa.table({"image.bytes": [b"one", b"two"], "domain": ["art", "ink"], "label": ["dog", "cat"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert len(parquet.scan(tmp_path, Columns(), None, None)) == 2
    assert ParquetImages(tmp_path, "image.bytes").read("a.parquet#1") == b"two"


def test_a_list_a_row_is_told(tmp_path):
    table = pa.table({"image": [b"x"], "domain": ["art"], "label": [["dog", "cat"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("label", "label.list.element"):
        with pytest.raises(InputError, match="holds a list a row, where one value is expected"):
            parquet.scan(tmp_path, Columns(image="image", label=name), None, None)


def test_hidden_files_and_folders_are_no_tables_and_suffixes_have_no_case(tmp_path):
    write(tmp_path / "a.PARQUET", ["dog", "cat"])
    (tmp_path / "._a.parquet").write_bytes(b"mac")
    (tmp_path / "b.parquet").mkdir()
    assert len(parquet.scan(tmp_path, Columns(), None, None)) == 2


def test_rows_with_a_path_and_no_bytes_are_told(tmp_path):
    table = pa.table({"image": [{"bytes": None, "path": "/a.png"}, None], "domain": ["art"] * 2, "label": ["dog"] * 2})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(table.set_column(0, "image", table["image"].cast(kind)), tmp_path / "a.parquet")
    for row in (0, 1):
        with pytest.raises(OSError, match="the row has no image bytes"):
            ParquetImages(tmp_path, "image.bytes").read(f"a.parquet#{row}")


def test_a_row_group_is_read_in_batches(tmp_path, monkeypatch):
    """Arrow cannot hold 2 GiB of bytes in one array; the real size is tried by `make faults`."""
    monkeypatch.setattr(parquet, "BATCH", 3)
    table = pa.table(
        {"image": [{"bytes": bytes([n])} for n in range(10)], "domain": ["art"] * 10, "label": ["dog"] * 10}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    images = ParquetImages(tmp_path, "image.bytes")
    assert [images.read(f"a.parquet#{n}") for n in (9, 0, 4)] == [bytes([9]), bytes([0]), bytes([4])]


def test_a_column_that_is_not_there_lists_those_that_are(tmp_path):
    write(tmp_path / "a.parquet", ["dog", "dog"])
    with pytest.raises(
        InputError, match=r"no column `style`; the columns are image\.bytes, image\.path, domain, label"
    ):
        parquet.scan(tmp_path, Columns(domain="style"), None, None)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        parquet.scan(tmp_path, Columns(), None, None)


def test_published_names_say_what_a_number_means_and_classes_only_their_order(tmp_path):
    write(tmp_path / "a.parquet", [0, 1], published(["dog", "cat"]))
    assert [place.class_name for place in parquet.scan(tmp_path, Columns(), None, ("cat", "dog"))] == ["dog", "cat"]


@pytest.mark.parametrize("names", [None, ["art", "photo"]])
def test_domains_may_be_numbers_with_or_without_names(tmp_path, names):
    features = {"domain": {"names": names}} if names else {}
    table = pa.table({"image": [{"bytes": b"x"}] * 2, "domain": [1, 0], "label": ["dog", "cat"]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    wanted = names or ["0", "1"]
    assert [place.domain for place in parquet.scan(tmp_path, Columns(), tuple(wanted), None)] == wanted[::-1]
    with pytest.raises(InputError, match=f"no row of domain `oil`; column `domain` has {', '.join(wanted)}"):
        parquet.scan(tmp_path, Columns(), ("oil",), None)


def test_metadata_that_is_no_hugging_face_record_names_nothing(tmp_path):
    write(tmp_path / "a.parquet", [0, 1], {"huggingface": "[]"})
    assert parquet.scan(tmp_path, Columns(), None, ("dog", "cat"))[1].class_name == "cat"


def test_a_column_that_holds_no_bytes_is_refused(tmp_path):
    for labels, kind in ((["dog", "cat"], "string"), ([0, 1], "int64")):
        write(tmp_path / "a.parquet", labels)
        with pytest.raises(InputError, match=f"column `label` holds {kind}, not the bytes of image files"):
            parquet.scan(tmp_path, Columns(image="label"), None, ("dog", "cat"))


def test_a_file_that_became_another_is_told(tmp_path):
    write(tmp_path / "a.parquet", [0, 0])
    images = ParquetImages(tmp_path, "image.bytes")
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: no column `image\.bytes`"):
        images.read("a.parquet#1")
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.parquet: not a readable Parquet file"):
        images.read("a.parquet#1")


def test_a_damaged_page_is_no_missing_file(tmp_path):
    write(tmp_path / "a.parquet", [0, 0])
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:60] = bytes(56)
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet: damaged"):
        ParquetImages(tmp_path, "image.bytes").read("a.parquet#1")
