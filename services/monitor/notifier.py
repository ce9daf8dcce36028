"""The loop that tells a channel about open alerts, with retries, and records what came of it.

What was delivered is an event, so a restart neither forgets an alert nor tells it again; a delivery whose
record was lost in a crash is told twice rather than never. Many alerts of one rule go as one message.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts

from services.monitor.channel import DeliveryFailed
from services.projections.deliveries import postpone_delivery, settle_delivery, take_deliveries
from services.runtime.telemetry import GAP_RULE, start_leg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.monitor.alert_desk import AlertDesk
    from services.monitor.channel import Channel
    from services.projections.deliveries import Delivery
    from services.projections.reading import Reads
    from services.runtime.config import TraceMode

TRIES_MAX: Final = 8
#: More alerts of one rule than this, waiting together, are told in one message.
SINGLE_MAX: Final = 3
_BACKOFF_FIRST_SECONDS: Final = 0.5
_BACKOFF_SECONDS_MAX: Final = 60.0

_log = structlog.stdlib.get_logger(__name__)


class Notifier:
    """Tells one channel."""

    def __init__(self, reads: Reads, channel: Channel, desk: AlertDesk, trace_mode: TraceMode) -> None:
        self._reads = reads
        self._channel = channel
        self._desk = desk
        self._trace_mode: TraceMode = trace_mode

    async def run_once(self) -> bool:
        """Try every alert whose time has come; True when something was told, since more may wait."""
        async with self._reads.of_all() as connection:
            taken = await take_deliveries(connection, self._channel.name)
        # Side by side: one that hangs must not use up the time for which the others are ours.
        told = await asyncio.gather(*map(self._tell, messages(taken)), return_exceptions=True)
        for each in told:
            if each is not None:
                raise each
        return bool(taken)

    async def _tell(self, message: Sequence[Delivery]) -> None:
        first = message[0].alert
        with start_leg(
            f"monitor.notify {self._channel.name}",
            origin=first.trace_parent,
            mode=self._trace_mode,
            attributes={GAP_RULE: first.rule},
        ):
            try:
                await self._channel.deliver([each.alert for each in message])
            except DeliveryFailed as failure:
                for each in message:
                    await self._after_failure(each, failure)
                return
            for each in message:
                await self._settle(each, self._notified(each))

    def _notified(self, told: Delivery) -> facts.AlertNotified:
        return facts.AlertNotified(
            alert_id=str(told.alert.alert_id), channel=self._channel.name, tries=told.tries
        )

    async def _after_failure(self, told: Delivery, failure: DeliveryFailed) -> None:
        _log.warning("alert_not_delivered", channel=self._channel.name, tries=told.tries, code=failure.code)
        if told.tries >= TRIES_MAX:
            await self._settle(
                told,
                facts.AlertNotificationFailed(
                    alert_id=str(told.alert.alert_id),
                    channel=self._channel.name,
                    tries=told.tries,
                    code=failure.code,
                ),
            )
            return
        wait = min(_BACKOFF_SECONDS_MAX, _BACKOFF_FIRST_SECONDS * 2.0 ** (told.tries - 1))
        async with self._reads.of_all() as connection:
            await postpone_delivery(
                connection, self._channel.name, told.alert.alert_id, max(wait, failure.retry_after_seconds)
            )

    async def _settle(
        self, told: Delivery, fact: facts.AlertNotified | facts.AlertNotificationFailed
    ) -> None:
        await self._desk.report(told.alert.alert_id, fact)
        async with self._reads.of_all() as connection:
            await settle_delivery(connection, self._channel.name, told.alert.alert_id)


def messages(taken: Sequence[Delivery]) -> Sequence[Sequence[Delivery]]:
    """Return what goes into one message each: single alerts, or all of a rule where there are many."""
    by_rule: dict[str, list[Delivery]] = {}
    for each in taken:
        by_rule.setdefault(each.alert.rule, []).append(each)
    found: list[Sequence[Delivery]] = []
    for group in by_rule.values():
        found += [group] if len(group) > SINGLE_MAX else [[each] for each in group]
    return found
