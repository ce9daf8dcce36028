"""The intake process, served: its own wiring, a real Postgres and gRPC server, and callers of each kind."""

from __future__ import annotations

from asyncio import Runner
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
import pytest_asyncio
from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import job_events_pb2, submission_events_pb2
from directorybolt.intake.v1 import customers_pb2, intake_service_pb2_grpc, jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.profile.v1 import profile_pb2
from google.rpc import error_details_pb2, status_pb2
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from eventstore.following.projection import ProjectionProgress
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from eventstore.types import ANY_VERSION, Position
from services.domain import identity
from services.intake.__main__ import assemble
from services.projections.catalogue import CatalogueProjection
from services.projections.history import HistoryProjection
from services.projections.jobs import JobsProjection
from services.projections.migration import migrate
from services.projections.submissions import SubmissionsProjection
from services.runtime.clock import SystemClock
from services.runtime.config import Environment
from services.runtime.evidence import FileEvidence
from services.runtime.ledger import Ledger, Why, job_stream, submission_stream
from services.runtime.process import serving
from services.runtime.tokens import TokenSealer
from tests.fix_postgres import TEMPLATE, postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

    from stack.postgres import EmbeddedPostgres

__all__ = ["intake", "postgres_cluster", "services_template"]

STAFF_KEY = "dbk_staff000_" + "s" * 43
SERVICE_KEY = "dbk_service0_" + "v" * 43
MASTER_KEY = "5e" * 32
CERTIFICATE_KEY = "ce" * 32
TOKEN_KEY = "70" * 32
CALL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key: a stub that sends it with each call."""

    key: str
    channel: grpc.aio.Channel

    async def ask(self, method: str, request: Any, seconds: float = CALL_SECONDS) -> Any:
        """Make a unary call."""
        return await getattr(self._stub(), method)(request, metadata=self._metadata(), timeout=seconds)

    def stream(self, method: str, request: Any, seconds: float = CALL_SECONDS) -> Any:
        """Make a call that answers with a stream."""
        return getattr(self._stub(), method)(request, metadata=self._metadata(), timeout=seconds)

    async def refusal(self, method: str, request: Any) -> Refusal:
        """Make a call that is refused, and return how."""
        try:
            if method in {"WatchJob", "GetProof", "ExportCustomer"}:
                _ = [each async for each in self.stream(method, request)]
            else:
                await self.ask(method, request)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"{method} was answered")

    def _stub(self) -> Any:
        return intake_service_pb2_grpc.IntakeServiceStub(self.channel)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call was refused."""

    code: grpc.StatusCode
    reason: str
    words: str
    fields: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict[str, str])


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return what a status says, details and all."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailers["grpc-status-details-bin"]))  # pyright: ignore[reportArgumentType]
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for each in status.details:
        _ = each.Unpack(info) or each.Unpack(bad)
    fields = tuple(each.field for each in bad.field_violations)
    return Refusal(error.code(), info.reason, error.details() or "", fields, dict(info.metadata))


@dataclass(frozen=True, slots=True)
class Tenant(Caller):
    """A customer with a key and a profile."""

    name: str
    profile: str

    @property
    def id(self) -> UUID:
        """The customer's id."""
        return UUID(self.name.removeprefix("customers/"))

    async def order(self, *directories: str, request_id: str = "", **fields: Any) -> job_pb2.Job:
        """Order the profile to be listed, and return the job."""
        answer = await self.ask("CreateJob", self.an_order(*directories, request_id=request_id, **fields))
        return answer.job

    def an_order(self, *directories: str, request_id: str = "", **fields: Any) -> jobs_pb2.CreateJobRequest:
        """Return the request of an order."""
        whole: dict[str, Any] = {
            "parent": self.name,
            "profile": self.profile,
            "directories": [f"directories/{each}" for each in directories],
            "request_id": request_id or str(uuid4()),
            **fields,
        }
        return jobs_pb2.CreateJobRequest(**whole)


