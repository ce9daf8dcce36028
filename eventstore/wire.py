"""Prepared statements on one connection: called from callbacks, answered in order, two calls at a time.

libpq's pipeline mode takes a second call while the first is at work; each is a transaction of its own. The
server does them in the order in which they came, so that nobody has to order them again. What psycopg does
around a call (a cursor, adaptation, a task switch) costs a lone append more than its encoding does; here
the parameters are bytes already, and the answer is what libpq has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from eventstore.connections import STATEMENT_SECONDS_MAX, connect
from eventstore.line import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from psycopg.pq.abc import PGresult

    Outcome: TypeAlias = PGresult | Exception
    Answered: TypeAlias = Callable[[Outcome], None]

#: The database gives up first; this is for a network that swallows packets.
CALL_SECONDS_MAX: Final = STATEMENT_SECONDS_MAX + 2


class Wire:
    """A connection that does one thing. Once it is broken it stays so: open another."""

    def __init__(self, connection: psycopg.AsyncConnection, loop: asyncio.AbstractEventLoop) -> None:
        """Take a connection that has the statements; `open` is the way to get one."""
        self._pgconn = connection.pgconn
        # The wrapper closes the connection when it is forgotten.
        self._connection = connection
        self._loop = loop
        self._socket = self._pgconn.socket
        self._calls: deque[tuple[Answered, float]] = deque()
        self._said: Outcome = ConnectionLost()
        self._watch: asyncio.TimerHandle | None = None
        self._writing = False
        self.broken = False
        self._pgconn.enter_pipeline_mode()
        loop.add_reader(self._socket, self._hear)

    @classmethod
    async def open(
        cls, conninfo: str, role: str | None, purpose: str, prepare: Sequence[LiteralString]
    ) -> Wire:
        """Connect and prepare the statements.

        Errors: psycopg.Error.
        """
        connection = await connect(conninfo, role, purpose)
        try:
            for each in prepare:
                await connection.execute(each)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, asyncio.get_running_loop())

    def call(self, statement: bytes, parameters: Sequence[bytes | None], answered: Answered) -> None:
        """Send a statement's name and its parameters; `answered` is called once, later.

        Errors: given to `answered`: ConnectionLost when it is unknown whether the call had an effect;
        psycopg.Error when the database refused.
        """
        self._calls.append((answered, self._loop.time() + CALL_SECONDS_MAX))
        if self._watch is None:
            self._watch = self._loop.call_later(CALL_SECONDS_MAX, self._look)
        try:
            self._pgconn.send_query_prepared(
                statement, parameters, [Format.BINARY] * len(parameters), Format.BINARY
            )
            self._pgconn.pipeline_sync()
            self._flush()
        except psycopg.Error:
            self._loop.call_soon(self.close)

    def close(self) -> None:
        """Close the connection; who still waits for an answer hears ConnectionLost."""
        if self.broken:
            return
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._pgconn.finish()
        calls, self._calls = self._calls, deque()
        for answered, _ in calls:
            answered(ConnectionLost())

    def _flush(self) -> None:
        unsent = bool(self._pgconn.flush())
        if unsent and not self._writing:
            self._loop.add_writer(self._socket, self._write)
        elif self._writing and not unsent:
            self._loop.remove_writer(self._socket)
        self._writing = unsent

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.Error:
            self.close()

    def _hear(self) -> None:
        try:
            self._pgconn.consume_input()
            while self._calls and not self._pgconn.is_busy():
                self._take(self._pgconn.get_result())
        except psycopg.Error:
            self.close()

    def _take(self, result: PGresult | None) -> None:
        if result is None:
            return
        if result.status == ExecStatus.PIPELINE_SYNC:
            answered, _ = self._calls.popleft()
            said, self._said = self._said, ConnectionLost()
            answered(said)
        elif result.status == ExecStatus.TUPLES_OK:
            self._said = result
        else:
            self._said = error_from_result(result)

    def _look(self) -> None:
        """Break when the oldest call has had no answer for too long; look again when it would have."""
        now = self._loop.time()
        self._watch = None
        if not self._calls:
            return
        _, overdue_at = self._calls[0]
        if overdue_at <= now:
            self.close()
        else:
            self._watch = self._loop.call_at(overdue_at, self._look)
