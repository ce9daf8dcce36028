"""Categories and event types by number and by name, remembered by the process.

A number never changes its meaning, so what is known needs no refreshing; what is unknown is looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection

_CATEGORIES: LiteralString = "select id, name from es.category"
_INTERN: LiteralString = "select * from es.intern_v1(%s::text[], %s::text[])"
_EVENT_TYPES: LiteralString = "select id, name from es.event_type"


class Names:
    """Both directions of the two name tables."""

    def __init__(self) -> None:
        self.category_ids: dict[str, int] = {}
        self.event_type_ids: dict[str, int] = {}
        self.categories: dict[int, str] = {}
        self.event_types: dict[int, str] = {}

    async def intern(
        self, connection: AsyncConnection, categories: Iterable[str], event_types: Iterable[str]
    ) -> None:
        """Make sure that all of these have numbers; asks the database only about new ones."""
        new_categories = sorted(set(categories) - self.category_ids.keys())
        new_event_types = sorted(set(event_types) - self.event_type_ids.keys())
        if not new_categories and not new_event_types:
            return
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(_INTERN, [new_categories, new_event_types])
        row = await cursor.fetchone()
        if row is None:
            raise AssertionError("intern_v1 answers one row")
        self._learn_categories(zip(row[0], new_categories, strict=True))
        self._learn_event_types(zip(row[1], new_event_types, strict=True))

    async def load(self, connection: AsyncConnection) -> None:
        """Read both tables."""
        self._learn_categories(await _pairs(connection, _CATEGORIES))
        self._learn_event_types(await _pairs(connection, _EVENT_TYPES))

    def _learn_categories(self, pairs: Iterable[tuple[int, str]]) -> None:
        for number, name in pairs:
            self.categories[number] = name
            self.category_ids[name] = number

    def _learn_event_types(self, pairs: Iterable[tuple[int, str]]) -> None:
        for number, name in pairs:
            self.event_types[number] = name
            self.event_type_ids[name] = number


async def _pairs(connection: AsyncConnection, query: LiteralString) -> Sequence[tuple[int, str]]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(query)
    return await cursor.fetchall()
