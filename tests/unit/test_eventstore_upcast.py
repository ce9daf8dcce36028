"""Old versions are read as the newest by steps, one version each; what is newer than we are is no guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.errors import UnknownEvent
from eventstore.upcast import Upcasters

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("Opened", "Closed")


def appending(letter: bytes) -> Callable[[bytes], bytes]:
    """Return a step that leaves its mark."""
    return lambda payload: payload + letter


STEPS = {("Opened", 2): appending(b"c"), ("Opened", 1): appending(b"b")}


@given(st.binary(max_size=20))
def test_a_version_passes_through_every_step_to_the_newest_in_order(payload: bytes):
    upcasters = Upcasters(TYPES, STEPS)
    assert upcasters.newest("Opened") == 3
    assert upcasters.upcast("Opened", 1, payload) == payload + b"bc"
    assert upcasters.upcast("Opened", 2, payload) == payload + b"c"
    assert upcasters.upcast("Opened", 3, payload) == payload


@given(st.binary(max_size=20))
def test_a_type_without_steps_is_read_as_it_is(payload: bytes):
    upcasters = Upcasters(TYPES, STEPS)
    assert upcasters.newest("Closed") == 1
    assert upcasters.upcast("Closed", 1, payload) == payload


@pytest.mark.parametrize(("event_type", "version"), [("Opened", 4), ("Closed", 2), ("Burnt", 1)])
def test_a_newer_version_and_an_unknown_type_are_refused_by_name(event_type: str, version: int):
    upcasters = Upcasters(TYPES, STEPS)
    assert not upcasters.knows(event_type, version)
    with pytest.raises(UnknownEvent) as refused:
        upcasters.upcast(event_type, version, b"")
    assert (refused.value.event_type, refused.value.schema_version) == (event_type, version)
    assert event_type in str(refused.value)


def test_a_chain_with_a_missing_step_is_refused_at_the_start():
    with pytest.raises(ValueError, match="none from 2"):
        Upcasters(TYPES, {("Opened", 1): appending(b"b"), ("Opened", 3): appending(b"d")})


def test_a_step_for_no_event_type_is_refused_at_the_start():
    with pytest.raises(ValueError, match="Burnt"):
        Upcasters(TYPES, {("Burnt", 1): appending(b"b")})
