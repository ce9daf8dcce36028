"""Who is telling a channel about which alert. Owner: monitor.

An alert is taken for as long as a delivery may last, so that of two monitors one tells it; a monitor that
dies while telling leaves it to be taken again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.projections.alerts import find_alerts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from services.projections.alerts import AlertRow

HOLD_SECONDS: Final = 30.0
TAKEN_MAX: Final = 50

_TAKE: Final = """
with untold as (
  select a.alert_id from monitor.alert a
  where a.state <> 'resolved' and not %(channel)s = any(a.notified_channels || a.failed_channels)
    and not exists (
      select from monitor.delivery d
      where d.alert_id = a.alert_id and d.channel = %(channel)s and d.next_at > clock_timestamp()
    )
  order by a.position
  limit %(limit)s
)
insert into monitor.delivery as d (alert_id, channel, tries, next_at)
select alert_id, %(channel)s, 1, clock_timestamp() + make_interval(secs => %(hold)s) from untold
on conflict (alert_id, channel) do update
set tries = d.tries + 1, next_at = excluded.next_at
where d.next_at <= clock_timestamp()
returning alert_id, tries
"""
_POSTPONE: Final = """
update monitor.delivery set next_at = clock_timestamp() + make_interval(secs => %(seconds)s)
where channel = %(channel)s and alert_id = %(alert_id)s
"""
_SETTLE: Final = """
update monitor.delivery set next_at = 'infinity' where channel = %(channel)s and alert_id = %(alert_id)s
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert to be told, and the how manieth try this is."""

    alert: AlertRow
    tries: int


async def take_deliveries(connection: AsyncConnection[Any], channel: str) -> Sequence[Delivery]:
    """Take open alerts that a channel has neither taken nor finally refused and whose time has come.

    Shape: oldest first, at most fifty; they are nobody else's for thirty seconds.
    """
    cursor = await connection.execute(_TAKE, {"channel": channel, "limit": TAKEN_MAX, "hold": HOLD_SECONDS})
    tries: dict[UUID, int] = dict(await cursor.fetchall())
    alerts = await find_alerts(connection, list(tries))
    return [Delivery(alert, tries[alert.alert_id]) for alert in alerts]


async def postpone_delivery(
    connection: AsyncConnection[Any], channel: str, alert_id: UUID, seconds: float
) -> None:
    """Let it be taken again after so many seconds."""
    values = {"channel": channel, "alert_id": alert_id, "seconds": seconds}
    await connection.execute(_POSTPONE, values)


async def settle_delivery(connection: AsyncConnection[Any], channel: str, alert_id: UUID) -> None:
    """Let it never be taken again: what came of it is recorded."""
    await connection.execute(_SETTLE, {"channel": channel, "alert_id": alert_id})
