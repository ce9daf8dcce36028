"""Makes log seals: walks what is not sealed yet, signs what it saw, and keeps it in the database and outside.

Two sealers at once do no harm: the database takes the seal of one, and the archive takes the same seal twice.
What a crash kept from the archive is brought there by the next round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eventstore.audit import seal_table
from eventstore.audit.chain import GENESIS
from eventstore.audit.chain_walk import Range, walk
from eventstore.audit.log_seal import NO_SEAL, LogSeal
from eventstore.audit.raw_events import load_names, prefer_order
from eventstore.connections import READ_ROLE
from eventstore.errors import EventStoreError, LogDamaged, SealArchiveUnavailable, SealConflict
from eventstore.line import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.audit.chain_walk import Walked
    from eventstore.audit.seal_archive import SealArchive
    from eventstore.audit.seal_signer import SealSigner

INTERVAL_SECONDS: Final = 60.0
EVENTS_PER_SEAL_MAX: Final = 50_000
PATIENCE_SECONDS: Final = 30.0


class LogSealer:
    """Seals the lanes of one log."""

    def __init__(
        self,
        conninfo: str,
        signer: SealSigner,
        archive: SealArchive | None,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        events_max: int = EVENTS_PER_SEAL_MAX,
    ) -> None:
        """Take the database, the key, and the place outside.

        Units: an event waits `interval_seconds` for its seal, less when `events_max` of them have come or
        the partition is full.
        """
        self._reading = Lines(conninfo, READ_ROLE, "seal")
        self._adding = Lines(conninfo, seal_table.SEAL_ROLE, "seal")
        self._signer = signer
        self._archive = archive
        self._interval_seconds = interval_seconds
        self._events_max = events_max
        self._archived: dict[int, LogSeal | None] = {}

    async def run_once(self) -> bool:
        """Seal what is due, at most one range of each lane; True when there may be more at once.

        Errors: LogDamaged when events do not fit; SealConflict when the archive knows other seals;
        StoreUnavailable; OSError of the archive.
        """
        troubles: list[Exception] = []
        more = False
        for lane in await self._reading.call(seal_table.lanes, PATIENCE_SECONDS):
            try:
                more |= await self._run_lane(lane)
            except (EventStoreError, OSError) as error:
                # The other lanes are sealed all the same.
                troubles.append(error)
        if troubles:
            raise troubles[0]
        return more

    async def close(self) -> None:
        """Close the connections."""
        await self._reading.close()
        await self._adding.close()

    async def _run_lane(self, lane: int) -> bool:
        """Compare and archive, seal, archive; an archive that is away keeps no seal from the database."""
        trouble = await self._archived_or_away(lane)
        last = await self._reading.call(lambda each: seal_table.last_seal(each, lane), PATIENCE_SECONDS)
        seal = await self._reading.call(lambda each: self._next_seal(each, lane, last), PATIENCE_SECONDS)
        if seal is not None:
            signed = replace(seal, signature=await self._signer.sign(seal.statement))
            await self._adding.call(lambda each: seal_table.add_seal(each, signed), PATIENCE_SECONDS)
        if trouble is not None:
            raise trouble
        if seal is not None:
            await self._archive_up_to(lane)
        return seal is not None

    async def _archived_or_away(self, lane: int) -> Exception | None:
        try:
            await self._archive_up_to(lane)
        except (SealArchiveUnavailable, OSError) as error:
            return error
        return None

    async def _next_seal(
        self, connection: AsyncConnection, lane: int, last: LogSeal | None
    ) -> LogSeal | None:
        """Return the next seal of a lane, unsigned, or None when none is due."""
        first = last.to_position + 1 if last else 1
        found = await seal_table.unsealed(connection, lane, last)
        end = min(found.head, first + self._events_max - 1, found.partition_end or found.head)
        full = end in {first + self._events_max - 1, found.partition_end}
        if found.head < first or not (full or (found.age_seconds or 0.0) >= self._interval_seconds):
            return None
        await prefer_order(connection)
        wanted = Range(lane, first, end, last.end_hash if last else GENESIS)
        walked = await walk(connection, await load_names(connection), wanted, [end])
        _refuse_damage(lane, walked)
        now = await seal_table.database_time(connection)
        return LogSeal(
            log_id=await seal_table.log_id(connection),
            lane=lane,
            number=last.number + 1 if last else 1,
            from_position=first,
            to_position=end,
            sealed_at=max(now, last.sealed_at) if last else now,
            root=walked.pieces[0].root,
            end_hash=walked.pieces[0].end_hash,
            previous_hash=last.hash if last else NO_SEAL,
            public_key=self._signer.public_key,
        )

    async def _archive_up_to(self, lane: int) -> None:
        """Bring into the archive what it lacks, once its last seal was found unchanged in the database.

        Otherwise somebody changed history, and what follows must not be signed on top of it.
        """
        if self._archive is None:
            return
        kept = await self._last_kept(lane, self._archive)
        after = kept.number - 1 if kept else 0
        while page := await self._seals_after(lane, after):
            for seal in page:
                after = seal.number
                if kept is None or seal.number > kept.number:
                    await self._archive.add(seal)
                    self._archived[lane] = seal
                elif seal != kept:
                    raise SealConflict(f"lane {lane}: the archive holds another log seal {seal.number}")
        if kept is not None and after < kept.number:
            raise SealConflict(f"lane {lane}: the archive holds {kept.number} log seals, the database fewer")

    async def _last_kept(self, lane: int, archive: SealArchive) -> LogSeal | None:
        if lane not in self._archived:
            number = await archive.last_number(lane)
            self._archived[lane] = (await archive.read(lane, [number]))[0] if number else None
        return self._archived[lane]

    async def _seals_after(self, lane: int, after: int) -> Sequence[LogSeal]:
        return await self._reading.call(
            lambda each: seal_table.seals_after(each, lane, after), PATIENCE_SECONDS
        )


def _refuse_damage(lane: int, walked: Walked) -> None:
    if walked.defect is not None:
        position = walked.end_position + 1
        raise LogDamaged(f"lane {lane} is damaged at position {position}: {walked.defect.value}")
