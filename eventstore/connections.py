"""How the store connects: settings that every connection of its own has, and the least role that does.

A login needs no rights of its own but membership in the roles of `sql/roles/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import AsyncConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

APPEND_ROLE: Final = "es_append"
READ_ROLE: Final = "es_read_all"
TENANT_ROLE: Final = "es_read_tenant"
PROJECT_ROLE: Final = "es_project"

#: What a statement of the store may take before the database ends it.
STATEMENT_SECONDS_MAX: Final = 15

#: A peer that vanished without a word is noticed within about ten seconds.
_SOCKET: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
#: Without JIT: compiling a plan over many partitions takes several times as long as running it.
_SETTINGS: Final = (
    "select set_config('role', %s, false), set_config('TimeZone', 'UTC', false),"
    " set_config('client_encoding', 'UTF8', false), set_config('statement_timeout', %s, false),"
    " set_config('lock_timeout', %s, false), set_config('jit', 'off', false),"
    " set_config('default_transaction_isolation', 'read committed', false)"
)


async def connect(conninfo: str, role: str | None, purpose: str) -> AsyncConnection:
    """Return an autocommit connection acting in `role` (None: as the login itself).

    Errors: psycopg.OperationalError.
    """
    connection = await AsyncConnection.connect(
        conninfo, autocommit=True, application_name=f"eventstore {purpose}", **_SOCKET
    )
    try:
        milliseconds = str(STATEMENT_SECONDS_MAX * 1_000)
        await connection.execute(_SETTINGS, [role or "none", milliseconds, milliseconds])
    except BaseException:
        await connection.close()
        raise
    return connection


async def backoff(first_seconds: float = 0.02, seconds_max: float = 1.0) -> AsyncIterator[float]:
    """Yield pauses in seconds, doubling up to `seconds_max`, for ever."""
    pause_seconds = first_seconds
    while True:
        yield pause_seconds
        pause_seconds = min(pause_seconds * 2, seconds_max)
