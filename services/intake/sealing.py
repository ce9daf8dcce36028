"""Personal data of a customer: sealed before it enters an event, opened when an answer shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from directorybolt.event.v1 import profile_events_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from eventstore.privacy.vault import Vault

M = TypeVar("M", bound="Message")


async def seal(
    vault: Vault, customer_id: UUID, stream_id: UUID, message: Message
) -> profile_events_pb2.Sealed:
    """Seal a message under the customer's own key, bound to the stream that will hold it.

    Errors: KeyDestroyed when the customer was erased.
    """
    sealed = await vault.seal(customer_id, stream_id.bytes, message.SerializeToString(deterministic=True))
    return profile_events_pb2.Sealed(key_id=str(sealed.key_id), ciphertext=sealed.ciphertext)


async def unseal(
    vault: Vault,
    customer_id: UUID,
    stream_id: UUID,
    sealed: profile_events_pb2.Sealed,
    message_class: type[M],
) -> M:
    """Open what `seal` sealed.

    Errors: KeyDestroyed when the customer was erased.
    """
    plain = await vault.open(UUID(sealed.key_id), customer_id, stream_id.bytes, sealed.ciphertext)
    return message_class.FromString(plain)
