"""Erases a tenant from history: destroys the key, and states in a signed certificate what that closed.

The order makes it safe to stop anywhere: the caller has recorded the erasure in the log, then the key is
destroyed, then the certificate is written. Done again, it goes on; whoever is erased in the log and has a key
again, from an old backup of the vault, loses it by `reconcile`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from eventstore.beginning import beginning
from eventstore.connections import READ_ROLE
from eventstore.line import Lines
from eventstore.privacy.certificate import Certificate, statement
from eventstore.privacy.vault import PATIENCE_SECONDS, VAULT_ROLE
from eventstore.types import Filter, Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import LiteralString, TypeAlias
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.audit.seal_signer import SealSigner
    from eventstore.privacy.vault import Destroyed, Vault
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

    Row: TypeAlias = tuple[Any, ...]

_PAGE_EVENTS: Final = 1_000
_RECORD: LiteralString = (
    "select es.record_erasure_v1(%(tenant)s, %(document)s, %(public_key)s, %(signature)s)"
)
_FIND: LiteralString = "select document, public_key, signature from es.erasure where tenant = %(tenant)s"
_LIST: LiteralString = "select document, public_key, signature from es.erasure order by recorded_at, tenant"
_LOG_ID: LiteralString = "select log_id from es.log_identity"


@dataclass(slots=True)
class Touched:
    """A tenant's events, and where among them sealed data lie."""

    events_count: int = 0
    sealed_count: int = 0
    sealed_positions: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def note(self, number: int, *, sealed: bool) -> None:
        """Count an event, in the order of the log."""
        self.events_count += 1
        if not sealed:
            return
        self.sealed_count += 1
        if self.sealed_positions and self.sealed_positions[-1][1] == number - 1:
            self.sealed_positions[-1] = (self.sealed_positions[-1][0], number)
        else:
            self.sealed_positions.append((number, number))


class Erasures:
    """Erases tenants of one store, and keeps the certificates."""

    def __init__(self, conninfo: str, store: EventStore, vault: Vault, signer: SealSigner) -> None:
        """Take the database, its log and vault, and who signs; it connects when used first."""
        self._store = store
        self._vault = vault
        self._signer = signer
        self._lines = Lines(conninfo, VAULT_ROLE, "erasures")
        self.certificates = Certificates(conninfo)

    async def close(self) -> None:
        """Close the connections."""
        await self._lines.close()
        await self.certificates.close()

    async def erase(
        self, mark: StoredEvent, is_sealed: Callable[[StoredEvent], bool], said: Mapping[str, str | int]
    ) -> Certificate:
        """Destroy the key of the tenant of `mark`, the event of the erasure; again, give the first answer.

        `is_sealed` tells which events hold sealed data; `said` goes into the certificate as it is.
        Errors: StoreUnavailable.
        """
        found = await self.certificates.find(mark.tenant)
        destroyed = await self._vault.destroy(mark.tenant)
        if found is not None:
            return found
        document = await self._document(mark, destroyed, is_sealed, said)
        text = json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"
        signature = await self._signer.sign(statement(text))
        certificate = Certificate(text, self._signer.public_key, signature)
        await _rows(self._lines, _RECORD, {"tenant": mark.tenant, **certificate.fields()})
        return await self.certificates.find(mark.tenant) or certificate

    async def _document(
        self,
        mark: StoredEvent,
        destroyed: Destroyed,
        is_sealed: Callable[[StoredEvent], bool],
        said: Mapping[str, str | int],
    ) -> Mapping[str, object]:
        head = await self._last(mark.position.lane)
        touched = Touched()
        async for event in events_of(self._store, mark.tenant, mark.position.lane, head.position.number):
            touched.note(event.position.number, sealed=is_sealed(event))
        return {
            "tenant": str(mark.tenant),
            "log_id": str(await self.certificates.log_id()),
            "lane": mark.position.lane,
            "key_id": str(destroyed.key_id),
            "destroyed_at": destroyed.destroyed_at.astimezone(UTC).isoformat(),
            "actor": mark.actor,
            "said": dict(said),
            "recorded": {"position": mark.position.number, "hash": mark.hash.hex()},
            "head": {"position": head.position.number, "hash": head.hash.hex()},
            "events_count": touched.events_count,
            "sealed_count": touched.sealed_count,
            "sealed_positions": touched.sealed_positions,
        }

    async def _last(self, lane: int) -> StoredEvent:
        head = await self._store.head(lane)
        return (await self._store.read_all(Position(lane, head.number - 1), limit=1)).events[0]


class Certificates:
    """Reads the certificates of one store."""

    def __init__(self, conninfo: str) -> None:
        """Take the database; it connects when asked first."""
        self._lines = Lines(conninfo, READ_ROLE, "certificates")

    async def close(self) -> None:
        """Close the connection."""
        await self._lines.close()

    async def find(self, tenant: UUID) -> Certificate | None:
        """Return the certificate of a tenant; None when it was not erased. Errors: StoreUnavailable."""
        rows = await _rows(self._lines, _FIND, {"tenant": tenant})
        return _certificate(rows[0]) if rows else None

    async def all(self) -> Sequence[Certificate]:
        """Return every certificate, oldest first. Errors: StoreUnavailable."""
        return [_certificate(row) for row in await _rows(self._lines, _LIST, {})]

    async def log_id(self) -> UUID:
        """Return which log this is. Errors: StoreUnavailable."""
        [[log_id]] = await _rows(self._lines, _LOG_ID, {})
        return log_id


async def events_of(
    store: EventStore, tenant: UUID, lane: int, until: int | None = None
) -> AsyncGenerator[StoredEvent]:
    """Yield a tenant's events in the order of the log, to a position or to the head of now.

    What was deleted in the archive is passed over: nothing is left of it to be sealed, or to be told.
    Errors: StoreUnavailable.
    """
    until = (await store.head(lane)).number if until is None else until
    position = await beginning(store, lane)
    while position.number < until:
        page = await store.read_all(position, limit=_PAGE_EVENTS, only=Filter(tenant=tenant))
        for event in page.events:
            if event.position.number > until:
                return
            yield event
        position = page.scanned


async def reconcile(store: EventStore, vault: Vault, event_type: str) -> Sequence[UUID]:
    """Destroy the keys of tenants whom an event of this type has erased, and return whose were not destroyed.

    Errors: StoreUnavailable.
    """
    erased: set[UUID] = set()
    for lane in range(store.lanes):
        head, position = await store.head(lane), await beginning(store, lane)
        while position.number < head.number:
            only = Filter(event_types=frozenset({event_type}))
            page = await store.read_all(position, limit=_PAGE_EVENTS, only=only)
            erased |= {event.tenant for event in page.events}
            position = page.scanned
    revived = await vault.undestroyed(sorted(erased))
    for each in revived:
        await vault.destroy(each)
    return revived


def _certificate(row: Row) -> Certificate:
    return Certificate(*(bytes(each) for each in row))


async def _rows(lines: Lines, query: LiteralString, values: Mapping[str, object]) -> Sequence[Row]:
    async def _read(connection: AsyncConnection) -> Sequence[Row]:
        return await (await connection.execute(query, values)).fetchall()

    return await lines.call(_read, PATIENCE_SECONDS)
