"""Resource names of the scheduler: `queues/p1`, `submissions/{uuid}`, `deadLetters/{uuid}`.

Source: AIP-122.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from services.domain.errors import FieldViolation, InvalidArgument

if TYPE_CHECKING:
    from services.runtime.queue import QueueName

_UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_SUBMISSION: Final = re.compile(f"submissions/({_UUID})")
_DEAD_LETTER: Final = re.compile(f"deadLetters/({_UUID})")


def queue(name: QueueName) -> str:
    """Return the name of a queue."""
    return f"queues/{name}"


def dead_letter(submission_id: UUID) -> str:
    """Return the name of a dead letter."""
    return f"deadLetters/{submission_id}"


def customer(customer_id: UUID) -> str:
    """Return the name of a customer."""
    return f"customers/{customer_id}"


def directory(directory_id: str) -> str:
    """Return the name of a directory."""
    return f"directories/{directory_id}"


def read_submission(name: str, field: str) -> UUID:
    """Return the id of a submission's name.

    Errors: InvalidArgument naming `field`.
    """
    return _read(_SUBMISSION, name, field, "submissions/{uuid}")


def read_dead_letter(name: str, field: str) -> UUID:
    """Return the submission of a dead letter's name.

    Errors: InvalidArgument naming `field`.
    """
    return _read(_DEAD_LETTER, name, field, "deadLetters/{uuid}")


def _read(pattern: re.Pattern[str], name: str, field: str, shape: str) -> UUID:
    found = pattern.fullmatch(name)
    if found is None:
        raise InvalidArgument(FieldViolation(field, f"write {shape}, not '{name[:200]}'"))
    return UUID(found[1])
