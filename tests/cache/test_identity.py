import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import identity
from pipeline.errors import CacheError

plain = st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)


@given(st.dictionaries(st.text(max_size=5), plain, min_size=1, max_size=5))
def test_the_digest_does_not_depend_on_the_order_of_keys(data):
    assert identity.digest(data) == identity.digest(dict(reversed(data.items())))


def test_the_first_difference_is_said_in_words():
    found = {"drawing": {"seed": 0, "version": 1}, "classes": ["a", "b"]}
    expected = {"drawing": {"seed": 1, "version": 1}, "classes": ["a", "b"]}
    assert identity.first_difference(found, expected) == "drawing: seed is 0 in the cache, 1 is expected"
    assert identity.first_difference(found, found) is None


def test_another_identity_is_refused(tmp_path):
    with pytest.raises(CacheError, match=r'classes is \["a"\] in the cache, \["b"\] is expected'):
        identity.require_same({"classes": ["a"]}, {"classes": ["b"]}, tmp_path)


def test_prompts_and_classes_are_no_part_of_the_image_pass():
    one = {"templates": ["{}"], "classes": ["a"], "drawing": 1}
    other = {"templates": ["x {}"], "classes": ["b"], "drawing": 1}
    assert identity.image_part(one) == identity.image_part(other)
    assert identity.image_part(one) != identity.image_part({**other, "drawing": 2})


def test_of_long_values_the_part_is_shown_where_they_differ():
    classes = [f"class {number}" for number in range(200)]
    others = [*classes[:150], "another", *classes[151:]]
    (told,) = identity.differences({"classes": classes}, {"classes": others})
    assert '"class 150"' in told
    assert '"another"' in told
    assert len(told) < 320
