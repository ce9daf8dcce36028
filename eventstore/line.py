"""Connections of the store's own: made when needed, dropped when they fail, made anew at the next call.

A pool that reconnects in the background, at its own growing pauses, would keep readers waiting for seconds
after the database is back; here whoever calls connects.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg

from eventstore.connections import STATEMENT_SECONDS_MAX, backoff, connect
from eventstore.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: The database gives up first; this is for a network that swallows packets.
_CALL_SECONDS_MAX: Final = STATEMENT_SECONDS_MAX + 2

T = TypeVar("T")


class ConnectionLost(Exception):
    """The database went away; whether the call had an effect is unknown."""


class Line:
    """A connection that outlives its failures."""

    def __init__(self, conninfo: str, role: str | None, purpose: str) -> None:
        """Take the database, the role to act in, and the name that the database shows."""
        self._conninfo = conninfo
        self._role = role
        self._purpose = purpose
        self._turn = asyncio.Lock()
        self._connection: psycopg.AsyncConnection | None = None

    async def call(self, work: Callable[[psycopg.AsyncConnection], Awaitable[T]]) -> T:
        """Do some work on the connection; one caller after the other.

        Errors: ConnectionLost when trying again may help; other psycopg errors as they are.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(_CALL_SECONDS_MAX):
                    if self._connection is None:
                        self._connection = await connect(self._conninfo, self._role, self._purpose)
                    return await work(self._connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
                await self.close()
                raise ConnectionLost from error
            except BaseException:
                # Cancelled in the middle, or refused: the connection's state is not worth guessing.
                await self.close()
                raise

    async def close(self) -> None:
        """Close the connection; the next call makes another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(psycopg.Error):
                await connection.close()


class Lines:
    """A few lines for many callers, whose work may be done twice."""

    def __init__(self, conninfo: str, role: str | None, purpose: str, *, lines_max: int = 1) -> None:
        """Take what a Line takes, and how many there are at most."""
        self._free = [Line(conninfo, role, purpose) for _ in range(lines_max)]
        self._all = list(self._free)
        self._turns = asyncio.Semaphore(lines_max)
        self._closed = False

    async def call(
        self, work: Callable[[psycopg.AsyncConnection], Awaitable[T]], patience_seconds: float
    ) -> T:
        """Do some work on a connection, again while the database does not answer.

        Errors: StoreUnavailable after `patience_seconds`, or when the database refuses.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                async for pause_seconds in backoff():
                    try:
                        return await self._call(work)
                    except ConnectionLost:
                        await asyncio.sleep(pause_seconds)
        except TimeoutError:
            raise StoreUnavailable from None
        except psycopg.Error as error:
            raise StoreUnavailable(f"the database refused: {error}") from error
        raise AssertionError("backoff never ends")

    async def close(self) -> None:
        """Close the connections; there are no new ones."""
        self._closed = True
        for each in self._all:
            await each.close()

    async def _call(self, work: Callable[[psycopg.AsyncConnection], Awaitable[T]]) -> T:
        async with self._turns:
            if self._closed:
                raise StoreUnavailable("the event store is closed")
            line = self._free.pop()
            try:
                return await line.call(work)
            finally:
                self._free.append(line)
