"""What the log holds of one customer, read from the customer's own events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from eventstore.lanes import lane_of
from eventstore.privacy.erasure import events_of
from services.domain import events
from services.domain.sealed_facts import proofs_of
from services.runtime.ledger import JOB, SUBMISSION, Aggregate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent
    from services.domain.job import Job
    from services.domain.submission import Submission

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Folding(Generic[S]):
    """States by stream, taken forward event by event."""

    aggregate: Aggregate[S]
    states: dict[UUID, S] = field(default_factory=dict["UUID", S])

    def take(self, stored: StoredEvent) -> None:
        """Take one more event of one of the streams."""
        before = self.states.get(stored.stream_id) or self.aggregate.empty()
        fact = events.read(stored)
        self.states[stored.stream_id] = self.aggregate.evolve(
            before, fact, stored.version, stored.recorded_at
        )


@dataclass(frozen=True, slots=True)
class Holdings:
    """A customer's jobs and submissions as they are, and the proofs that were ever kept, oldest first."""

    jobs: Folding[Job] = field(default_factory=lambda: Folding(JOB))
    submissions: Folding[Submission] = field(default_factory=lambda: Folding(SUBMISSION))
    proofs: dict[str, None] = field(default_factory=dict[str, None])

    def take(self, stored: StoredEvent) -> None:
        """Take one more event of the customer's, in the order of the log."""
        if stored.category == events.JOB:
            self.jobs.take(stored)
        elif stored.category == events.SUBMISSION:
            self.submissions.take(stored)
        self.proofs.update(dict.fromkeys(proofs_of(events.read(stored))))

    @property
    def open_jobs(self) -> list[Job]:
        """Those that can still change."""
        return [each for each in self.jobs.states.values() if not each.finished]


def customer_events(store: EventStore, customer_id: UUID) -> AsyncGenerator[StoredEvent]:
    """Yield all events of a customer, in the order of the log, up to its head of now.

    Errors: StoreUnavailable.
    """
    return events_of(store, customer_id, lane_of(customer_id, store.lanes))


async def holdings_of(store: EventStore, customer_id: UUID) -> Holdings:
    """Return what the log holds of a customer.

    Errors: StoreUnavailable; UnknownEvent.
    """
    found = Holdings()
    async for stored in customer_events(store, customer_id):
        found.take(stored)
    return found
