"""Faults that a test orders: held pages and answers, dropped connections, chosen statuses."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong."""

    HOLD_FORM = "hold_form"  #: the form page is held until released
    HOLD_ANSWER = "hold_answer"  #: the answer to an accepted POST is held until released
    DROP_AFTER_ACCEPT = "drop_after_accept"  #: the connection is cut once the POST is stored
    STATUS = "status"  #: a status of choice is answered


class Place(StrEnum):
    """Where a chosen status is answered."""

    FORM = "form"  #: instead of the form page
    POST = "post"  #: instead of accepting a POST: nothing is stored
    ANSWER = "answer"  #: after storing a POST


_PLACES = {
    FaultKind.HOLD_FORM: Place.FORM,
    FaultKind.HOLD_ANSWER: Place.ANSWER,
    FaultKind.DROP_AFTER_ACCEPT: Place.ANSWER,
}


@dataclass
class Fault:
    """One order: it strikes `times` times and is gone."""

    site: str
    kind: FaultKind
    release_id: str
    times: int = 1
    place: Place = Place.FORM
    status: int = 503
    retry_after_seconds: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.place = _PLACES.get(self.kind, self.place)


class Faults:
    """The orders that still wait to strike, and the requests held by those that did."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._numbers = itertools.count(1)
        self.ended = False

    def next_release_id(self) -> str:
        """A release id that no fault has had yet."""
        return f"fault-{next(self._numbers)}"

    def add(self, fault: Fault) -> None:
        """Orders a fault; earlier orders for the same place strike first."""
        self._orders.append(fault)

    def take(self, site: str, place: Place) -> Fault | None:
        """The fault that strikes here now, if any; it has one strike less afterwards."""
        for fault in self._orders:
            if fault.site == site and fault.place == place and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def release(self, *, release_id: str | None = None, site: str | None = None) -> int:
        """Lets held requests go on and withdraws their orders; neither argument means all."""
        chosen = [
            fault
            for fault in self._orders
            if release_id in (None, fault.release_id) and site in (None, fault.site)
        ]
        for fault in chosen:
            self._orders.remove(fault)
            fault.released.set()
        return len(chosen)

    def end(self) -> None:
        """Ends every held request, now and later: the server stops."""
        self.ended = True
        self.release()
