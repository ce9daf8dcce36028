"""Whatever an event can seal is found in it, and known by what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from directorybolt.event.v1 import profile_events_pb2, submission_events_pb2

from services.domain import events
from services.domain.sealed_facts import CLASS_BY_FIELD, proofs_of, sealed_parts
from tests.histories.record_event import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

SEALED = profile_events_pb2.Sealed.DESCRIPTOR.full_name


def sealed_fields(descriptor: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield which fields of a message, however deep, are sealed, and whether they lie below a list."""
    for field in descriptor.fields:
        if field.message_type is None:
            continue
        if field.message_type.full_name == SEALED:
            yield descriptor.name, field.name, field.is_repeated
        else:
            for message, name, repeated in sealed_fields(field.message_type):
                yield message, name, repeated or field.is_repeated


def test_of_every_sealed_field_of_every_event_it_is_known_what_it_holds():
    found = {each for message in events.CLASS_BY_TYPE.values() for each in sealed_fields(message.DESCRIPTOR)}

    assert {(message, name) for message, name, _ in found} == CLASS_BY_FIELD.keys()
    assert not any(repeated for _, _, repeated in found), "teach sealed_parts to look into lists"


@pytest.mark.parametrize("event_type", sorted(events.CLASS_BY_TYPE))
def test_what_is_sealed_in_an_event_is_found(event_type: str):
    fact = filled(events.CLASS_BY_TYPE[event_type]())

    expected = {(message, name) for message, name, _ in sealed_fields(fact.DESCRIPTOR)}

    assert len(list(sealed_parts(fact))) == len(expected)
    for each in sealed_parts(fact):
        part = fact
        for name in each.path:
            part = getattr(part, name)
        assert part == each.sealed


def test_the_proofs_of_an_outcome_are_named_in_the_order_they_were_taken():
    evidence = submission_events_pb2.Evidence(proof_id="answer", form_proof_id="form")
    assert list(proofs_of(submission_events_pb2.SubmissionListed(evidence=evidence))) == ["form", "answer"]
    assert list(proofs_of(submission_events_pb2.SubmissionClaimed())) == []
