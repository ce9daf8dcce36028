"""`projections`: how every projection stands, and why; `projections resume` lets a paused one run again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from eventstore.commands import session
from eventstore.connections import PROJECT_ROLE, READ_ROLE, connect
from eventstore.following.resume import resume as resume_projection
from eventstore.following.standing import State, duration
from eventstore.following.why_behind import why_behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventstore.following.standing import Standing


@click.group(invoke_without_command=True)
@session.database
@session.as_json
@click.pass_context
def projections(context: click.Context, database: str, *, as_json: bool) -> None:
    """Say how every projection stands, and why it is behind.

    Exit code 1 when one is paused, or nobody runs it.
    """
    context.obj = database
    if context.invoked_subcommand is not None:
        return
    standings = session.run(_standings(database))
    rows = [_facts(each) if as_json else _row(each) for each in standings]
    session.show(rows, as_json=as_json, title="Projections", empty="no projection has run yet")
    if any(each.state in (State.PAUSED, State.UNHELD) for each in standings):
        sys.exit(session.FOUND_WRONG)


@projections.command()
@click.argument("name")
@click.pass_obj
def resume(database: str, name: str) -> None:
    """Let NAME go on where it is paused: the event that it stopped at is tried again."""
    count = session.run(_resume(database, name))
    click.echo(f"{name}: {count} paused partitions were resumed" if count else f"{name} is not paused")


async def _standings(database: str) -> Sequence[Standing]:
    async with await connect(database, READ_ROLE, "projections") as connection:
        return await why_behind(connection)


async def _resume(database: str, name: str) -> int:
    async with await connect(database, PROJECT_ROLE, "resume") as connection:
        return await resume_projection(connection, name)


def _row(standing: Standing) -> Mapping[str, object]:
    eta = standing.eta_seconds
    return {
        "name": f"{standing.name} v{standing.version}",
        "state": standing.state.value,
        "lag": f"{standing.lag:,}",
        "rate": "" if standing.rate is None else f"{standing.rate:,.0f}/s",
        "ETA": "" if eta is None else "now" if not eta else duration(eta),
        "holder": ", ".join(each.name for each in standing.holders),
        "why": standing.sentence,
    }


def _facts(standing: Standing) -> Mapping[str, object]:
    return {
        "name": standing.name,
        "version": standing.version,
        "state": standing.state.value,
        "head": standing.head,
        "checkpoint": standing.checkpoint,
        "lag": standing.lag,
        "lag_seconds": standing.lag_seconds,
        "rate": standing.rate,
        "eta_seconds": standing.eta_seconds,
        "partitions": standing.partitions_count,
        "holders": [
            {
                "name": each.name,
                "partitions": each.partitions_count,
                "expires_in_seconds": each.expires_in_seconds,
            }
            for each in standing.holders
        ],
        "standby": standing.standby_count,
        "paused": [
            {
                "partition": each.partition,
                "lane": each.lane,
                "position": each.position,
                "attempts": each.attempts,
                "error": each.error,
                "paused_at": each.paused_at,
            }
            for each in standing.pauses
        ],
        "parked": standing.parked_count,
        "skipped": standing.skipped_count,
        "passed_over": standing.passed_over_count,
        "sentence": standing.sentence,
    }
