"""Exports events with the proof that they are what was appended, to be checked offline by anybody.

Under a log seal that is exported whole the events themselves prove it; where only some of its events go out,
each one takes its Merkle path along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventstore.audit import seal_table
from eventstore.audit.bundle import bundle_at
from eventstore.audit.chain import leaf
from eventstore.audit.event_text import to_line
from eventstore.audit.merkle import audit_paths, root_of
from eventstore.audit.reading import reading
from eventstore.audit.selection import EventRange, Extent, Source
from eventstore.errors import LogDamaged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from psycopg import AsyncConnection

    from eventstore.audit.bundle import BundleWriter, Exported
    from eventstore.audit.log_seal import LogSeal
    from eventstore.audit.selection import Selected
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

_EVENTS_PER_WRITE = 1_000


async def export(
    conninfo: str,
    store: EventStore,
    wanted: EventRange | Selected,
    target: Path,
    *,
    before_release: Callable[[Exported], Awaitable[None]],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Export to `target`, a folder or a .tar file; `before_release` is awaited before it gets its name.

    Errors: TargetTaken; LogDamaged when what is read is not what was sealed; EventsArchived;
    StoreUnavailable; OSError.
    """
    async with reading(conninfo, "export") as connection, bundle_at(target) as writer:
        source = Source(store, connection)
        exporting = _Exporting(connection, source, writer, on_progress)
        if isinstance(wanted, EventRange):
            scope = await exporting.range(wanted)
        else:
            scope = await exporting.some(wanted)
        log_id = await seal_table.log_id(connection)
        exported = await writer.finish(log_id, scope, await seal_table.database_time(connection))
        await before_release(exported)
    return exported


@dataclass(slots=True)
class _Exporting:
    """One export: events are gathered until their seal ends, then written with their proof."""

    connection: AsyncConnection
    source: Source
    writer: BundleWriter
    on_progress: Callable[[int], None]
    seal: LogSeal | None = None
    gathered: list[StoredEvent] = field(default_factory=list["StoredEvent"])
    with_hash: bool = False
    sealed_to: dict[int, int] = field(default_factory=dict[int, int])

    async def range(self, wanted: EventRange) -> Mapping[str, object]:
        """Export a range of every lane, and return the scope for the manifest."""
        lanes: list[Mapping[str, int]] = []
        for extent in await self.source.extents(wanted):
            await self._anchor(extent)
            await self._write(self.source.within(extent))
            first, last = extent.from_position, max(extent.to_position, extent.from_position - 1)
            lanes.append({"lane": extent.lane, "from_position": first, "to_position": last})
        return {"kind": "range", "lanes": lanes}

    async def some(self, wanted: Selected) -> Mapping[str, object]:
        """Export the events with an identifier, and return the scope for the manifest."""
        await self._write(self.source.selected(wanted))
        return {"kind": wanted.by, "id": str(wanted.identifier)}

    async def _anchor(self, extent: Extent) -> None:
        """Hashes go along when a seal vouches for them: one that ends just before the range, or within it."""
        self.with_hash = extent.from_position == 1
        if extent.from_position > 1:
            before = await seal_table.seal_covering(self.connection, extent.lane, extent.from_position - 1)
            self.with_hash = before is not None and before.to_position <= extent.to_position
            if before is not None and before.to_position == extent.from_position - 1:
                self.with_hash = True
                await self.writer.add_seal(before)

    async def _write(self, events: AsyncIterator[StoredEvent]) -> None:
        async for event in events:
            if self._is_elsewhere(event):
                await self._flush()
                self.seal = await self._covering(event)
            self.gathered.append(event)
        await self._flush()
        self.seal = None

    def _is_elsewhere(self, event: StoredEvent) -> bool:
        if not self.gathered or event.position.lane != self.gathered[-1].position.lane:
            return True
        if self.seal is None:
            return len(self.gathered) >= _EVENTS_PER_WRITE
        return event.position.number > self.seal.to_position

    async def _covering(self, event: StoredEvent) -> LogSeal | None:
        lane, position = event.position.lane, event.position.number
        if lane not in self.sealed_to:
            # Remembered: a seal made meanwhile would cover events that went out without one.
            last = await seal_table.last_seal(self.connection, lane)
            self.sealed_to[lane] = last.to_position if last else 0
        if position > self.sealed_to[lane]:
            return None
        return await seal_table.seal_covering(self.connection, lane, position)

    async def _flush(self) -> None:
        if not self.gathered:
            return
        if self.seal is not None:
            await self._prove(self.seal)
        lines = [to_line(event, with_hash=self.with_hash) for event in self.gathered]
        await self.writer.add_events(lines, sealed=self.seal is not None)
        self.on_progress(self.writer.events_count)
        self.gathered.clear()

    async def _prove(self, seal: LogSeal) -> None:
        covered: Sequence[StoredEvent] = self.gathered
        is_whole = len(self.gathered) == seal.events_count
        if not is_whole:
            extent = Extent(seal.lane, seal.from_position, seal.to_position)
            covered = [event async for event in self.source.within(extent)]
        leaves = [leaf(event) for event in covered]
        if root_of(leaves) != seal.root:
            raise LogDamaged(
                f"lane {seal.lane}: the events of log seal {seal.number} are not the sealed ones"
            )
        await self.writer.add_seal(seal)
        if not is_whole:
            indexes = [event.position.number - seal.from_position for event in self.gathered]
            for event, path in zip(self.gathered, audit_paths(leaves, indexes), strict=True):
                await self.writer.add_path(event.position, path)
