"""A gateway for tests: served by the test's own process, with stores that append through it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eventstore.postgres import PostgresEventStore
from services.gateway.__main__ import CONNECTIONS
from services.gateway.servicer import STREAM_AGE_SECONDS_MAX, hosted
from services.runtime.gateway_store import GatewayEventStore
from services.runtime.process import Service, Serving, serving
from tests.cloned_database import cloned_database
from tests.fix_server import CONFIG, SERVICE_KEY, verify_test_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.store import EventStore
    from services.runtime.server import Connections
    from stack.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where a gateway answers, and whose database it appends to."""

    url: str
    serving: Serving

    @property
    def address(self) -> str:
        """Where it answers, as host:port."""
        return f"127.0.0.1:{self.serving.grpc_port}"

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[GatewayEventStore]:
        """Give a store of the same database that appends through it."""
        async with GatewayEventStore.open(self.url, self.address, SERVICE_KEY) as store:
            yield store


@asynccontextmanager
async def gateway_before(
    store: EventStore,
    url: str,
    *,
    age_seconds_max: float = STREAM_AGE_SECONDS_MAX,
    port: int = 0,
    connections: Connections = CONNECTIONS,
) -> AsyncGenerator[RunningGateway]:
    """Serve a gateway to a store that lies in the database of the URL."""
    service = Service(
        replace(CONFIG, grpc_port=port),
        [hosted(store, age_seconds_max)],
        verify_test_key,
        connections=connections,
        turn_away_seconds=0,
    )
    async with serving(service) as ports:
        yield RunningGateway(url, ports)


@asynccontextmanager
async def through_a_gateway(postgres: EmbeddedPostgres) -> AsyncGenerator[EventStore]:
    """Give a store in a database of its own, whose every append went through a gateway."""
    async with (
        cloned_database(postgres) as url,
        PostgresEventStore.open(url) as inner,
        gateway_before(inner, url) as gateway,
        gateway.store() as store,
    ):
        yield store
        assert not store.is_direct
