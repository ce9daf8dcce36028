"""Lengths of time on the command line: 90d, 12h, 30m, 45s."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import click

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_AGE: Final = re.compile(r"(\d{1,6})([dhms])")


class Age(click.ParamType[timedelta]):
    """A number and its unit."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length of time that was meant."""
        if isinstance(value, timedelta):
            return value
        found = _AGE.fullmatch(str(value))
        if found is None:
            self.fail(f"'{value}' is no length of time like 90d, 12h, 30m or 45s", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
