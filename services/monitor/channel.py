"""Where alerts are sent: one small port, and the Slack-compatible webhook behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import httpx
from directorybolt.event.v1 import system_events_pb2

if TYPE_CHECKING:
    from services.projections.alerts import AlertRow

_POST_SECONDS: Final = 5.0


class DeliveryFailed(Exception):
    """The channel did not take the alert; `code` is stable, never the channel's words."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Channel(Protocol):
    """Takes alerts."""

    name: str

    async def deliver(self, alert: AlertRow) -> None:
        """Deliver one alert.

        Errors: DeliveryFailed.
        """
        ...


class SlackWebhook:
    """A Slack-compatible incoming webhook: `{"text": …}` by POST, taken when it answers 2xx."""

    name = "slack"

    def __init__(self, url: str) -> None:
        self._url = url

    async def deliver(self, alert: AlertRow) -> None:
        """Deliver one alert.

        Errors: DeliveryFailed.
        """
        try:
            async with httpx.AsyncClient(timeout=_POST_SECONDS) as client:
                answer = await client.post(self._url, json={"text": text_of(alert)})
        except httpx.HTTPError as error:
            raise DeliveryFailed("unreachable") from error
        if not answer.is_success:
            raise DeliveryFailed(f"http_{answer.status_code}")


def text_of(alert: AlertRow) -> str:
    """Return the message: how bad, which rule, about what, since when, and the alert's name."""
    severity = system_events_pb2.Severity.Name(_known(alert.severity)).removeprefix("SEVERITY_")
    since = alert.raised_at.isoformat(timespec="seconds")
    return f"[{severity}] {alert.rule}: {alert.summary} (raised {since}, alerts/{alert.alert_id})"


def _known(severity: int) -> system_events_pb2.Severity.ValueType:
    return next(
        (value for value in system_events_pb2.Severity.values() if value == severity),
        system_events_pb2.SEVERITY_UNSPECIFIED,
    )
