"""The closed set of events: message class by name, and back.

The set is what the `data` oneof of `directorybolt.event.v1.Event` lists; nothing else is stored. A name that
is not there, or a schema version above ours, comes from a newer release: what is ignorable is passed over,
anything else stops the reader. Old versions are read as the newest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from directorybolt.event.v1 import event_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from eventstore.upcast import Upcasters
from services.domain.errors import EventUndecodable
from services.domain.upcasters import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

CUSTOMER: Final = "customer"
PROFILE: Final = "profile"
JOB: Final = "job"
SUBMISSION: Final = "submission"
WORKER: Final = "worker"
DIRECTORY: Final = "directory"
QUEUE: Final = "queue"
ALERT: Final = "alert"
SERVICE: Final = "service"
AUDIT: Final = "audit"
CATEGORIES: Final = frozenset(
    {CUSTOMER, PROFILE, JOB, SUBMISSION, WORKER, DIRECTORY, QUEUE, ALERT, SERVICE, AUDIT}
)

_MEMBERS: Final = event_pb2.Event.DESCRIPTOR.oneofs_by_name["data"].fields

MEMBER_BY_TYPE: Final[Mapping[str, str]] = {
    member.message_type.name: member.name for member in _MEMBERS if member.message_type is not None
}
CLASS_BY_TYPE: Final[Mapping[str, type[Message]]] = {
    member.message_type.name: GetMessageClass(member.message_type)
    for member in _MEMBERS
    if member.message_type is not None
}


#: Events that no other event and no state depends on: a release that does not know one of these reads on.
#: What is said of a type when its first event is appended stays, so a new type has to be right at once.
IGNORABLE: Final = frozenset(
    {"FormFilled", "AttemptFenced", "AlertNotified", "AlertNotificationFailed", "AuditLogRead"}
)

#: What this release can read, and what it writes.
KNOWN: Final = Upcasters(CLASS_BY_TYPE, STEPS)

#: What an ignorable event of a newer release reads as: a message that nothing has a step for.
PASSED_OVER: Final = Empty()


class Stored(Protocol):
    """What reading takes of a stored event."""

    @property
    def event_type(self) -> str:
        """Name of the message."""
        ...

    @property
    def schema_version(self) -> int:
        """Version of the message's meaning."""
        ...

    @property
    def payload(self) -> bytes:
        """The message's bytes."""
        ...

    @property
    def ignorable(self) -> bool:
        """Whether a reader that does not know the type may pass over it."""
        ...


def type_of(message: Message) -> str:
    """Return the name under which a message is stored."""
    return str(message.DESCRIPTOR.name)


def knows(stored: Stored) -> bool:
    """Tell whether this release can read a stored event."""
    return KNOWN.knows(stored.event_type, stored.schema_version)


def read(stored: Stored) -> Message:
    """Return the message of a stored event, as the newest version has it; PASSED_OVER where that is allowed.

    Errors: UnknownEvent when a newer release stored it and it may not be passed over; EventUndecodable.
    """
    if stored.ignorable and not knows(stored):
        return PASSED_OVER
    return decode(stored.event_type, stored.payload, stored.schema_version)


def decode(event_type: str, payload: bytes, schema_version: int = 1) -> Message:
    """Return the message of stored bytes, as the newest version has it.

    Errors: UnknownEvent when type or version is not known; EventUndecodable when the bytes are not of it.
    """
    try:
        newest = KNOWN.upcast(event_type, schema_version, payload)
        return CLASS_BY_TYPE[event_type].FromString(newest)
    except DecodeError as error:
        raise EventUndecodable(f"{event_type} does not decode", event_type=event_type) from error
