"""Who is sent out next: P1 before P2 before P3, nobody starved, and no customer able to crowd others out.

Three rules, each with a bound that a test holds it to:

- **Seats.** Of ten dispatches that follow one another, seven are offered to P1 first, two to P2 first and
  one to P3 first. A seat that its own class cannot fill goes to the highest class that can.
- **Ageing.** For every full ageing interval that a submission has been due, it counts as one class higher,
  so that even a stream of P1 work that never ends lets it through.
- **Round robin.** Within a class the customer with the least in flight is next, then the one that was
  served longest ago; within a customer, what has been due longest.

A directory that has all that its politeness allows is passed over and blocks nobody behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from services.domain.kinds import Priority
    from services.projections.dispatch_queue import Due

_P1, _P2, _P3 = job_pb2.PRIORITY_P1, job_pb2.PRIORITY_P2, job_pb2.PRIORITY_P3
SEATS: Final[tuple[Priority, ...]] = (_P1, _P1, _P2, _P1, _P1, _P1, _P2, _P1, _P1, _P3)
CLASSES: Final[tuple[Priority, ...]] = (_P1, _P2, _P3)


@dataclass(slots=True)
class FairShare:
    """Chooses, and remembers whose turn it was."""

    ageing: timedelta
    _seat: int = 0
    _turn: int = 0
    _served: dict[UUID, int] = field(default_factory=dict["UUID", "int"])

    def choose(
        self,
        candidates: Iterable[Due],
        *,
        room: int,
        in_flight: Mapping[UUID, int],
        now: datetime,
    ) -> Sequence[Due]:
        """Return at most `room` candidates in the order in which they are to go out.

        Shape: `in_flight` counts, by customer, what is dispatched or held; absent means 0.
        """
        waiting = sorted(candidates, key=lambda each: each.due_at)
        self._forget_all_but({each.customer_id for each in waiting})
        flying, directories = dict(in_flight), {each.directory_id: each.directory_room for each in waiting}
        chosen: list[Due] = []
        while len(chosen) < room:
            waiting = [each for each in waiting if directories[each.directory_id] > 0]
            if not waiting:
                break
            best = min(waiting, key=lambda each: self._place(each, flying, now))
            waiting.remove(best)
            chosen.append(best)
            directories[best.directory_id] -= 1
            flying[best.customer_id] = flying.get(best.customer_id, 0) + 1
            self._serve(best)
        return chosen

    def _place(
        self, candidate: Due, flying: Mapping[UUID, int], now: datetime
    ) -> tuple[bool, int, int, int, datetime]:
        """Return the candidate's place in the queue for the present seat; the least is next."""
        seen_as = self.class_of(candidate, now)
        customer = candidate.customer_id
        return (
            seen_as != SEATS[self._seat],
            seen_as,
            flying.get(customer, 0),
            self._served.get(customer, 0),
            candidate.due_at,
        )

    def class_of(self, candidate: Due, now: datetime) -> Priority:
        """Return the class that a candidate counts as, after its wait."""
        steps = max(0, (now - candidate.due_at) // self.ageing)
        return CLASSES[max(0, CLASSES.index(candidate.priority) - steps)]

    def _serve(self, candidate: Due) -> None:
        self._seat = (self._seat + 1) % len(SEATS)
        self._turn += 1
        self._served[candidate.customer_id] = self._turn

    def _forget_all_but(self, customers: set[UUID]) -> None:
        self._served = {each: turn for each, turn in self._served.items() if each in customers}
