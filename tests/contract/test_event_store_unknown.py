"""A projector of an older release meets what a newer one wrote: ignorable it goes on, otherwise it stops."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from eventstore.connections import READ_ROLE, connect
from eventstore.following.failing import FailurePolicy, Retries
from eventstore.following.projector import Projector
from eventstore.following.why_behind import why_behind
from eventstore.types import StreamAppend
from tests.fix_counting import Counting, counted, counting_ledger, counting_url, select, until
from tests.fix_events import TENANT, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.postgres import PostgresEventStore
    from eventstore.types import StoredEvent

__all__ = ["counting_ledger", "counting_url"]

pytest_plugins = ["tests.fix_postgres"]

PAUSED = "select count(*) > 0 from es.projection where paused_at is not null"


def older(stored: StoredEvent) -> bool:
    """Tell what an older release knows: two types, of one of them the first version only."""
    return (stored.event_type, stored.schema_version) in {("Known", 1), ("Known", 2), ("Changed", 1)}


def newer(_stored: StoredEvent) -> bool:
    """Tell what the newest release knows."""
    return True


async def append(
    ledger: PostgresEventStore, event_type: str, *, ignorable: bool = False, version: int = 1
) -> None:
    """Append an event of a type and version to a stream of its own."""
    new = replace(event(event_type=event_type), ignorable=ignorable, schema_version=version)
    await ledger.append(StreamAppend(uuid4(), "job", TENANT, [new]))


@asynccontextmanager
async def projecting(
    ledger: PostgresEventStore,
    url: str,
    release: str,
    counting: Counting | None = None,
    policy: FailurePolicy = FailurePolicy.PAUSE,
) -> AsyncGenerator[Projector]:
    """Run a projector of the older or of the newer release."""
    projector = Projector(
        ledger,
        url,
        counting or Counting(),
        poll_seconds=0.1,
        policy=policy,
        retries=Retries(attempts_max=5, first_seconds=0.01),
        release=release,
        knows={"older": older, "newer": newer}[release],
    )
    async with projector.running():
        yield projector


async def test_what_is_ignorable_is_passed_over_counted_and_said_once(
    counting_ledger: PostgresEventStore, counting_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for event_type in ("Known", "Noted", "Noted", "Known"):
        await append(counting_ledger, event_type, ignorable=event_type == "Noted")
    async with projecting(counting_ledger, counting_url, "older") as projector:
        await projector.wait_until(await counting_ledger.head(), 20)
        await append(counting_ledger, "Noted")
        await projector.wait_until(await counting_ledger.head(), 20)

    # The handler is given them all the same: it has to keep count of versions.
    assert await counted(counting_url) == [1, 2, 3, 4, 5]
    assert await select(counting_url, "select passed_over from es.projection") == [(3,)]
    async with await connect(counting_url, READ_ROLE, "look") as connection:
        [standing] = await why_behind(connection, "counting")
    assert "3 events of a newer release were passed over" in standing.sentence
    await projector.replay()
    assert await select(counting_url, "select passed_over from es.projection") == [(0,)]
    said = [each.getMessage() for each in caplog.records if "passes over" in each.getMessage()]
    assert len(said) == 1
    assert "Noted, version 1" in said[0]


@pytest.mark.parametrize(
    ("event_type", "version"), [("Decided", 1), ("Changed", 2)], ids=["a new type", "a new version"]
)
@pytest.mark.parametrize("policy", FailurePolicy)
async def test_anything_else_pauses_right_before_itself_at_the_first_try(
    counting_ledger: PostgresEventStore,
    counting_url: str,
    policy: FailurePolicy,
    event_type: str,
    version: int,
) -> None:
    for _ in range(7):
        await append(counting_ledger, "Known")
    await append(counting_ledger, event_type, version=version)
    await append(counting_ledger, "Known")
    async with projecting(counting_ledger, counting_url, "older", policy=policy):
        await until(counting_url, PAUSED)

    assert await counted(counting_url) == list(range(1, 8))
    [(position, attempts, error)] = await select(
        counting_url, "select failed_position, attempts, error from es.projection"
    )
    assert (position, attempts) == (8, 1)
    assert error.startswith(f"UnknownEvent: {event_type}, version {version}, at position 8 of lane 0")


async def test_the_newer_release_goes_on_where_the_older_one_stopped(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    for event_type in ("Known", "Decided", "Known"):
        await append(counting_ledger, event_type)
    async with projecting(counting_ledger, counting_url, "older"):
        await until(counting_url, PAUSED)
    async with projecting(counting_ledger, counting_url, "newer") as projector:
        await projector.wait_until(await counting_ledger.head(), 20)
    assert await counted(counting_url) == [1, 2, 3]
