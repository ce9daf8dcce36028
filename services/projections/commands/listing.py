"""`list`: where every read model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from eventstore.commands import session
from eventstore.connections import READ_ROLE, connect
from services.projections.lane_heads import lane_heads
from services.projections.overview import projection_rows
from services.projections.registry import registered
from services.runtime.config import Environment, TimingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.projections.overview import ProjectionRow

_WHICH: Final = {"": "live", "rebuild": "rebuilt beside it", "retired": "retired by a swap"}


@click.command("list")
@session.database
@session.as_json
def list_(database: str, *, as_json: bool) -> None:
    """Say where every read model is: how far behind the log, who moves it, and what was built beside it."""
    rows = session.run(_listed(database))
    session.show(rows, as_json=as_json, title="read models", empty="no read model has been moved yet")


async def _listed(database_url: str) -> Sequence[Mapping[str, object]]:
    known = registered(TimingConfig.read(Environment()))
    async with await connect(database_url, READ_ROLE, "list projections") as connection:
        rows, heads = await projection_rows(connection), await lane_heads(connection)
    return [_shown(row, heads) for row in rows if row.name in known]


def _shown(row: ProjectionRow, heads: Mapping[int, int]) -> Mapping[str, object]:
    at = {int(lane): number for lane, number in row.positions.items()}
    return {
        "name": row.name,
        "which": _WHICH.get(row.kind, row.kind),
        "version": row.version,
        "partition": row.partition,
        "position": " ".join(f"{lane}:{number}" for lane, number in sorted(at.items(), reverse=True)),
        "behind": sum(max(0, heads[lane] - at.get(lane, 0)) for lane in heads if lane in at or lane >= 0),
        "moved_at": row.moved_at,
        "holder": row.holder,
        "paused": row.error or row.paused_at,
    }
