"""The loop that tells a channel about open alerts, with retries, and records what came of it.

What was delivered is an event, so a restart neither forgets an alert nor tells it again; a delivery whose
record was lost in a crash is told twice rather than never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts

from services.monitor.channel import DeliveryFailed
from services.projections.alerts import untold_alerts

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.monitor.alert_desk import AlertDesk
    from services.monitor.channel import Channel
    from services.projections.alerts import AlertRow
    from services.runtime.clock import Clock

TRIES_MAX: Final = 8
_BACKOFF_FIRST_SECONDS: Final = 0.5
_BACKOFF_SECONDS_MAX: Final = 60.0

_log = structlog.stdlib.get_logger(__name__)


class Notifier:
    """Tells one channel."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        channel: Channel,
        desk: AlertDesk,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._channel = channel
        self._desk = desk
        self._clock = clock
        self._tries: dict[UUID, int] = {}
        self._not_before: dict[UUID, float] = {}
        self._told: set[UUID] = set()

    async def run_once(self) -> bool:
        """Try every alert whose time has come."""
        async with self._pool.connection() as connection:
            alerts = await untold_alerts(connection, self._channel.name)
        open_ids = {alert.alert_id for alert in alerts}
        # The read model lags behind our own append: what was told stays told.
        self._told &= open_ids
        for alert in alerts:
            if alert.alert_id not in self._told and self._is_time(alert.alert_id):
                await self._tell(alert)
        return False

    def _is_time(self, alert_id: UUID) -> bool:
        return self._clock.monotonic() >= self._not_before.get(alert_id, 0.0)

    async def _tell(self, alert: AlertRow) -> None:
        tries = self._tries[alert.alert_id] = self._tries.get(alert.alert_id, 0) + 1
        try:
            await self._channel.deliver(alert)
        except DeliveryFailed as failure:
            await self._after_failure(alert, tries, failure.code)
            return
        fact = facts.AlertNotified(alert_id=str(alert.alert_id), channel=self._channel.name, tries=tries)
        await self._settle(alert.alert_id, fact)

    async def _after_failure(self, alert: AlertRow, tries: int, code: str) -> None:
        _log.warning("alert_not_delivered", channel=self._channel.name, tries=tries, code=code)
        wait = min(_BACKOFF_SECONDS_MAX, _BACKOFF_FIRST_SECONDS * 2.0 ** (tries - 1))
        self._not_before[alert.alert_id] = self._clock.monotonic() + wait
        if tries >= TRIES_MAX:
            fact = facts.AlertNotificationFailed(
                alert_id=str(alert.alert_id), channel=self._channel.name, tries=tries, code=code
            )
            await self._settle(alert.alert_id, fact)

    async def _settle(
        self, alert_id: UUID, fact: facts.AlertNotified | facts.AlertNotificationFailed
    ) -> None:
        await self._desk.report(alert_id, fact)
        self._told.add(alert_id)
        self._tries.pop(alert_id, None)
        self._not_before.pop(alert_id, None)
