"""`parked`: events that projections put aside; asks for them to be replayed, or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from eventstore.commands import session
from eventstore.connections import PROJECT_ROLE, READ_ROLE, connect
from eventstore.following import parked as parked_events
from eventstore.types import LEDGER_LANE, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from eventstore.following.parked import ParkedEvent

_which = (
    click.argument("name"),
    click.option("--position", type=click.IntRange(min=1), help="Only the event at this position."),
    click.option("--lane", default=LEDGER_LANE, show_default=True, help="The lane of --position."),
    click.option("--stream", "stream_id", type=click.UUID, help="Only the events of this stream."),
)


def which(command: Callable[..., None]) -> Callable[..., None]:
    """Add what says which parked events are meant."""
    for each in reversed(_which):
        command = each(command)
    return command


@click.group()
@session.database
@click.pass_context
def parked(context: click.Context, database: str) -> None:
    """Show, replay or discard events that projections put aside."""
    context.obj = database


@parked.command(name="list")
@click.argument("name", required=False)
@session.as_json
@click.pass_obj
def list_(database: str, name: str | None, *, as_json: bool) -> None:
    """Show parked events: of the projection NAME, or of all."""
    rows = [
        {
            "projection": f"{each.name} v{each.version}",
            "lane": each.lane,
            "position": each.position,
            "stream": each.stream_id,
            "event type": each.event_type,
            "state": each.state,
            "attempts": each.attempts,
            "error": each.error,
            "parked at": each.parked_at,
            "asked": each.asked,
        }
        for each in session.run(_list(database, name))
    ]
    session.show(rows, as_json=as_json, title="Parked events", empty="no event is parked")


@parked.command()
@which
@click.pass_obj
def replay(database: str, name: str, position: int | None, lane: int, stream_id: UUID | None) -> None:
    """Have failed events of NAME applied again, and what waits behind them; each stream in its order."""
    _ask(database, "replay", name, _place(lane, position), stream_id)


@parked.command()
@which
@click.pass_obj
def discard(database: str, name: str, position: int | None, lane: int, stream_id: UUID | None) -> None:
    """Have failed events of NAME left out for good; what waits behind them is applied.

    With --stream, everything of that stream is left out, also what waits.
    """
    _ask(database, "discard", name, _place(lane, position), stream_id)


def _ask(database: str, what: str, name: str, position: Position | None, stream_id: UUID | None) -> None:
    count = session.run(_asked(database, what, name, position, stream_id))
    if count:
        click.echo(f"asked to {what} {count} events; whoever runs {name} does it within a second or two")
    else:
        click.echo(f"there is nothing of {name} to {what}")


async def _asked(
    database: str, what: str, name: str, position: Position | None, stream_id: UUID | None
) -> int:
    async with await connect(database, PROJECT_ROLE, what) as connection:
        return await parked_events.ask(connection, what, name, position=position, stream_id=stream_id)


async def _list(database: str, name: str | None) -> Sequence[ParkedEvent]:
    async with await connect(database, READ_ROLE, "parked") as connection:
        return await parked_events.list_parked(connection, name)


def _place(lane: int, position: int | None) -> Position | None:
    return None if position is None else Position(lane, position)
