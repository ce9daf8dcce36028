"""Categories and event types by number and by name, remembered by the process.

A number never changes its meaning, so what is known needs no refreshing; what is unknown is looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, LiteralString

    from psycopg import AsyncConnection

    from eventstore.types import NewEvent

_CATEGORIES: LiteralString = "select id, name from es.category"
_INTERN: LiteralString = "select * from es.intern_v2(%s::text[], %s::text[], %s::boolean[])"
_EVENT_TYPES: LiteralString = "select id, name, ignorable from es.event_type"


class Names:
    """Both directions of the two name tables, and which event types are ignorable."""

    def __init__(self) -> None:
        self.category_ids: dict[str, int] = {}
        self.event_type_ids: dict[str, int] = {}
        self.categories: dict[int, str] = {}
        self.event_types: dict[int, str] = {}
        self.ignorable: dict[int, bool] = {}

    async def intern(
        self, connection: AsyncConnection, categories: Iterable[str], events: Iterable[NewEvent]
    ) -> None:
        """Make sure that categories and types have numbers; asks the database only about new ones."""
        event_types = {each.event_type: each.ignorable for each in events}
        new_categories = sorted(set(categories) - self.category_ids.keys())
        new_event_types = sorted(event_types.keys() - self.event_type_ids.keys())
        if not new_categories and not new_event_types:
            return
        cursor = connection.cursor(row_factory=tuple_row)
        ignorable = [event_types[each] for each in new_event_types]
        await cursor.execute(_INTERN, [new_categories, new_event_types, ignorable])
        row = await cursor.fetchone()
        if row is None:
            raise AssertionError("intern_v2 answers one row")
        self._learn_categories(zip(row[0], new_categories, strict=True))
        self._learn_event_types(zip(row[1], new_event_types, row[2], strict=True))

    def knows(self, categories: Iterable[str], events: Iterable[NewEvent]) -> bool:
        """Return whether all of these have numbers that are known here."""
        return self.category_ids.keys() >= set(categories) and all(
            each.event_type in self.event_type_ids for each in events
        )

    def ignorable_event_types(self) -> frozenset[str]:
        """Return the names of the event types known to be ignorable."""
        return frozenset(self.event_types[number] for number, each in self.ignorable.items() if each)

    async def load(self, connection: AsyncConnection) -> None:
        """Read both tables."""
        self._learn_categories(await _rows(connection, _CATEGORIES))
        self._learn_event_types(await _rows(connection, _EVENT_TYPES))

    def _learn_categories(self, pairs: Iterable[tuple[int, str]]) -> None:
        for number, name in pairs:
            self.categories[number] = name
            self.category_ids[name] = number

    def _learn_event_types(self, rows: Iterable[tuple[int, str, bool]]) -> None:
        for number, name, ignorable in rows:
            self.ignorable[number] = ignorable
            self.event_types[number] = name
            self.event_type_ids[name] = number


async def _rows(connection: AsyncConnection, query: LiteralString) -> Sequence[Any]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(query)
    return await cursor.fetchall()
