"""Checks a certificate of erasure: by its signature alone, or also against the store that it speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventstore.privacy.certificate import UnreadableCertificate
from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from eventstore.privacy.certificate import Certificate
    from eventstore.privacy.erasure import Certificates
    from eventstore.privacy.vault import Vault
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent


def defects(certificate: Certificate, public_key: bytes) -> Iterator[str]:
    """Yield what is wrong with a certificate, in sentences; it takes no database."""
    try:
        content = certificate.content
    except UnreadableCertificate:
        yield "the document is no certificate of erasure"
        return
    if certificate.public_key != public_key:
        yield "it was signed by another key than the one that you trust"
    elif not certificate.is_signed_by(public_key):
        yield f"the certificate of tenant {content['tenant']} was altered after it was signed"


async def contradictions(
    certificate: Certificate, store: EventStore, vault: Vault, certificates: Certificates
) -> AsyncGenerator[str]:
    """Yield where the store contradicts a certificate, in sentences.

    Errors: StoreUnavailable.
    """
    content = certificate.content
    tenant = UUID(content["tenant"])
    if str(await certificates.log_id()) != content["log_id"]:
        yield "it speaks of another log"
        return
    if await vault.undestroyed([tenant]):
        yield f"the key of tenant {tenant} is not destroyed any more: run `vault reconcile`"
    recorded = await _at(store, content, "recorded")
    if recorded is None or recorded.hash.hex() != content["recorded"]["hash"] or recorded.tenant != tenant:
        yield "the log does not hold the event of the erasure where it was recorded"
    head = await _at(store, content, "head")
    if head is None or head.hash.hex() != content["head"]["hash"]:
        yield "the log is no longer the one that was certified: verify it"


async def _at(store: EventStore, content: Mapping[str, Any], place: str) -> StoredEvent | None:
    number = int(content[place]["position"])
    page = await store.read_all(Position(int(content["lane"]), number - 1), limit=1)
    found = page.events[0] if page.events else None
    return found if found is not None and found.position.number == number else None
