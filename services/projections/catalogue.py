"""The catalogue as it is listed: the newest entry of each directory. Owner: intake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import system_events_pb2

from eventstore.types import LEDGER_LANE, Filter
from services.domain import events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.projections.reading import Reads

_SAVE: Final[LiteralString] = """
insert into directory (directory_id, version, authority, state, entry)
values (%(directory_id)s, %(version)s, %(authority)s, %(state)s, %(entry)s)
on conflict (directory_id) do update
set version = excluded.version, authority = excluded.authority, state = excluded.state, entry = excluded.entry
where directory.version < excluded.version
"""
_STATES: Final[LiteralString] = (
    "select directory_id, state from intake.directory where directory_id = any(%s)"
)
_PAGE: Final[LiteralString] = """
select entry, version from intake.directory
where %(authority)s::integer is null
  or authority < %(authority)s or (authority = %(authority)s and directory_id > %(directory_id)s)
order by authority desc, directory_id
limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """An entry and its version."""

    entry: directory_pb2.Directory
    version: int

    @property
    def cursor(self) -> tuple[int, str]:
        """The place of the row in the list."""
        return self.entry.authority, self.entry.name.removeprefix("directories/")


class CatalogueProjection:
    """Keeps one row per directory."""

    name = "catalogue"
    version = 1
    schema = "intake"
    tables = ("directory",)
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.DIRECTORY}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write the entries of a page of events."""
        rows = [row for row in map(values_of, page) if row is not None]
        if rows:
            await connection.cursor().executemany(_SAVE, rows)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate directory")


def values_of(stored: StoredEvent) -> Mapping[str, object] | None:
    """Return the row that an event makes; None when it is no entry."""
    fact = events.read(stored)
    if not isinstance(fact, system_events_pb2.DirectoryCatalogued):
        return None
    return {
        "directory_id": fact.directory.name.removeprefix("directories/"),
        "version": stored.version,
        "authority": fact.directory.authority,
        "state": fact.directory.state,
        "entry": fact.directory.SerializeToString(deterministic=True),
    }


class CatalogueReader:
    """Reads the catalogue; it is nobody's own."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def states(self, directory_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the states of those directories that are there."""
        async with self._reads.of_all() as connection:
            rows = await connection.execute(_STATES, [list(directory_ids)])
            return dict(await rows.fetchall())

    async def page(self, after: tuple[int, str] | None, limit: int) -> Sequence[DirectoryRow]:
        """Return entries by authority, highest first, then by id, from behind a cursor."""
        authority, directory_id = after or (None, "")
        wanted = {"authority": authority, "directory_id": directory_id, "limit": limit}
        async with self._reads.of_all() as connection:
            rows = await (await connection.execute(_PAGE, wanted)).fetchall()
        return [DirectoryRow(directory_pb2.Directory.FromString(entry), version) for entry, version in rows]
