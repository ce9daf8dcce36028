"""The monitor process, served: its own wiring, real Postgres, SQS and gRPC, and peers that do as told."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest_asyncio
from directorybolt.event.v1 import submission_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub

from eventstore.postgres import PostgresEventStore
from eventstore.types import ANY_VERSION, Position
from services.domain import events
from services.monitor.__main__ import assemble
from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from services.runtime.config import Environment
from services.runtime.ledger import Ledger, Stream
from services.runtime.process import serving
from services.runtime.tokens import TokenSealer
from tests.cloned_database import cloned_database
from tests.doubles.peers import peers_served
from tests.doubles.webhook import webhook_served
from tests.fix_monitor import monitor_template, postgres_cluster
from tests.fix_queue import sqs_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from pathlib import Path
    from typing import LiteralString

    import pytest

    from stack.postgres import EmbeddedPostgres
    from tests.doubles.peers import Peers
    from tests.doubles.webhook import Webhook

__all__ = ["monitor", "monitor_template", "postgres_cluster", "sqs_environment"]

STAFF_KEY = "dbk_staff000_" + "s" * 43
SERVICE_KEY = "dbk_service0_" + "v" * 43
TOKEN_KEY = "70" * 32
TENANT = UUID("0190a000-0000-7000-8000-000000000001")


@dataclass(frozen=True, slots=True)
class Monitor:
    """The process as tests see it: an operator's stub, its peers, and the log beside it."""

    address: str
    stub: MonitorServiceStub
    database_url: str
    store: PostgresEventStore
    peers: Peers
    webhook: Webhook

    @property
    def ledger(self) -> Ledger:
        """The log, as another service speaks to it."""
        return Ledger(self.store, "submitter")

    @property
    def sealer(self) -> TokenSealer:
        """What seals and opens this process's tokens."""
        return TokenSealer(TOKEN_KEY.encode(), SystemClock())

    async def dead_letter(self, submission_id: UUID | None = None) -> UUID:
        """Let a submission run out of attempts, and return it."""
        submission_id = submission_id or uuid4()
        dead = submission_events_pb2.SubmissionDeadLettered(attempts_used=5)
        stream = Stream(submission_id, events.SUBMISSION, TENANT)
        await self.ledger.append(stream, [dead], ANY_VERSION)
        return submission_id

    async def alerts(
        self, enough: Callable[[pb.ListAlertsResponse], bool], *, show_resolved: bool = True
    ) -> pb.ListAlertsResponse:
        """Return the alerts once they are as wanted; the test's time limit ends it otherwise."""
        request = pb.ListAlertsRequest(show_resolved=show_resolved)
        while not enough(answer := await self.stub.ListAlerts(request)):
            await self.store.wait_for_news(await self.store.head(), 0.1)
        return answer

    async def raised(self, count: int = 1) -> pb.ListAlertsResponse:
        """Return the alerts once there are so many."""
        return await self.alerts(lambda answer: len(answer.alerts) >= count)

    async def as_superuser(self, statement: LiteralString, *values: object) -> None:
        """Do to the database what only an intruder with all rights could."""
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            await connection.execute("alter table es.event_from_1 disable trigger all")
            await connection.execute("alter table es.event_type disable trigger all")
            await connection.execute(statement, values)

    def token(self, number: int) -> str:
        """Return the token of a position in the ledger."""
        return self.sealer.position_token(Position(0, number))


def variables_for(
    database_url: str, folder: Path, peers: Peers, webhook: Webhook, **more: str
) -> Mapping[str, str]:
    """Return the variables of a process whose keys lie in a folder."""
    variables = {
        "DATABASE_URL": database_url,
        "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "100000",
        "DIRECTORYBOLT_SCHEDULER_ADDRESS": peers.address,
        "DIRECTORYBOLT_SUBMITTER_ADDRESS": peers.address,
        "DIRECTORYBOLT_SLACK_WEBHOOK_URL": webhook.url,
        "DIRECTORYBOLT_SWEEP_SECONDS": "0.1",
        "DIRECTORYBOLT_LOG_SEAL_KEY_FILE": str(folder / "log_seal_key"),
        "DIRECTORYBOLT_LOG_SEAL_ARCHIVE": str(folder / "log_seals"),
        **more,
    }
    for name, content in (("STAFF_KEY", STAFF_KEY), ("SERVICE_KEY", SERVICE_KEY), ("TOKEN_KEY", TOKEN_KEY)):
        path = folder / name.lower()
        path.write_text(content)
        variables[f"DIRECTORYBOLT_{name}_FILE"] = str(path)
    return variables


@asynccontextmanager
async def monitor_process(database_url: str, folder: Path) -> AsyncGenerator[Monitor]:
    """Run the process inside of the context, wired as its own `__main__` wires it."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        peers, webhook = await enter(peers_served()), await enter(webhook_served())
        variables = variables_for(database_url, folder, peers, webhook)
        service = await assemble(Environment(variables), stack)
        ports = await enter(serving(service))
        address = f"127.0.0.1:{ports.grpc_port}"
        channel = await enter(open_channel(address, api_key=STAFF_KEY, clock=SystemClock()))
        store = await enter(PostgresEventStore.open(database_url))
        yield Monitor(address, MonitorServiceStub(channel), database_url, store, peers, webhook)


@pytest_asyncio.fixture
async def monitor(
    postgres_cluster: EmbeddedPostgres,
    monitor_template: str,
    sqs_environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[Monitor]:
    """Give a monitor process with a database of its own."""
    for name, value in sqs_environment.items():
        monkeypatch.setenv(name, value)
    async with (
        cloned_database(postgres_cluster, monitor_template) as url,
        monitor_process(url, tmp_path) as process,
    ):
        yield process
