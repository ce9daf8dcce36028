"""Where every read model is: the live one, what is built beside it, and what was retired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

# Parked rows belong to versions that wait for a swap, or were swapped away; they move nowhere.
_ROWS: Final[LiteralString] = """
select split_part(name, '#', 1) as name, split_part(name, '#', 2) as kind, version,
  partition::integer as partition, positions,
  case when expires_at > clock_timestamp() then holder end as holder, moved_at, paused_at, error
from es.projection
where not starts_with(coalesce(holder, ''), '#')
order by 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class ProjectionRow:
    """A checkpoint; `kind` is empty for a live one, `rebuild` or `retired` for the others."""

    name: str
    kind: str
    version: int
    partition: int
    positions: Mapping[str, int]
    holder: str | None
    moved_at: datetime
    paused_at: datetime | None
    error: str | None


async def projection_rows(connection: AsyncConnection[Any]) -> Sequence[ProjectionRow]:
    """Return all checkpoints, by name; the live ones first."""
    cursor = connection.cursor(row_factory=class_row(ProjectionRow))
    await cursor.execute(_ROWS)
    return await cursor.fetchall()
