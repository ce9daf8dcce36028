"""Sends batches over a wire: opens it when needed, makes new names known first, keeps the order.

A batch in hand is begun at once. One that has to wait for a connection, or for the numbers of new names, is
held, and so is every one after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, LiteralString, Protocol, TypeVar

import psycopg

from eventstore.connections import APPEND_ROLE
from eventstore.errors import InvalidAppend, StoreUnavailable
from eventstore.line import ConnectionLost, Line
from eventstore.wire import CALL_SECONDS_MAX, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from psycopg.pq.abc import PGresult

    from eventstore.names import Names
    from eventstore.types import NewEvent

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

if TYPE_CHECKING:
    Call: TypeAlias = tuple[bytes, Sequence[bytes | None]]
    Outcome: TypeAlias = Sequence[AnswerT | Exception] | Exception
    Answered: TypeAlias = Callable[[Outcome[AnswerT]], None]


class Letter(Protocol[RequestT_contra, AnswerT_co]):
    """How a batch is written down, and its answer read."""

    #: Prepares the statements that `encode` names.
    prepare: Sequence[LiteralString]
    #: What the database calls the connection.
    purpose: str

    def encode(self, batch: Sequence[RequestT_contra]) -> Call:
        """Return a statement's name and its parameters, in their binary form.

        Errors: KeyError when a name has no number yet.
        """
        ...

    def decode(self, batch: Sequence[RequestT_contra], result: PGresult) -> Sequence[AnswerT_co | Exception]:
        """Return one answer or refusal per request."""
        ...

    def lost(self, batch: Sequence[RequestT_contra]) -> None:
        """Take note that a batch may have been written without an answer."""
        ...

    def names_in(self, batch: Sequence[RequestT_contra]) -> tuple[set[str], Sequence[NewEvent]]:
        """Return the categories and the events of a batch."""
        ...


class WireSender(Generic[RequestT, AnswerT]):
    """A Sender over one wire at a time."""

    def __init__(self, conninfo: str, letter: Letter[RequestT, AnswerT], names: Names) -> None:
        """Take the database, and how to write."""
        self._conninfo = conninfo
        self._letter = letter
        self._names = names
        self._wire: Wire | None = None
        self._held: deque[tuple[Sequence[RequestT], Answered[AnswerT]]] = deque()
        self._preparing: asyncio.Task[None] | None = None

    def begin(self, batch: Sequence[RequestT], answered: Answered[AnswerT]) -> None:
        """Begin to send a batch; see Sender."""
        if self._held or not self._sent(batch, answered):
            self._held.append((batch, answered))
            if self._preparing is None:
                self._preparing = asyncio.create_task(self._prepare(), name="eventstore sender")

    async def close(self) -> None:
        """Close the connection; who still waits hears ConnectionLost."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait({self._preparing})
        while self._held:
            self._held.popleft()[1](ConnectionLost())
        if self._wire is not None:
            self._wire.close()

    def _sent(self, batch: Sequence[RequestT], answered: Answered[AnswerT]) -> bool:
        """Send a batch if the wire and all of its names are there."""
        if self._wire is None or self._wire.broken:
            return False
        try:
            statement, parameters = self._letter.encode(batch)
        except KeyError:
            return False
        except Exception as error:  # noqa: BLE001 - what cannot be written down concerns its callers alone
            asyncio.get_running_loop().call_soon(answered, error)
            return True
        self._wire.call(statement, parameters, partial(self._heard, batch, answered))
        return True

    def _heard(
        self, batch: Sequence[RequestT], answered: Answered[AnswerT], said: PGresult | Exception
    ) -> None:
        if not isinstance(said, Exception):
            try:
                outcome = self._letter.decode(batch, said)
            except Exception as error:  # noqa: BLE001 - sent again, each by itself, they harm nobody else
                outcome = error
            answered(outcome)
            return
        error = _told(said)
        if isinstance(error, ConnectionLost):
            self._letter.lost(batch)
        answered(error)

    async def _prepare(self) -> None:
        """Make ready for what is held, and send it, one after the other."""
        try:
            while self._held:
                batch, answered = self._held[0]
                try:
                    async with asyncio.timeout(CALL_SECONDS_MAX):
                        await self._make_ready(batch)
                except Exception as error:  # noqa: BLE001 - those who wait are told, and the next may fare better
                    self._held.popleft()
                    answered(_told(error))
                else:
                    self._held.popleft()
                    if not self._sent(batch, answered):
                        answered(ConnectionLost())
        finally:
            self._preparing = None

    async def _make_ready(self, batch: Sequence[RequestT]) -> None:
        if self._wire is None or self._wire.broken:
            letter = self._letter
            self._wire = await Wire.open(self._conninfo, APPEND_ROLE, letter.purpose, letter.prepare)
        categories, events = self._letter.names_in(batch)
        if not self._names.knows(categories, events):
            line = Line(self._conninfo, APPEND_ROLE, "append names")
            try:
                await line.call(lambda connection: self._names.intern(connection, categories, events))
            finally:
                await line.close()


def _told(error: Exception) -> Exception:
    """Return what the callers of a batch are told, or ConnectionLost when trying again may help."""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | TimeoutError | ConnectionLost):
        return ConnectionLost()
    if isinstance(error, psycopg.DataError):
        return InvalidAppend(f"the database refused the append: {error}")
    return StoreUnavailable(f"the database refused to append: {error}")
