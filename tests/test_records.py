"""Python's collector is off while records are made, and is afterwards what it was."""

import gc

import pytest

from pipeline.records import made_at_once


def test_the_collector_is_off_within_and_on_again_after_an_error():
    with made_at_once():
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), made_at_once():
        _ = 1 / 0
    assert gc.isenabled()


def test_whoever_switched_it_off_finds_it_so():
    gc.disable()
    try:
        with made_at_once():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
