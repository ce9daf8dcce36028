"""At the door: no key, a wrong key, too many calls, too big a message, and what is no gRPC at all."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
from directorybolt.intake.v1 import customers_pb2 as c
from directorybolt.intake.v1 import jobs_pb2 as j
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.interceptors.rate_limit import WINDOW_SECONDS
from tests.e2e.quiet_store import nothing_stored
from tests.fix_mesh import GIVEN, ROOT, Caller, refusal_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fix_mesh import Refusal, RunningMesh

LIMIT_PER_MINUTE = 100
#: gRPC refuses these by itself, or the caller ends them; nobody is there to give a reason.
WITHOUT_REASON = {"OK", "CANCELLED", "DEADLINE_EXCEEDED"}


async def refused_with_key(running: RunningMesh, key: str, parent: str) -> Refusal:
    """Return how a call with this key is refused."""
    async with running.caller(key) as caller, nothing_stored(running):
        return await caller.refusal("ListJobs", j.ListJobsRequest(parent=parent))


async def test_no_key_a_wrong_key_and_a_revoked_key_are_refused_in_the_same_words(mesh: RunningMesh):
    async with mesh.customer() as customer:
        parent = customer.name
        await customer.ask("RevokeApiKey", c.RevokeApiKeyRequest(name=customer.key_name))
    head, _, secret = customer.key.rpartition("_")
    offered = {
        "none": "",
        "no key at all": "please",
        "unknown": f"dbk_nobody00_{'n' * 43}",
        "wrong secret": f"{head}_{secret[::-1]}",
        "revoked": customer.key,
    }
    refusals = {name: await refused_with_key(mesh, key, parent) for name, key in offered.items()}
    assert {each.code for each in refusals.values()} == {StatusCode.UNAUTHENTICATED}
    assert {each.reason for each in refusals.values()} == {"API_KEY_INVALID"}
    (sentence,) = {each.sentence for each in refusals.values()}
    assert "authorization: Bearer dbk_" in sentence


async def raw(running: RunningMesh, method: str, message: bytes) -> Refusal:
    """Send bytes to a method of intake as staff, and return how they are refused."""
    async with running.staff() as staff:
        untyped: Any = staff.channel
        call = untyped.unary_unary(f"/directorybolt.intake.v1.IntakeService/{method}")
        try:
            await call(message, metadata=staff.metadata(), timeout=30)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
    raise AssertionError(f"{method} was answered")


async def test_a_request_of_11_mib_is_refused_by_grpc_itself(mesh: RunningMesh):
    async with nothing_stored(mesh):
        refused = await raw(mesh, "UpsertProfile", b"x" * (11 * 1024 * 1024))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "")
    assert "larger than max" in refused.sentence


async def test_a_method_that_is_not_there_is_unimplemented(mesh: RunningMesh):
    refused = await raw(mesh, "DropAllTables", b"")
    assert (refused.code, refused.domain, refused.reason) == (
        StatusCode.UNIMPLEMENTED,
        "directorybolt",
        "METHOD_NOT_FOUND",
    )


async def test_bytes_that_are_no_message_are_an_invalid_argument(mesh: RunningMesh):
    async with nothing_stored(mesh):
        refused = await raw(mesh, "CreateJob", b"\xff" * 64)
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert "not a message of the method's type" in refused.sentence


def starts_of(running: RunningMesh, process: str) -> int:
    """Return how often a process has been started; the mesh starts again what has crashed."""
    log = running.state_directory / "logs" / f"{process}.log"
    return log.read_text(encoding="utf-8").count('"process.serving"')


async def test_a_server_survives_what_is_no_grpc(mesh: RunningMesh):
    host, _, port = mesh.addresses["intake"].partition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for rubbish in (os.urandom(4096), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", preface + os.urandom(4096)):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(rubbish)
        # It hangs up; with which words, is HTTP/2's affair.
        try:
            async with asyncio.timeout(30):
                await reader.read()
        except ConnectionResetError:
            pass
        writer.close()
    async with grpc.aio.insecure_channel(mesh.health_addresses["intake"]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert starts_of(mesh, "intake") == 1
    async with mesh.customer() as customer:
        assert not (await customer.ask("ListJobs", j.ListJobsRequest(parent=customer.name))).jobs


@asynccontextmanager
async def intake_with_usual_limit(running: RunningMesh) -> AsyncGenerator[grpc.aio.Channel]:
    """Run one more intake process on the mesh's database, with the limit that it has by default."""
    kept = {name: value for name, value in os.environ.items() if name not in GIVEN}
    files = {f"DIRECTORYBOLT_{name.upper()}_FILE": str(path) for name, path in running.key_files.items()}
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.intake"),
        cwd=ROOT,
        env={
            **kept,
            **files,
            "DATABASE_URL": running.database_url,
            "DIRECTORYBOLT_EVIDENCE_DIR": str(running.state_directory / "evidence"),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert program.stdout is not None
    try:
        port = json.loads(await program.stdout.readline())["grpc_port"]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        program.terminate()
        assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


async def test_the_101st_call_in_a_minute_is_refused_and_our_own_services_are_not_counted(
    mesh: RunningMesh,
):
    async with mesh.customer() as customer, intake_with_usual_limit(mesh) as channel:
        request = j.ListJobsRequest(parent=customer.name)
        caller, stranger = Caller(channel, customer.key), Caller(channel)
        service = Caller(channel, mesh.service_key)
        for _ in range(LIMIT_PER_MINUTE):
            await caller.ask("ListJobs", request)
        async with nothing_stored(mesh):
            refused = await caller.refusal("CreateJob", customer.an_order("sandbox-plain"))
            # The address counts, not the key, and it counts before the key is looked at.
            other = await stranger.refusal("ListJobs", request)
            ours = await service.refusal("ListJobs", request)
        untyped: Any = health_pb2_grpc
        health = await untyped.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    for each in (refused, other):
        assert (each.code, each.reason) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert f"more than {LIMIT_PER_MINUTE} calls in 60 seconds; wait" in each.sentence
        assert 0 < (each.retry_after_seconds or 0) <= WINDOW_SECONDS
    # Intake's methods are not for services: it was asked who it is, and not how often it had called.
    assert (ours.code, ours.reason) == (StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_no_refusal_in_any_access_log_lacks_its_reason(mesh: RunningMesh):
    async with mesh.caller() as nobody:
        await nobody.refusal("GetJob", j.GetJobRequest(name=str(uuid4())))
    calls = [
        line
        for path in mesh.logs
        for text in path.read_text(encoding="utf-8").splitlines()
        if '"rpc.call"' in text
        for line in [json.loads(text)]
    ]
    refused = [each for each in calls if each["code"] not in WITHOUT_REASON]
    assert refused
    assert [each for each in refused if not each["reason"]] == []
    assert [each for each in calls if each["code"] in {"UNKNOWN", "INTERNAL"}] == []
