"""The steps from each old schema version of an event to the next: pure, and never changed once released.

A step takes the bytes of one version and returns those of the next. docs/how_to/change_an_event.md says when
an event needs one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import job_events_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _without_clear_words(payload: bytes) -> bytes:
    """JobCancelRequested 1 → 2: the words were stored in clear, and are shown to nobody any more."""
    fact = job_events_pb2.JobCancelRequested.FromString(payload)
    fact.ClearField("reason")
    return fact.SerializeToString(deterministic=True)


#: By event type, and the version that the step takes.
STEPS: Final[Mapping[tuple[str, int], Callable[[bytes], bytes]]] = {
    ("JobCancelRequested", 1): _without_clear_words,
}
