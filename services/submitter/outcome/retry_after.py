"""Reads `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). Pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

#: A site that asks for more is taken to mean a day.
SECONDS_MAX: Final = 86_400.0


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Give the seconds to wait, 0 to a day; None when the header is absent or unreadable."""
    text = text.strip()
    if text.isdecimal():
        return min(float(text[:9]), SECONDS_MAX)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), SECONDS_MAX)
