"""Resource names that the scheduler writes: `queues/p1`, `deadLetters/{uuid}` and their kin.

Source: AIP-122.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from services.runtime.queue import QueueName


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
