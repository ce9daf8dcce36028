"""Deterministic identities: who asks for the same thing twice meets the first answer.

UUIDv5 over a fixed namespace; the words are joined with a separator that no part can contain.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

TENANT_ZERO: Final = UUID(int=0)

_NAMESPACE: Final = UUID("5c1f0d4e-7f0a-5d0e-9a56-0d1f5b0c7a11")
_SEPARATOR: Final = "\x1f"


def identity(kind: str, *parts: str) -> UUID:
    """Return the one UUID of these words."""
    return uuid5(_NAMESPACE, _SEPARATOR.join((kind, *parts)))


def customer_id_for(request_id: str) -> UUID:
    """Return the customer that this request creates, however often it is sent."""
    return identity("customer", request_id)


def profile_id_for(customer_id: str, request_id: str) -> UUID:
    """Return the profile that this request creates, however often it is sent."""
    return identity("profile", customer_id, request_id)


def job_id_for(customer_id: str, request_id: str) -> UUID:
    """Return the job that this request creates, however often it is sent."""
    return identity("job", customer_id, request_id)


def submission_id_for(profile_id: str, directory_id: str, generation: int) -> UUID:
    """Return the one submission of this profile to this directory in this generation."""
    return identity("submission", profile_id, directory_id, str(generation))


def directory_stream(directory_id: str) -> UUID:
    """Return the stream of a directory."""
    return identity("directory", directory_id)


def worker_stream(worker_id: str) -> UUID:
    """Return the stream of a worker."""
    return identity("worker", worker_id)


def queue_stream(queue: str) -> UUID:
    """Return the stream of a queue."""
    return identity("queue", queue)


def service_stream(service: str, instance_id: str) -> UUID:
    """Return the stream of one process of a service."""
    return identity("service", service, instance_id)


def alert_id_for(rule: str, subject: str, opened: str) -> UUID:
    """Return the one alert of this gap; `opened` tells one gap of a subject from the next."""
    return identity("alert", rule, subject, opened)


def event_id_for(cause: str, *parts: str) -> UUID:
    """Return the id of an event that must be appended once however often its cause is seen."""
    return identity("event", cause, *parts)
