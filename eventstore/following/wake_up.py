"""Tells readers, in this process and in others, that there is news: a hint, never a promise.

Appends do not NOTIFY: it takes a global lock at commit. Instead a connection of its own sends one
notification for all that happened within five milliseconds, and another listens. Whoever waits also polls,
so that a lost notification costs a poll interval and nothing else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg

from eventstore.connections import connect
from eventstore.types import Position
from eventstore.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNEL: LiteralString = "es_news"
DEBOUNCE_SECONDS: Final = 0.005
#: An idle LISTEN connection is asked this often whether it still lives.
LISTEN_CHECK_SECONDS: Final = 30.0
RELISTEN_SECONDS: Final = 0.2

#: A notification commits like anything else; waiting for the disk would double the cost of a lone append.
_NOTIFY: LiteralString = (
    "prepare announce(text) as"
    f" select set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', $1)"
)


class Announcer:
    """Sends what was appended to the readers of other processes."""

    def __init__(self, conninfo: str) -> None:
        """Take the database."""
        self._conninfo = conninfo
        self._news: dict[int, int] = {}
        self._wire: Wire | None = None
        self._due: asyncio.TimerHandle | None = None
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None

    def announce(self, position: Position) -> None:
        """Have a position announced soon; returns at once."""
        self._news[position.lane] = max(position.number, self._news.get(position.lane, 0))
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(DEBOUNCE_SECONDS, self._send)

    async def close(self) -> None:
        """Send what is left and close the connection."""
        if self._due is not None:
            self._due.cancel()
            self._send()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                if self._opening is not None:
                    await asyncio.wait({self._opening})
                while self._under_way:
                    self._quiet.clear()
                    await self._quiet.wait()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._wire is not None:
            self._wire.close()

    def _send(self) -> None:
        self._due = None
        if self._wire is None or self._wire.broken:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open(), name="eventstore announcer")
            return
        payload = " ".join(f"{lane}:{number}" for lane, number in self._news.items())
        self._news.clear()
        self._under_way += 1
        self._wire.call(b"announce", [payload.encode()], self._sent)

    def _sent(self, _: object) -> None:
        """Lost with its connection, a notification is not sent again: readers poll."""
        self._under_way -= 1
        self._quiet.set()

    async def _open(self) -> None:
        try:
            with suppress(psycopg.Error, OSError):
                self._wire = await Wire.open(self._conninfo, None, "announce", (_NOTIFY,))
        finally:
            self._opening = None
        if self._wire is None or self._wire.broken:
            self._news.clear()
        else:
            self._send()


class Listener:
    """Knows the newest position announced per lane, and wakes whoever waits for more."""

    def __init__(self, conninfo: str) -> None:
        """Take the database; it connects when somebody waits first."""
        self._conninfo = conninfo
        self._newest: dict[int, int] = {}
        self._listened_count = 0
        self._turn = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def hear(self, position: Position) -> None:
        """Take note of a position: our own appends need no way through the database."""
        if position.number > self._newest.get(position.lane, 0):
            self._newest[position.lane] = position.number
            self._wake_all()

    async def wait(self, after: Position, timeout_seconds: float) -> None:
        """Return when something after a position was heard of, or after the timeout.

        It returns early when listening has just begun, or begun again: what was announced before is unknown.
        """
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._listen(), name="eventstore listener")
        listened_count = self._listened_count
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not self._closed and listened_count == self._listened_count:
                    if self._newest.get(after.lane, 0) > after.number:
                        return
                    await self._turn.wait()

    async def close(self) -> None:
        """Stop listening and wake whoever waits."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._wake_all()

    async def _listen(self) -> None:
        while True:
            with suppress(psycopg.Error, OSError):
                connection = await connect(self._conninfo, None, "listen")
                try:
                    await self._follow(connection)
                finally:
                    await connection.close()
            await asyncio.sleep(RELISTEN_SECONDS)

    async def _follow(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"listen {CHANNEL}")
        self._listened_count += 1
        self._wake_all()
        while True:
            async for note in connection.notifies(timeout=LISTEN_CHECK_SECONDS):
                for position in _positions(note.payload):
                    self.hear(position)
            await connection.execute("select 1")

    def _wake_all(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()


def _positions(payload: str) -> Iterator[Position]:
    """Read a payload such as `0:1234 -1:99`; what is malformed was not sent by us, and is passed over."""
    for word in payload.split():
        with suppress(ValueError):
            lane, number = word.split(":")
            yield Position(int(lane), int(number))
