"""Read models as the contract shows them. Pure."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import projections_pb2 as pb

from eventstore.following.standing import State
from eventstore.types import Position
from services.domain.attempts import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventstore.following.standing import Standing
    from eventstore.rebuild.difference import Difference
    from eventstore.rebuild.progress import RebuildProgress
    from eventstore.rebuild.table_difference import RowDifference, TableDifference
    from services.runtime.tokens import TokenSealer

_STATES: Final[Mapping[State, pb.ProjectionState.ValueType]] = {
    State.RUNNING: pb.PROJECTION_STATE_RUNNING,
    State.WAITING: pb.PROJECTION_STATE_WAITING,
    State.PAUSED: pb.PROJECTION_STATE_PAUSED,
    State.UNHELD: pb.PROJECTION_STATE_UNHELD,
}


def token_of(positions: Mapping[int, int], sealer: TokenSealer) -> str:
    """Return the token of a position in several lanes."""
    return sealer.position_token(*(Position(lane, number) for lane, number in sorted(positions.items())))


def projection_view(standing: Standing, sealer: TokenSealer) -> pb.Projection:
    """Return a read model."""
    return pb.Projection(
        name=f"projections/{standing.name}",
        version=standing.version,
        state=_STATES[standing.state],
        position=token_of(standing.checkpoint, sealer),
        events_behind=standing.lag,
        lag_duration=duration(timedelta(seconds=standing.lag_seconds)),
        explanation=standing.sentence,
        parked_count=standing.parked_count,
        rebuilt_position="" if standing.rebuilt is None else token_of(standing.rebuilt, sealer),
    )


def progress_view(progress: RebuildProgress) -> pb.RebuildProjectionResponse:
    """Return how far a rebuild is."""
    left = progress.seconds_left
    return pb.RebuildProjectionResponse(
        done_count=progress.done,
        total_count=progress.total,
        positions_per_second=progress.per_second,
        remaining_duration=None if left is None else duration(timedelta(seconds=left)),
    )


def difference_view(found: Difference, sealer: TokenSealer) -> pb.DiffProjectionResponse:
    """Return a comparison."""
    return pb.DiffProjectionResponse(
        same=found.same,
        position=token_of(found.positions, sealer),
        tables=map(_table, found.tables),
    )


def _table(table: TableDifference) -> pb.TableDifference:
    return pb.TableDifference(
        table=table.table,
        same=table.same,
        live_count=table.live_count,
        rebuilt_count=table.rebuilt_count,
        live_digest=table.live_digest,
        rebuilt_digest=table.rebuilt_digest,
        live_columns=table.columns_only_live,
        rebuilt_columns=table.columns_only_rebuilt,
        rows=map(_row, table.rows),
    )


def _row(row: RowDifference) -> pb.RowDifference:
    return pb.RowDifference(
        key=json.dumps(row.key),
        only_in=row.only_in,
        columns=[
            pb.ColumnDifference(column=name, live=json.dumps(live), rebuilt=json.dumps(rebuilt))
            for name, (live, rebuilt) in row.columns.items()
        ],
    )
