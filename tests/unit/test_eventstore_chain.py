"""The bytes that a hash covers never change: what was chained once must verify for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from eventstore.audit.chain import GENESIS, leaf, link
from eventstore.types import Position, StoredEvent

EVENT = StoredEvent(
    position=Position(0, 7),
    stream_id=UUID(int=1),
    category="job",
    version=3,
    event_id=UUID(int=2),
    event_type="directorybolt.event.v1.JobAccepted",
    schema_version=1,
    payload=b"\x00payload",
    tenant=UUID(int=4),
    correlation_id=UUID(int=5),
    causation_id=None,
    trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    actor="ü",
    recorded_at=datetime(2026, 11, 23, 13, 0, 0, 123456, tzinfo=UTC),
    hash=b"not looked at",
)

CHANGES: dict[str, object] = {
    "position": Position(0, 8),
    "stream_id": UUID(int=9),
    "category": "jobs",
    "version": 4,
    "event_id": UUID(int=9),
    "event_type": "directorybolt.event.v1.JobCancelled",
    "schema_version": 2,
    "payload": b"\x00payloae",
    "tenant": UUID(int=9),
    "correlation_id": None,
    "causation_id": UUID(int=5),
    "trace_parent": "",
    "actor": "u",
    "recorded_at": datetime(2026, 11, 23, 13, 0, 0, 123457, tzinfo=UTC),
}


def test_the_first_hash_is_the_one_of_the_first_release() -> None:
    assert leaf(EVENT).hex() == "4be7389eae0d82f4c87778c8d91b39a6bbd708a24b2dc46b95e05adbff1b6e29"
    assert link(GENESIS, EVENT).hex() == "22ff38457909ac15d0001500cb591570b3900c9a98764e7309c14a50d07a7d21"


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_counts(field: str) -> None:
    changed = replace(EVENT, **{field: CHANGES[field]})  # pyright: ignore[reportArgumentType]

    assert leaf(changed) != leaf(EVENT)


def test_the_lane_counts() -> None:
    assert leaf(replace(EVENT, position=Position(1, 7))) != leaf(EVENT)


def test_the_predecessor_counts_and_the_own_hash_does_not() -> None:
    assert link(bytes([1]) * 32, EVENT) != link(GENESIS, EVENT)
    assert link(GENESIS, replace(EVENT, hash=b"")) == link(GENESIS, EVENT)


def test_a_border_between_fields_cannot_be_moved() -> None:
    one = replace(EVENT, trace_parent="ab", actor="c")
    other = replace(EVENT, trace_parent="a", actor="bc")

    assert leaf(one) != leaf(other)
