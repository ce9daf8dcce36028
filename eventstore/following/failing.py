"""What to do about an event that cannot be applied: which failures pass, how often to try, what then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import psycopg

from eventstore.errors import LeaseLost, PassingTrouble, StoreUnavailable
from eventstore.line import ConnectionLost

_ERROR_CHARACTERS_MAX: Final = 500

#: What passes by itself when the database is back, or is the primary again: no event is to blame.
TROUBLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    ConnectionLost,
    PassingTrouble,
    StoreUnavailable,
)
#: What ends a page without saying anything about its events.
NO_FAULT: Final = (LeaseLost, *TROUBLE)


class FailurePolicy(Enum):
    """What happens to an event that failed as often as it may.

    PAUSE stops the partition before it, until somebody resumes it or a newer release starts. PARK puts it
    aside with all later events of its stream; other streams go on. SKIP records it and goes on.
    """

    PAUSE = "pause"
    PARK = "park"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an event is tried by itself, and the pauses between, which double."""

    attempts_max: int = 5
    first_seconds: float = 0.1
    seconds_max: float = 5.0


def sentence(error: BaseException) -> str:
    """Return an error in one line; the lines after the first may hold values of rows, and stay out."""
    lines = str(error).splitlines()
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return said[:_ERROR_CHARACTERS_MAX]
