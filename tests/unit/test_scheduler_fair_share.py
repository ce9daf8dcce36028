"""Who goes first: the three rules of the dispatcher, each with its bound."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.projections.dispatch_queue import Due
from services.scheduler.fair_share import FairShare

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AGEING = timedelta(minutes=10)
P1, P2, P3 = job_pb2.PRIORITY_P1, job_pb2.PRIORITY_P2, job_pb2.PRIORITY_P3
SPACE = UUID(int=1)


def candidate(
    name: str,
    priority: job_pb2.Priority.ValueType = P1,
    *,
    customer: str = "acme",
    directory: str = "",
    waited: timedelta = timedelta(0),
    directory_room: int = 1,
) -> Due:
    """Return a candidate; without a directory it has one to itself."""
    return Due(
        submission_id=uuid5(SPACE, name),
        customer_id=uuid5(SPACE, customer),
        directory_id=directory or name,
        priority=priority,
        due_at=NOW - waited,
        directory_room=directory_room,
        job_id=SPACE,
        trace_parent="",
    )


def many(priority: job_pb2.Priority.ValueType, count: int, customer: str = "acme") -> list[Due]:
    """Return candidates of one class."""
    return [candidate(f"{customer}-{priority}-{each}", priority, customer=customer) for each in range(count)]


def choose(share: FairShare, candidates: list[Due], room: int) -> list[Due]:
    """Return the choice when nothing is in flight."""
    return list(share.choose(candidates, room=room, in_flight={}, now=NOW))


def test_higher_classes_go_first():
    """With room for few, P1 goes out and P3 stays."""
    chosen = choose(FairShare(AGEING), [*many(P3, 5), *many(P1, 2)], room=2)

    assert [each.priority for each in chosen] == [P1, P1]


def test_lower_classes_have_a_share_that_nobody_takes():
    """While all wait, ten dispatches in a row are seven P1, two P2 and one P3, however they are cut up."""
    share, waiting = FairShare(AGEING), [*many(P1, 30), *many(P2, 30), *many(P3, 30)]
    seen: list[Due] = []
    while len(seen) < 20:
        seen += choose(share, [each for each in waiting if each not in seen], room=2)

    for ten in (seen[:10], seen[10:]):
        assert Counter(each.priority for each in ten) == {P1: 7, P2: 2, P3: 1}


def test_a_seat_that_nobody_claims_is_not_left_empty():
    """P3 alone uses every seat."""
    assert len(choose(FairShare(AGEING), many(P3, 12), room=10)) == 10


def test_who_has_waited_long_enough_counts_as_higher():
    """Two ageing intervals make P1 of P3, and among equals the longest wait goes first."""
    old = candidate("old", P3, waited=2 * AGEING)

    assert choose(FairShare(AGEING), [*many(P1, 5), old], room=1) == [old]


def test_no_customer_crowds_another_out():
    """A customer with one submission is served second, not after the thousand of the other."""
    flood = [candidate(f"flood-{each}", customer="flood", waited=timedelta(minutes=5)) for each in range(100)]
    single = candidate("single", customer="single")

    assert single in choose(FairShare(AGEING), [*flood, single], room=2)


def test_turns_are_remembered_from_one_choice_to_the_next():
    """With one seat at a time customers take turns, also when nothing stays in flight."""
    share, waiting = FairShare(AGEING), [*many(P1, 10, "acme"), *many(P1, 10, "bolt")]
    order = [choose(share, waiting, room=1)[0].customer_id for _ in range(6)]

    assert order[0::2] == [order[0]] * 3
    assert order[1::2] == [order[1]] * 3
    assert order[0] != order[1]


def test_what_is_in_flight_counts():
    """A customer with work in flight waits for one with none."""
    busy, idle = candidate("busy", customer="busy"), candidate("idle", customer="idle")

    chosen = FairShare(AGEING).choose([busy, idle], room=1, in_flight={busy.customer_id: 3}, now=NOW)

    assert chosen == [idle]


def test_a_full_directory_blocks_nobody_behind_it():
    """What may not go out is passed over, and its place is taken by the next."""
    slow = [candidate(f"slow-{each}", directory="slow", waited=AGEING / 2) for each in range(5)]
    other = candidate("other")

    chosen = choose(FairShare(AGEING), [*slow, other], room=5)

    assert [each.directory_id for each in chosen] == ["slow", "other"]


candidates = st.lists(
    st.builds(
        candidate,
        st.uuids().map(str),
        st.sampled_from([P1, P2, P3]),
        customer=st.sampled_from("abc"),
        directory=st.sampled_from("xyz"),
        waited=st.timedeltas(timedelta(0), timedelta(hours=2)),
        directory_room=st.just(2),
    ),
    max_size=20,
)


@given(candidates, st.integers(0, 10))
def test_a_choice_is_never_too_large_and_never_smaller_than_it_could_be(waiting: list[Due], room: int):
    """Neither the window nor a directory is overrun, and no seat stays empty while somebody may have it."""
    chosen = choose(FairShare(AGEING), waiting, room)

    per_directory = Counter(each.directory_id for each in waiting)
    possible = sum(min(2, count) for count in per_directory.values())
    assert len(chosen) == min(room, possible)
    assert all(count <= 2 for count in Counter(each.directory_id for each in chosen).values())
