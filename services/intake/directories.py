"""The catalogue: takes entries in, shows them, and says which can be ordered.

An entry is read from its own stream, so that an order right after an import finds it; the read model
spares that for the many that it knows already.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import system_events_pb2

from eventstore.errors import WrongExpectedVersion
from services.domain import events, identity
from services.domain.errors import DirectoryNotFound, FieldViolation, StreamMovedOn
from services.intake import names
from services.intake.check_directory import normalised, violations_of
from services.intake.views import directory_view
from services.runtime import arguments
from services.runtime.ledger import TRIES_MAX, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from services.projections.catalogue import CatalogueReader
    from services.runtime.ledger import Ledger

ENTRIES_MAX: Final = 500
_APPENDS_AT_ONCE_MAX: Final = 32
_WHY_NOT: Final[Mapping[int, str]] = {
    directory_pb2.DIRECTORY_STATE_UNPROBED: "nobody has looked at its form yet",
    directory_pb2.DIRECTORY_STATE_LOGIN_REQUIRED: "it needs an account first",
    directory_pb2.DIRECTORY_STATE_CAPTCHA: "it shows a challenge that only a person may solve",
    directory_pb2.DIRECTORY_STATE_PAID: "it takes money for a listing",
    directory_pb2.DIRECTORY_STATE_DEAD: "it does not answer any more",
    directory_pb2.DIRECTORY_STATE_FORBIDDEN: "its rules forbid automatic submission",
}


class Entry(NamedTuple):
    """An entry of the catalogue and its version; version 0 means that there is none."""

    directory: directory_pb2.Directory
    version: int


class Imported(NamedTuple):
    """How many entries an import changed, and how many it found as they are."""

    changed_count: int
    unchanged_count: int


class Directories:
    """The catalogue."""

    def __init__(self, ledger: Ledger, reader: CatalogueReader) -> None:
        self._ledger = ledger
        self._reader = reader

    async def put(self, entries: Sequence[directory_pb2.Directory]) -> Imported:
        """Put entries in; what is the same is left alone.

        Errors: InvalidArgument with what is wrong with any of them; nothing is stored then.
        """
        arguments.refuse(_violations(entries))
        gate = asyncio.Semaphore(_APPENDS_AT_ONCE_MAX)

        async def _put_one(entry: directory_pb2.Directory) -> bool:
            async with gate:
                return await self._put_one(normalised(entry))

        # All are awaited even when one fails: an import is repeated whole, and finds the rest unchanged.
        done = await asyncio.gather(*(_put_one(each) for each in entries), return_exceptions=True)
        changed = 0
        for each in done:
            if isinstance(each, BaseException):
                raise each
            changed += each
        return Imported(changed, len(entries) - changed)

    async def _put_one(self, entry: directory_pb2.Directory) -> bool:
        directory_id = names.read_directory(entry.name, "name")
        stream = Stream(identity.directory_stream(directory_id), events.DIRECTORY)
        fact = system_events_pb2.DirectoryCatalogued(directory=entry)
        for _ in range(TRIES_MAX):
            found, version = await self._find(directory_id)
            if version and found == entry:
                return False
            try:
                await self._ledger.append(stream, [fact], version)
            except WrongExpectedVersion:
                continue
            return True
        raise StreamMovedOn

    async def get(self, directory_id: str) -> directory_pb2.Directory:
        """Return an entry.

        Errors: DirectoryNotFound.
        """
        entry, version = await self._find(directory_id)
        if not version:
            raise DirectoryNotFound(directory=names.directory(directory_id))
        return directory_view(entry, version)

    async def _find(self, directory_id: str) -> Entry:
        found = Entry(directory_pb2.Directory(), 0)
        for stored in await self._ledger.history(identity.directory_stream(directory_id)):
            fact = events.read(stored)
            entry = fact.directory if isinstance(fact, system_events_pb2.DirectoryCatalogued) else found[0]
            found = Entry(entry, stored.version)
        return found

    async def check_orderable(self, directory_ids: Sequence[str]) -> None:
        """Refuse directories that are unknown, or cannot be submitted to.

        Errors: DirectoryNotFound naming those that are not there; InvalidArgument saying why of the rest.
        """
        states = dict(await self._reader.states(directory_ids))
        for each in directory_ids:
            if states.get(each) != directory_pb2.DIRECTORY_STATE_SUBMITTABLE:
                entry, version = await self._find(each)
                states[each] = entry.state if version else directory_pb2.DIRECTORY_STATE_UNSPECIFIED
        missing = [each for each in directory_ids if not states[each]]
        if missing:
            listed = ", ".join(names.directory(each) for each in missing[:10])
            raise DirectoryNotFound(f"not in the catalogue: {listed}", directory=names.directory(missing[0]))
        arguments.refuse(
            FieldViolation(f"directories[{index}]", f"{names.directory(each)} cannot be ordered: {why}")
            for index, each in enumerate(directory_ids)
            if (why := _WHY_NOT.get(states[each]))
        )


def _violations(entries: Sequence[directory_pb2.Directory]) -> Iterator[FieldViolation]:
    if not 1 <= len(entries) <= ENTRIES_MAX:
        yield FieldViolation("directories", f"has {len(entries)} entries, give 1 to {ENTRIES_MAX}")
        return
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            yield FieldViolation(f"directories[{index}].name", f"{entry.name} is there twice")
        seen.add(entry.name)
        yield from violations_of(entry, f"directories[{index}].")
