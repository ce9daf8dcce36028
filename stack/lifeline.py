"""What a child does to end with its supervisor: watch the pipe whose other end only the supervisor holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LIFELINE_VARIABLE = "DIRECTORYBOLT_LIFELINE_FD"


def watch_lifeline(loop: asyncio.AbstractEventLoop, on_lost: Callable[[], None]) -> None:
    """Call `on_lost` once, in the loop, when the supervisor has ended; without a supervisor do nothing.

    Errors: ValueError when the environment names no number.
    """
    named = os.environ.get(LIFELINE_VARIABLE)
    if not named:
        return
    descriptor = int(named)
    os.set_inheritable(descriptor, False)  # noqa: FBT003  # a positional-only parameter of the library

    def _readable() -> None:
        if not os.read(descriptor, 1):
            loop.remove_reader(descriptor)
            on_lost()

    loop.add_reader(descriptor, _readable)
