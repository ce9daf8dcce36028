"""Compares web addresses by site: the registrable name, guessed without a list of public suffixes."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_SHORT_SECOND_LABEL: Final = 3


def host_of(url: str) -> str:
    """Host of an address, lower case, without `www.`; empty when there is none."""
    return (urlsplit(url).hostname or "").lower().removeprefix("www.")


def site_of(url: str) -> str:
    """Site of an address: the last two labels, three where the second is short (`co.uk`, `com.au`)."""
    host = host_of(url)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        count = 3 if len(labels) > 2 and len(labels[-2]) <= _SHORT_SECOND_LABEL else 2  # noqa: PLR2004
        return ".".join(labels[-count:])
    return host


def same_site(first_url: str, second_url: str) -> bool:
    """Whether two addresses belong to one site."""
    return site_of(first_url) == site_of(second_url)
