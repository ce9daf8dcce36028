"""The closed set of events: message class by name, and back.

The set is what the `data` oneof of `directorybolt.event.v1.Event` lists; nothing else can be stored or
read. A name that is not there is a fault of ours or an event from a newer release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import event_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from services.domain.errors import EventUndecodable

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
CATEGORIES: Final = frozenset({CUSTOMER, PROFILE, JOB, SUBMISSION, WORKER, DIRECTORY, QUEUE, ALERT, SERVICE})

_MEMBERS: Final = event_pb2.Event.DESCRIPTOR.oneofs_by_name["data"].fields

MEMBER_BY_TYPE: Final[Mapping[str, str]] = {
    member.message_type.name: member.name for member in _MEMBERS if member.message_type is not None
}
CLASS_BY_TYPE: Final[Mapping[str, type[Message]]] = {
    member.message_type.name: GetMessageClass(member.message_type)
    for member in _MEMBERS
    if member.message_type is not None
}


def type_of(message: Message) -> str:
    """Return the name under which a message is stored."""
    name = str(message.DESCRIPTOR.name)
    if name not in CLASS_BY_TYPE:
        raise ValueError(f"{name} is not a member of directorybolt.event.v1.Event.data")
    return name


def decode(event_type: str, payload: bytes) -> Message:
    """Return the message of stored bytes.

    Errors: EventUndecodable when the type is unknown or the bytes are not of it.
    """
    message_class = CLASS_BY_TYPE.get(event_type)
    if message_class is None:
        raise EventUndecodable(f"unknown event type {event_type}", event_type=event_type)
    try:
        return message_class.FromString(payload)
    except DecodeError as error:
        raise EventUndecodable(f"{event_type} does not decode", event_type=event_type) from error
