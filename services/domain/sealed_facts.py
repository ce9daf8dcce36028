"""Which parts of events are sealed, what they hold, and which proofs events name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from directorybolt.event.v1 import job_events_pb2, profile_events_pb2, submission_events_pb2
from directorybolt.profile.v1 import profile_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

#: What a sealed field holds, by the message that it stands in and its name.
CLASS_BY_FIELD: Final[Mapping[tuple[str, str], type[Message]]] = {
    ("CustomerCreated", "details"): profile_events_pb2.CustomerDetails,
    ("ProfileCreated", "profile"): profile_pb2.BusinessProfile,
    ("ProfileRevised", "profile"): profile_pb2.BusinessProfile,
    ("JobCancelRequested", "details"): job_events_pb2.CancelDetails,
    ("Evidence", "details"): submission_events_pb2.EvidenceDetails,
}


class SealedPart(NamedTuple):
    """A sealed field: the names that lead to it from the fact, and what it holds."""

    path: tuple[str, ...]
    sealed: profile_events_pb2.Sealed
    message_class: type[Message]


def sealed_parts(fact: Message, path: tuple[str, ...] = ()) -> Iterator[SealedPart]:
    """Yield what is sealed in a fact, however deep."""
    for field, value in fact.ListFields():
        if isinstance(value, profile_events_pb2.Sealed):
            held = CLASS_BY_FIELD[fact.DESCRIPTOR.name, field.name]
            yield SealedPart((*path, field.name), value, held)
        elif field.message_type is not None and not field.is_repeated:
            yield from sealed_parts(value, (*path, field.name))


def proofs_of(fact: Message) -> Iterator[str]:
    """Yield the ids of the proofs that a fact names."""
    evidence = getattr(fact, "evidence", None)
    if isinstance(evidence, submission_events_pb2.Evidence):
        yield from filter(None, (evidence.form_proof_id, evidence.proof_id))
