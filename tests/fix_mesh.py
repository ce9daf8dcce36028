"""The whole running mesh for tests: one that all share, or one of a test's own to kill and freeze.

A test of the shared one makes customers of its own (`RunningMesh.customer`), whose businesses the sites
tell apart; it may not stop, kill or reset anything.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import grpc
import pytest
from directorybolt.intake.v1 import customers_pb2, intake_service_pb2_grpc, jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.monitor.v1 import monitor_service_pb2_grpc
from directorybolt.scheduler.v1 import scheduler_service_pb2_grpc
from directorybolt.submitter.v1 import submitter_service_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

from sandbox.catalogue import catalogue
from sandbox.client import SandboxClient
from sandbox.sample_profile import variant
from services.cli.demo import SETTINGS
from stack.mesh import Mesh
from tests.fix_processes import alive, descendants

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from stack.mesh import MeshOptions

ROOT: Final = Path(__file__).parents[1]
#: The demonstration's quick clock; and everybody here is one client address.
QUICK: Final[Mapping[str, str]] = {**SETTINGS, "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "1000000"}
CALL_SECONDS: Final = 30.0
STOP_SECONDS_MAX: Final = 60
#: A developer's own database and queue are none of the tests' business.
GIVEN: Final = (
    "DATABASE_URL",
    "DIRECTORYBOLT_SQS",
    "DIRECTORYBOLT_STATE_ROOT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)

_STUBS: Final[Mapping[str, Any]] = {
    "intake": intake_service_pb2_grpc.IntakeServiceStub,
    "scheduler": scheduler_service_pb2_grpc.SchedulerServiceStub,
    "submitter": submitter_service_pb2_grpc.SubmitterServiceStub,
    "monitor": monitor_service_pb2_grpc.MonitorServiceStub,
}
_variants = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call was refused; `reason` is empty when gRPC itself refused."""

    code: grpc.StatusCode
    sentence: str
    reason: str = ""
    domain: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_after_seconds: float | None = None


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return what a status says, details and all."""
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    again = False
    for each in status.details:
        _ = each.Unpack(info) or each.Unpack(bad)
        again = each.Unpack(retry) or again
    return Refusal(
        error.code(),
        error.details() or "",
        info.reason,
        info.domain,
        {each.field: each.description for each in bad.field_violations},
        retry.retry_delay.ToTimedelta().total_seconds() if again else None,
    )


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key, or without one, at a service's door."""

    channel: grpc.aio.Channel
    key: str = ""
    service: str = "intake"

    async def ask(self, method: str, request: Any, seconds: float = CALL_SECONDS) -> Any:
        """Make a call with one answer."""
        return await self._method(method)(request, metadata=self.metadata(), timeout=seconds)

    def stream(self, method: str, request: Any, seconds: float = CALL_SECONDS) -> Any:
        """Make a call with a stream of answers."""
        return self._method(method)(request, metadata=self.metadata(), timeout=seconds)

    async def refusal(self, method: str, request: Any, seconds: float = CALL_SECONDS) -> Refusal:
        """Make a call that must be refused, and return how."""
        try:
            call = self.stream(method, request, seconds)
            if hasattr(call, "__aiter__"):
                call = anext(aiter(call))
            await call
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"{method} was answered")

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata that offers the key."""
        return (("authorization", f"Bearer {self.key}"),) if self.key else ()

    def _method(self, method: str) -> Any:
        return getattr(_STUBS[self.service](self.channel), method)


@dataclass(frozen=True, slots=True)
class Customer(Caller):
    """A customer with a key, and a profile that no other test's customer has."""

    name: str = ""
    key_name: str = ""
    profile: str = ""
    business: BusinessProfile = field(default_factory=lambda: variant(next(_variants)))

    def an_order(self, *directories: str, **fields: Any) -> jobs_pb2.CreateJobRequest:
        """Return the request of an order for the directories of these ids, but for these fields."""
        whole: dict[str, Any] = {
            "parent": self.name,
            "profile": self.profile,
            "directories": [f"directories/{each}" for each in directories],
            "request_id": str(uuid4()),
            **fields,
        }
        return jobs_pb2.CreateJobRequest(**whole)

    async def order(self, *directories: str, **fields: Any) -> job_pb2.Job:
        """Order the profile to be listed, and return the job."""
        return (await self.ask("CreateJob", self.an_order(*directories, **fields))).job

    async def watch(
        self, job: str, after: str = "", seconds: float = 120
    ) -> AsyncIterator[jobs_pb2.WatchJobResponse]:
        """Yield what happens to a job until it ends."""
        request = jobs_pb2.WatchJobRequest(name=job, after_position=after)
        async for news in self.stream("WatchJob", request, seconds):
            yield news

    async def submissions(self, job: str) -> Sequence[job_pb2.Submission]:
        """Return the submissions of a job, up to date."""
        position = (await self.ask("GetJob", jobs_pb2.GetJobRequest(name=job))).job.position
        request = jobs_pb2.ListSubmissionsRequest(parent=job, min_position=position)
        return (await self.ask("ListSubmissions", request)).submissions

    async def count(self, sandbox: SandboxClient, site: str) -> int:
        """Return how many posts of this business a site has accepted, by its own count."""
        return await sandbox.count(site, name=self.business.business_name, phone=self.business.phone)


