"""Where alerts are sent: one small port, and the Slack-compatible webhook behind it."""

from __future__ import annotations

import html
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import httpx
from directorybolt.event.v1 import system_events_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from services.projections.alerts import AlertRow

_POST_SECONDS: Final = 5.0
_SUBJECTS_NAMED_MAX: Final = 5
_RETRY_AFTER_SECONDS_MAX: Final = 300.0


class DeliveryFailed(Exception):
    """The channel did not take the message; `code` is stable, never the channel's words."""

    def __init__(self, code: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class Channel(Protocol):
    """Takes alerts."""

    @property
    def name(self) -> str:
        """What events call it."""
        ...

    async def deliver(self, alerts: Sequence[AlertRow]) -> None:
        """Deliver alerts of one rule as one message.

        Errors: DeliveryFailed.
        """
        ...


class SlackWebhook:
    """A Slack-compatible incoming webhook: `{"text": …}` by POST, taken when it answers 2xx."""

    name = "slack"

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncGenerator[SlackWebhook]:
        """Lend a webhook with connections of its own."""
        async with httpx.AsyncClient(timeout=_POST_SECONDS) as client:
            yield cls(url, client)

    async def deliver(self, alerts: Sequence[AlertRow]) -> None:
        """Deliver alerts of one rule as one message.

        Errors: DeliveryFailed.
        """
        try:
            answer = await self._client.post(self._url, json={"text": text_of(alerts)})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryFailed("unreachable") from error
        if not answer.is_success:
            raise DeliveryFailed(f"http_{answer.status_code}", _retry_after_seconds(answer))


def text_of(alerts: Sequence[AlertRow]) -> str:
    """Return the message: how bad, which rule, about what, since when, and the alerts' names."""
    first = alerts[0]
    severity = system_events_pb2.Severity.Name(_known(first.severity)).removeprefix("SEVERITY_")
    since = first.raised_at.isoformat(timespec="seconds")
    if len(alerts) == 1:
        text = f"[{severity}] {first.rule}: {first.summary} (raised {since}, alerts/{first.alert_id})"
    else:
        named = ", ".join(each.subject for each in alerts[:_SUBJECTS_NAMED_MAX])
        more = len(alerts) - _SUBJECTS_NAMED_MAX
        subjects = f"{named} and {more} more" if more > 0 else named
        text = f"[{severity}] {first.rule}: {len(alerts)} alerts since {since}: {subjects}"
    # Slack reads &, < and > as its own marks.
    return html.escape(text, quote=False)


def _retry_after_seconds(answer: httpx.Response) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), _RETRY_AFTER_SECONDS_MAX) if asked.isascii() and asked.isdigit() else 0.0


def _known(severity: int) -> system_events_pb2.Severity.ValueType:
    return next(
        (value for value in system_events_pb2.Severity.values() if value == severity),
        system_events_pb2.SEVERITY_UNSPECIFIED,
    )
