"""Switches that every Chromium of ours is started with, and the mark by which we find it again.

The switches stop the traffic that a browser makes for itself (updates, sync, field trials): on a closed
network it fails many times a second, on an open one it is nobody's business. `--disable-features` is left
alone on purpose: Chromium takes the last one, so ours would undo the list that Playwright sends.
"""

from __future__ import annotations

import os
from typing import Final

from services.submitter.process_table import start_mark

OWNER_SWITCH: Final = "--directorybolt-owner="

QUIET_SWITCHES: Final = (
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
)


def owner_mark(token: str) -> str:
    """Name a browser's owner: process id, its start time (ids are used again), and a token of one browser."""
    pid = os.getpid()
    return f"{pid}.{start_mark(pid)}.{token}"


def switches(mark: str) -> list[str]:
    """All switches for a browser that carries this owner mark."""
    return [*QUIET_SWITCHES, f"{OWNER_SWITCH}{mark}"]


def sandbox_wanted() -> bool:
    """Whether Chromium's own sandbox can be on: it refuses to start under root."""
    return not hasattr(os, "geteuid") or os.geteuid() != 0
