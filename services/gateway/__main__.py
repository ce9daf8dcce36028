"""The gateway process: `python -m services.gateway`, configured by its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.postgres import PostgresEventStore
from services.gateway.servicer import hosted
from services.runtime.clock import SystemClock
from services.runtime.config import ServiceConfig, TimingConfig
from services.runtime.ledger import Ledger
from services.runtime.process import Service, run_process
from services.runtime.readiness import answers
from services.runtime.server import Connections
from services.runtime.service_pulse import service_pulse_loop

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from services.runtime.api_key import ApiKey
    from services.runtime.config import Environment
    from services.runtime.principal import Principal

NAME: Final = "gateway"
#: Half of what a client waits: in the other half it tries without us.
PATIENCE_SECONDS: Final = 5.0
#: Streams live on these connections for minutes, and clients want to know soon that we are gone.
CONNECTIONS: Final = Connections(ping_seconds=20, ping_timeout_seconds=10, ping_least_interval_seconds=5)


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Put the process together; what must be closed goes onto the stack.

    Errors: ConfigError; StoreUnavailable when the database does not answer.
    """
    config, timing = ServiceConfig.read(environment), TimingConfig.read(environment)
    clock = SystemClock()
    opening = PostgresEventStore.open(config.database_url, patience_seconds=PATIENCE_SECONDS)
    store = await stack.enter_async_context(opening)
    pulse = service_pulse_loop(
        Ledger(store, NAME), service=NAME, interval_seconds=timing.pulse_seconds, clock=clock
    )
    return Service(
        config=config,
        hosted=[hosted(store)],
        verify_key=_no_customers,
        loops=[pulse],
        clock=clock,
        is_ready=lambda: answers(store),
        connections=CONNECTIONS,
    )


async def _no_customers(key: ApiKey) -> Principal | None:
    """Know no key but those of the key files: customers have no business here."""
    del key


if __name__ == "__main__":
    run_process(NAME, assemble)
