"""Finds a Chromium that starts, in a fixed order, and says what to install when there is none.

Order: `$DIRECTORYBOLT_CHROMIUM`; the one that Playwright installed; `chromium-headless-shell`, `chromium`,
`chromium-browser`, `google-chrome` on PATH; the channels chrome and msedge. A browser counts as found
when it has been started: a path that exists proves little (wrong libraries, a snap without its daemon).
`python -m services.submitter.find_browser` prints kind and path and ends 0, or one sentence and ends 3.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from services.submitter.browser_flags import owner_mark, sandbox_wanted, switches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser, Playwright

VARIABLE: Final = "DIRECTORYBOLT_CHROMIUM"
EXIT_NOT_FOUND: Final = 3
LAUNCH_SECONDS: Final = 30.0
INSTALL_ADVICE: Final = (
    "No Chromium was found: run `sudo apt-get install chromium-headless-shell` (Debian) or "
    "`python -m playwright install --with-deps --only-shell chromium` (elsewhere), "
    f"or set {VARIABLE} to the path of one."
)
_NAMES_ON_PATH: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_CHANNELS: Final = ("chrome", "msedge")


class BrowserNotFound(Exception):
    """No Chromium could be started."""


@dataclass(frozen=True, slots=True)
class BrowserChoice:
    """One browser that may be there."""

    #: Where the choice comes from: "env", "playwright", "path" or "channel".
    kind: str
    #: File to start; empty for "playwright" and "channel".
    path: str = ""
    #: Playwright's name of an installed brand; only for "channel".
    channel: str = ""

    @property
    def label(self) -> str:
        """Words for people."""
        return f"{self.kind} {self.path or self.channel or 'chromium'}"


def choices() -> Iterator[BrowserChoice]:
    """Yield what may be there, best first; a path set by hand stands alone: it must not fail silently."""
    if by_hand := os.environ.get(VARIABLE):
        yield BrowserChoice("env", path=by_hand)
        return
    yield BrowserChoice("playwright")
    for name in _NAMES_ON_PATH:
        if path := shutil.which(name):
            yield BrowserChoice("path", path=path)
    for channel in _CHANNELS:
        yield BrowserChoice("channel", channel=channel)


async def launch(playwright: Playwright, choice: BrowserChoice, mark: str) -> Browser:
    """Start this browser, headless, with the sandbox on unless we are root."""
    return await playwright.chromium.launch(
        headless=True,
        executable_path=choice.path or None,
        channel=choice.channel or None,
        args=switches(mark),
        chromium_sandbox=sandbox_wanted(),
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
        timeout=LAUNCH_SECONDS * 1000,
    )


async def launch_first(playwright: Playwright, token: str) -> tuple[Browser, BrowserChoice]:
    """Start the first browser that starts. Errors: BrowserNotFound, with advice."""
    tried: list[str] = []
    for choice in choices():
        if choice.kind == "playwright" and not _has_downloads(playwright):
            continue
        try:
            browser = await launch(playwright, choice, owner_mark(token))
        except PlaywrightError as error:
            tried.append(f"{choice.label}: {error.message.splitlines()[0]}")
            continue
        return browser, choice
    raise BrowserNotFound(_advice(tried))


def _has_downloads(playwright: Playwright) -> bool:
    """Whether Playwright holds any Chromium: a launch without one leaves folders behind in /tmp.

    Its `executable_path` alone does not tell: it names the full browser even when only the shell is there.
    """
    folder = Path(playwright.chromium.executable_path).parents[2]
    return any(folder.glob("chromium*"))


def _advice(tried: list[str]) -> str:
    if path := os.environ.get(VARIABLE):
        return f"{VARIABLE} names {path}, which does not start: {tried[-1]}"
    return f"{INSTALL_ADVICE} Tried: {'; '.join(tried)}" if tried else INSTALL_ADVICE


async def _main() -> int:
    async with async_playwright() as playwright:
        try:
            browser, choice = await launch_first(playwright, "find")
        except BrowserNotFound as error:
            sys.stderr.write(f"{error}\n")
            return EXIT_NOT_FOUND
        place = choice.path or choice.channel or browser.browser_type.executable_path
        sys.stdout.write(f"{choice.kind} {place}\n")
        await browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