@dataclass(frozen=True, slots=True)
class RunningMesh:
    """Where a running mesh answers, and its keys."""

    state_directory: Path
    addresses: Mapping[str, str]
    health_addresses: Mapping[str, str]
    database_url: str
    queue_environment: Mapping[str, str]
    sandbox_origin: str
    #: File of each generated key: staff_key, service_key, token_key, master_key.
    key_files: Mapping[str, Path]
    pid: int

    @classmethod
    def of(cls, mesh: Mesh) -> RunningMesh:
        """Return what there is to know about a mesh of this process."""
        return cls(
            state_directory=mesh.state_dir,
            addresses=mesh.addresses,
            health_addresses=mesh.health_addresses,
            database_url=mesh.database_url,
            queue_environment=dict(mesh.queue_environment),
            sandbox_origin=mesh.sandbox_origin or "",
            key_files=mesh.secrets,
            pid=os.getpid(),
        )

    @classmethod
    def told(cls, facts: Mapping[str, Any]) -> RunningMesh:
        """Return what another process says of its mesh."""
        paths: dict[str, Any] = {
            "state_directory": Path(facts["state_directory"]),
            "key_files": {name: Path(path) for name, path in facts["key_files"].items()},
        }
        return cls(**{**facts, **paths})

    @property
    def staff_key(self) -> str:
        """The key of staff."""
        return self.key_files["staff_key"].read_text(encoding="ascii").strip()

    @property
    def service_key(self) -> str:
        """The key of our own services."""
        return self.key_files["service_key"].read_text(encoding="ascii").strip()

    @property
    def logs(self) -> Sequence[Path]:
        """The log file of every process."""
        return sorted((self.state_directory / "logs").glob("*.log"))

    def sandbox(self) -> SandboxClient:
        """Return a client of the sites; enter it."""
        return SandboxClient(self.sandbox_origin)

    @asynccontextmanager
    async def caller(self, key: str = "", service: str = "intake") -> AsyncGenerator[Caller]:
        """Connect to a service with plain grpcio, with a key or without one."""
        async with grpc.aio.insecure_channel(self.addresses[service]) as channel:
            yield Caller(channel, key, service)

    @asynccontextmanager
    async def staff(self, service: str = "intake") -> AsyncGenerator[Caller]:
        """Connect as staff."""
        async with self.caller(self.staff_key, service) as caller:
            yield caller

    @asynccontextmanager
    async def customer(
        self, package: job_pb2.Package.ValueType = job_pb2.PACKAGE_PROFESSIONAL
    ) -> AsyncGenerator[Customer]:
        """Take a new customer on, with a key and a profile, and connect as they do."""
        async with self.staff() as staff:
            wanted = customers_pb2.Customer(
                display_name="Test customer", email="test@example.com", package=package
            )
            request = customers_pb2.CreateCustomerRequest(customer=wanted, request_id=str(uuid4()))
            name = (await staff.ask("CreateCustomer", request)).customer.name
            made = await staff.ask("CreateApiKey", customers_pb2.CreateApiKeyRequest(parent=name))
            customer = Customer(staff.channel, made.secret, "intake", name, made.api_key.name)
            profile = customers_pb2.UpsertProfileRequest(
                parent=name,
                profile=customers_pb2.Profile(business=customer.business),
                request_id=str(uuid4()),
            )
            stored = (await customer.ask("UpsertProfile", profile)).profile.name
            yield Customer(
                staff.channel, made.secret, "intake", name, made.api_key.name, stored, customer.business
            )


@asynccontextmanager
async def started(options: MeshOptions) -> AsyncGenerator[RunningMesh]:
    """Run a mesh and give what there is to know about it; `Mesh` itself is there to kill and freeze."""
    async with Mesh(options) as mesh:
        yield RunningMesh.of(mesh)


async def fill_catalogue(running: RunningMesh) -> None:
    """Put all sandbox sites into the catalogue."""
    entries = catalogue(running.sandbox_origin)
    async with running.staff() as staff:
        await staff.ask("ImportDirectories", customers_pb2.ImportDirectoriesRequest(directories=entries))


@pytest.fixture
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the developer's own database and queue, for a mesh of the test's own."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """Run one mesh for all tests, its catalogue filled; when it has ended, no process is left."""
    state_directory = tmp_path_factory.mktemp("mesh") / "up"
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.mesh_process", str(state_directory)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    with program, closing(program.stdin):
        line = program.stdout.readline()
        assert line, "the mesh did not start"
        yield RunningMesh.told(json.loads(line))
        family = descendants(program.pid)
        program.stdin.close()
        assert program.wait(STOP_SECONDS_MAX) == 0
        assert [each for each in family if alive(each)] == []


@pytest.fixture
async def sandbox_of_mesh(mesh: RunningMesh) -> AsyncIterator[SandboxClient]:
    """Give the shared mesh's sites; their storage is everybody's, so count by business."""
    async with mesh.sandbox() as client:
        yield client