@dataclass(frozen=True, slots=True)
class Intake:
    """The process as tests see it: its address, its database, and the log beside it."""

    channel: grpc.aio.Channel
    database_url: str
    store: PostgresEventStore
    vault: Vault
    evidence: FileEvidence

    @property
    def ledger(self) -> Ledger:
        """The log, as another service speaks to it."""
        return Ledger(self.store, "scheduler")

    @property
    def staff(self) -> Caller:
        """One of us."""
        return Caller(STAFF_KEY, self.channel)

    async def tenant(self, package: job_pb2.Package.ValueType = job_pb2.PACKAGE_STARTER) -> Tenant:
        """Take a customer on, with a key and a profile."""
        customer = customers_pb2.Customer(
            display_name="Kaffee Süd AG", email="a@kaffee.example", package=package
        )
        asked = customers_pb2.CreateCustomerRequest(customer=customer, request_id=str(uuid4()))
        name = (await self.staff.ask("CreateCustomer", asked)).customer.name
        made = await self.staff.ask("CreateApiKey", customers_pb2.CreateApiKeyRequest(parent=name))
        bare = Caller(made.secret, self.channel)
        created = await bare.ask("UpsertProfile", a_profile(name))
        return Tenant(made.secret, self.channel, name, created.profile.name)

    async def covered(self) -> None:
        """Return when the read models cover all that has been appended."""
        head = await self.store.head()
        for name in ("catalogue", "jobs", "submissions", "history"):
            progress = ProjectionProgress(self.database_url, name, 1)
            await progress.wait_until(head, CALL_SECONDS)
            await progress.close()

    async def rows(self) -> Mapping[str, list[object]]:
        """Return the rows of every read model."""
        found: dict[str, list[object]] = {}
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            for table in ("directory", "job", "submission", "job_submission", "history", "job_stream"):
                query = sql.SQL("select to_jsonb(t) from {} t order by 1").format(
                    sql.Identifier("intake", table)
                )
                found[table] = [row for (row,) in await (await connection.execute(query)).fetchall()]
        return found

    async def forget_read_models(self) -> None:
        """Forget rows and checkpoints, as a replay does."""
        for each in (CatalogueProjection(), JobsProjection(), SubmissionsProjection(), HistoryProjection()):
            await Projector(self.store, self.database_url, each, role="bolt_intake").replay()

    def token_of(self, position: Position, ahead: int = 0) -> str:
        """Return the token of a position, or of one so far ahead of it."""
        sealer = TokenSealer(TOKEN_KEY.encode(), SystemClock())
        return sealer.position_token(Position(position.lane, position.number + ahead))

    async def append_to_job(self, tenant: Tenant, job_id: UUID, *facts: Message) -> None:
        """Append to a job's stream, as another service does."""
        stream = job_stream(str(job_id), str(tenant.id))
        await self.ledger.append(stream, facts, ANY_VERSION, Why(correlation_id=job_id))

    async def append_to_submission(self, tenant: Tenant, submission_id: str, *facts: Message) -> None:
        """Append to a submission's stream, as another service does."""
        stream = submission_stream(submission_id, str(tenant.id))
        await self.ledger.append(stream, facts, ANY_VERSION)

    async def plan(self, tenant: Tenant, job: str, directory_ids: Sequence[str]) -> list[str]:
        """Plan a job as the scheduler does, joining what is there, and return its submissions."""
        job_id = UUID(job.rpartition("/")[2])
        profile_id = tenant.profile.rpartition("/")[2]
        planned: list[job_events_pb2.PlannedSubmission] = []
        for each in directory_ids:
            submission_id = str(identity.submission_id_for(profile_id, each, 1))
            joined = (await self.ledger.submission(submission_id)).version > 0
            asked = submission_events_pb2.SubmissionJoined(job_id=str(job_id), priority=job_pb2.PRIORITY_P3)
            wanted = submission_events_pb2.SubmissionRequested(
                submission_id=submission_id,
                customer_id=str(tenant.id),
                profile_id=profile_id,
                profile_version=1,
                directory_id=each,
                generation=1,
                job_id=str(job_id),
                priority=job_pb2.PRIORITY_P3,
                attempts_max=6,
            )
            await self.append_to_submission(tenant, submission_id, asked if joined else wanted)
            planned.append(
                job_events_pb2.PlannedSubmission(
                    submission_id=submission_id, directory_id=each, generation=1, joined=joined
                )
            )
        plan = job_events_pb2.JobPlanned(job_id=str(job_id), submissions=planned)
        await self.append_to_job(tenant, job_id, plan)
        return [each.submission_id for each in planned]

    async def catalogue(self, *directory_ids: str, **fields: Any) -> None:
        """Put directories into the catalogue."""
        entries = [an_entry(each, **fields) for each in directory_ids]
        await self.staff.ask("ImportDirectories", customers_pb2.ImportDirectoriesRequest(directories=entries))


