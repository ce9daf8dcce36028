"""Looks whether the objects that archived partitions consist of lie in object storage, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.rows import dict_row

from eventstore.care.check import PLACES_MAX, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import AsyncConnection

    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.care.check import Rows

NAME: Final = "archive objects"
QUESTION: Final = "Lies in storage what the archive consists of?"

_OBJECTS: Final = """
select o.from_position, o.name, o.bytes
from es.archive_object o join es.archive a on a.from_position = o.from_position
where a.deleted_at is null order by o.from_position, o.name
"""


async def stored_objects(connection: AsyncConnection, storage: ObjectStorage) -> Sequence[Finding]:
    """Ask storage for every object's size and return what does not fit; nothing is read.

    Errors: ObjectStorageUnavailable.
    """
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_OBJECTS)
    found = [
        {**row, "found_bytes": await storage.size_bytes(row["name"]), "url": storage.url_of(row["name"])}
        for row in await cursor.fetchall()
    ]
    return list(judge_objects(found))[:PLACES_MAX]


def judge_objects(rows: Rows) -> Iterator[Finding]:
    """Find objects that are missing, or not as long as they were."""
    for row in rows:
        if row["found_bytes"] == row["bytes"]:
            continue
        said = "is missing" if row["found_bytes"] is None else f"has {row['found_bytes']} bytes"
        yield Finding(
            f"{row['url']} {said}, not the {row['bytes']} bytes that were verified",
            f"archived partition from {row['from_position']}",
            "bring the object back from the storage's versions or replicas: its events stand nowhere else",
        )
