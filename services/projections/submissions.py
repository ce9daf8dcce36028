"""Submissions as customers see them, and which jobs asked for them. Owner: intake.

A row holds the whole folded state, from which the projector goes on by the domain's own `evolve`, and
beside it what lists are searched by.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID

from directorybolt.event.v1 import job_events_pb2

from eventstore.types import LEDGER_LANE, Filter, Position
from services.domain import events, submission
from services.domain.submission import Submission
from services.projections.folded_submission import dump, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.domain.kinds import State
    from services.projections.reading import Reads

_LOAD: Final[LiteralString] = "select submission_id, folded from submission where submission_id = any(%s)"
_SAVE: Final[LiteralString] = """
insert into submission
  (submission_id, customer_id, directory_id, state, proofs, changed_at, lane, position, folded)
values (%(submission_id)s, %(customer_id)s, %(directory_id)s, %(state)s, %(proofs)s, %(changed_at)s,
        %(lane)s, %(position)s, %(folded)s)
on conflict (submission_id) do update
set state = excluded.state, proofs = excluded.proofs, changed_at = excluded.changed_at,
    position = excluded.position, folded = excluded.folded
"""
_LINK: Final[LiteralString] = """
insert into job_submission (job_id, submission_id, customer_id)
values (%(job_id)s, %(submission_id)s, %(customer_id)s)
on conflict do nothing
"""
_WANTED: Final[LiteralString] = """
  and (%(state)s::smallint is null or s.state = %(state)s)
  and (%(directory_id)s::text is null
       or (s.directory_id, s.submission_id) > (%(directory_id)s, %(after)s::uuid))
order by s.directory_id, s.submission_id
limit %(limit)s
"""
_OF_CUSTOMER: Final[LiteralString] = (
    "select s.folded from intake.submission s where s.customer_id = %(customer_id)s" + _WANTED  # noqa: S608  # our own text
)
_OF_JOB: Final[LiteralString] = (
    "select s.folded from intake.job_submission j join intake.submission s using (submission_id)"  # noqa: S608  # our own text
    " where j.job_id = %(job_id)s and s.customer_id = %(customer_id)s" + _WANTED
)
_TALLIES: Final[LiteralString] = """
select j.job_id, s.state, count(*), max(s.changed_at), max(s.position)
from intake.job_submission j join intake.submission s using (submission_id)
where j.job_id = any(%s)
group by j.job_id, s.state
"""
_PROOF: Final[LiteralString] = (
    "select exists (select from intake.submission where proofs @> array[%(proof_id)s::text]"
    " and customer_id = %(customer_id)s)"
)


@dataclass(slots=True)
class Tally:
    """How many submissions of a job are in which state, when one last moved, and the last position in it."""

    numbers: Counter[State] = field(default_factory=Counter["State"])
    changed_at: datetime | None = None
    position_number: int = 0

    def add(self, state: State, changed_at: datetime | None, position_number: int, count: int = 1) -> None:
        """Count so many submissions that are in a state since then."""
        self.numbers[state] += count
        self.changed_at = max((each for each in (self.changed_at, changed_at) if each), default=None)
        self.position_number = max(self.position_number, position_number)


class SubmissionsProjection:
    """Keeps one row per submission, and one per job that asked for it."""

    name = "submissions"
    version = 1
    schema = "intake"
    tables = ("submission", "job_submission")
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.SUBMISSION, events.JOB}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        touched = {each.stream_id for each in page if _is_ours(each)}
        cursor = await connection.execute(_LOAD, [list(touched)])
        rows = {submission_id: load(folded) for submission_id, folded in await cursor.fetchall()}
        changed = fold_submissions(rows, page)
        if changed:
            await cursor.executemany(_SAVE, [_values_of(*each) for each in changed.values()])
        linked = list(links(page))
        if linked:
            await cursor.executemany(_LINK, linked)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate submission, job_submission")


def fold_submissions(
    rows: Mapping[UUID, Submission], page: Iterable[StoredEvent]
) -> Mapping[UUID, tuple[Submission, Position]]:
    """Return the states that events change, as they are after them, with the position of the last event.

    Shape: events of other categories, and versions that a state has already, are passed over.
    """
    changed: dict[UUID, tuple[Submission, Position]] = {}
    for stored in filter(_is_ours, page):
        known = changed.get(stored.stream_id)
        before = known[0] if known else rows.get(stored.stream_id, Submission())
        if stored.version == before.version + 1:
            message = events.read(stored)
            after = submission.evolve(before, message, stored.version, stored.recorded_at)
            changed[stored.stream_id] = (after, stored.position)
    return changed


def links(page: Iterable[StoredEvent]) -> Iterator[Mapping[str, object]]:
    """Yield which job asks for which submission by these events.

    A plan counts too: it may name a submission that was settled long since, and is never joined.
    """
    for stored in page:
        fact = events.read(stored)
        if stored.event_type in {"SubmissionRequested", "SubmissionJoined"}:
            job_id = UUID(getattr(fact, "job_id"))  # noqa: B009  # two messages have it
            yield {"job_id": job_id, "submission_id": stored.stream_id, "customer_id": stored.tenant}
        elif isinstance(fact, job_events_pb2.JobPlanned):
            for each in fact.submissions:
                planned = UUID(each.submission_id)
                yield {"job_id": stored.stream_id, "submission_id": planned, "customer_id": stored.tenant}


def _is_ours(stored: StoredEvent) -> bool:
    return stored.category == events.SUBMISSION and stored.version > 0


def _values_of(state: Submission, position: Position) -> Mapping[str, object]:
    return {
        "submission_id": state.submission_id,
        "customer_id": state.customer_id,
        "directory_id": state.directory_id,
        "state": state.state,
        "proofs": list(state.proofs),
        "changed_at": state.changed_at,
        "lane": position.lane,
        "position": position.number,
        "folded": dump(state),
    }


class SubmissionReader:
    """Reads a customer's submissions, as that customer."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def page(
        self,
        customer_id: UUID,
        job_id: UUID | None,
        *,
        state: State | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> Sequence[Submission]:
        """Return submissions of a job, or of the customer, by directory, behind (directory, submission)."""
        directory_id, submission_id = after or (None, None)
        wanted = {
            "customer_id": customer_id,
            "job_id": job_id,
            "state": state,
            "directory_id": directory_id,
            "after": submission_id,
            "limit": limit,
        }
        async with self._reads.of_tenant(customer_id) as connection:
            rows = await connection.execute(_OF_JOB if job_id else _OF_CUSTOMER, wanted)
            return [load(folded) for (folded,) in await rows.fetchall()]

    async def tallies(self, customer_id: UUID, job_ids: Sequence[UUID]) -> Mapping[UUID, Tally]:
        """Return the tally of each job that has submissions."""
        async with self._reads.of_tenant(customer_id) as connection:
            rows = await (await connection.execute(_TALLIES, [list(job_ids)])).fetchall()
        tallies: dict[UUID, Tally] = {}
        for job_id, state, count, changed_at, position in rows:
            tallies.setdefault(job_id, Tally()).add(state, changed_at, position, count)
        return tallies

    async def has_proof(self, customer_id: UUID, proof_id: str) -> bool:
        """Return whether one of the customer's submissions has this proof."""
        async with self._reads.of_tenant(customer_id) as connection:
            wanted = {"proof_id": proof_id, "customer_id": customer_id}
            row = await (await connection.execute(_PROOF, wanted)).fetchone()
            return row is not None and row[0]