def a_profile(
    parent: str, *, name: str = "", business_name: str = "Kaffee Süd", request_id: str = "", etag: str = ""
) -> customers_pb2.UpsertProfileRequest:
    """Return the request that makes or changes a profile."""
    business = profile_pb2.BusinessProfile(business_name=business_name, phone="+41 31 555 01 00")
    profile = customers_pb2.Profile(name=name, business=business, etag=etag)
    return customers_pb2.UpsertProfileRequest(
        parent=parent, profile=profile, request_id=request_id or ("" if name else str(uuid4()))
    )


def an_entry(directory_id: str, **fields: Any) -> directory_pb2.Directory:
    """Return an entry of the catalogue that can be ordered, but for these fields."""
    whole: dict[str, Any] = {
        "name": f"directories/{directory_id}",
        "display_name": directory_id.title(),
        "website": f"https://{directory_id}.example",
        "submission_url": f"https://{directory_id}.example/add",
        "category": "general",
        "state": directory_pb2.DIRECTORY_STATE_SUBMITTABLE,
        "authority": 50,
        **fields,
    }
    return directory_pb2.Directory(**whole)


def variables_for(database_url: str, folder: Path) -> dict[str, str]:
    """Return the variables of a process whose keys lie in a folder."""
    files = {
        "STAFF_KEY": STAFF_KEY,
        "SERVICE_KEY": SERVICE_KEY,
        "TOKEN_KEY": TOKEN_KEY,
        "MASTER_KEY": MASTER_KEY,
        "CERTIFICATE_KEY": CERTIFICATE_KEY,
    }
    variables = {
        "DATABASE_URL": database_url,
        "DIRECTORYBOLT_EVIDENCE_DIR": str(folder / "evidence"),
        "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "100000",
        "DIRECTORYBOLT_PULSE_SECONDS": "0.1",
        "DIRECTORYBOLT_SWEEP_SECONDS": "0.2",
    }
    for name, content in files.items():
        path = folder / name.lower()
        path.write_text(content)
        variables[f"DIRECTORYBOLT_{name}_FILE"] = str(path)
    return variables


@asynccontextmanager
async def intake_process(database_url: str, folder: Path) -> AsyncGenerator[Intake]:
    """Run the process inside of the context, wired as its own `__main__` wires it."""
    async with AsyncExitStack() as stack:
        service = await assemble(Environment(variables_for(database_url, folder)), stack)
        ports = await stack.enter_async_context(serving(service))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc_port}"))
        store = await stack.enter_async_context(PostgresEventStore.open(database_url))
        vault = await stack.enter_async_context(
            Vault(database_url, LocalMasterKey(bytes.fromhex(MASTER_KEY)))
        )
        yield Intake(channel, database_url, store, vault, FileEvidence(folder / "evidence", vault))


@pytest.fixture(scope="session")
def services_template(postgres_cluster: EmbeddedPostgres) -> str:
    """Name a database with everything that the services need, to be cloned."""

    async def prepare() -> str:
        url = await postgres_cluster.clone_database(TEMPLATE)
        await migrate(url)
        return str(conninfo_to_dict(url)["dbname"])

    with Runner() as runner:
        return runner.run(prepare())


@pytest_asyncio.fixture
async def intake(
    postgres_cluster: EmbeddedPostgres, services_template: str, tmp_path: Path
) -> AsyncIterator[Intake]:
    """Give an intake process with a database of its own."""
    url = await postgres_cluster.clone_database(services_template)
    async with intake_process(url, tmp_path) as process:
        yield process
    await postgres_cluster.drop_database(str(conninfo_to_dict(url)["dbname"]))
