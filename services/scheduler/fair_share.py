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

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
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
        self, due: Iterable[Due], *, room: int, in_flight: Mapping[UUID, int], now: datetime
    ) -> Sequence[Due]:
        """Return at most `room` of what is due, in the order in which they are to go out.

        Shape: `in_flight` counts, by customer, what is dispatched or held; absent means 0.
        """
        waiting = _Waiting.of(due, lambda each: self.class_of(each, now))
        self._served = {each: turn for each, turn in self._served.items() if each in waiting.customers}
        flying: Counter[UUID] = Counter(in_flight)
        chosen: list[Due] = []
        while len(chosen) < room and (heads := waiting.heads(SEATS[self._seat])):
            best = min(heads, key=lambda each: self._place(each, flying))
            waiting.take(best)
            chosen.append(best)
            flying[best.customer_id] += 1
            self._serve(best)
        return chosen

    def class_of(self, due: Due, now: datetime) -> Priority:
        """Return the class that a submission counts as, after its wait."""
        steps = max(0, (now - due.due_at) // self.ageing)
        return CLASSES[max(0, CLASSES.index(due.priority) - steps)]

    def _place(self, due: Due, flying: Mapping[UUID, int]) -> tuple[int, int, datetime]:
        """Return the place among the heads of a class; the least is next."""
        return flying.get(due.customer_id, 0), self._served.get(due.customer_id, 0), due.due_at

    def _serve(self, due: Due) -> None:
        self._seat = (self._seat + 1) % len(SEATS)
        self._turn += 1
        self._served[due.customer_id] = self._turn


@dataclass(slots=True)
class _Waiting:
    """A line per class and customer, longest due first, and what each directory can still take."""

    lines: Mapping[Priority, dict[UUID, deque[Due]]]
    rooms: dict[str, int]
    customers: frozenset[UUID]

    @classmethod
    def of(cls, due: Iterable[Due], class_of: Callable[[Due], Priority]) -> Self:
        in_order = sorted(due, key=lambda each: each.due_at)
        lines: dict[Priority, dict[UUID, deque[Due]]] = {each: {} for each in CLASSES}
        for each in in_order:
            lines[class_of(each)].setdefault(each.customer_id, deque()).append(each)
        rooms = {each.directory_id: each.directory_room for each in in_order}
        return cls(lines, rooms, frozenset(each.customer_id for each in in_order))

    def heads(self, seat: Priority) -> Sequence[Due]:
        """Return the first of each customer in the seat's class, or in the highest class that has any."""
        for each in (seat, *CLASSES):
            heads = [line[0] for line in self.lines[each].values() if self._trim(line)]
            if heads:
                return heads
        return ()

    def take(self, due: Due) -> None:
        """Remove a head and note what its directory has taken."""
        self.rooms[due.directory_id] -= 1
        for lines in self.lines.values():
            line = lines.get(due.customer_id)
            if line and line[0] is due:
                line.popleft()

    def _trim(self, line: deque[Due]) -> bool:
        """Drop what cannot go out in this round; False when nothing is left."""
        while line and self.rooms[line[0].directory_id] <= 0:
            line.popleft()
        return bool(line)
