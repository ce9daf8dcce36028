"""A certificate of erasure as the contract shows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from directorybolt.event.v1 import profile_events_pb2
from directorybolt.intake.v1 import erasure_pb2

from services.domain.attempts import timestamp
from services.intake import names

if TYPE_CHECKING:
    from eventstore.privacy.certificate import Certificate


def certificate_view(certificate: Certificate) -> erasure_pb2.ErasureCertificate:
    """Return the contract's form of a certificate; what counts is `document` with its signature."""
    content = certificate.content
    said = content["said"]
    return erasure_pb2.ErasureCertificate(
        name=names.erasure_certificate(content["tenant"]),
        key_id=content["key_id"],
        destroy_time=timestamp(datetime.fromisoformat(content["destroyed_at"])),
        ground=profile_events_pb2.ErasureGround.Value(said["ground"]),
        case_number=said["case_number"],
        actor=content["actor"],
        lane=content["lane"],
        sealed_positions=[
            erasure_pb2.PositionRange(from_position=first, to_position=last)
            for first, last in content["sealed_positions"]
        ],
        events_count=content["events_count"],
        sealed_count=content["sealed_count"],
        document=certificate.document,
        public_key=certificate.public_key,
        signature=certificate.signature,
    )
