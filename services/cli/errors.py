"""A failed call in one sentence for people: what was refused, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.domain.errors import Trouble
from services.runtime.errors import domain_error_from

if TYPE_CHECKING:
    from grpc.aio import AioRpcError


def explain(error: AioRpcError) -> str:
    """Return the sentence for a failed call."""
    meant = domain_error_from(error)
    sentence = f"{error.code().name}: {meant}"
    if isinstance(meant, Trouble):
        return f"{sentence} (try again in {meant.retry_after_seconds:.0f} s)"
    return sentence
