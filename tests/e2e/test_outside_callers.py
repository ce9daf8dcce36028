"""People who know nothing of our code: grpcurl, buf curl, and a program written from the protos alone."""

from __future__ import annotations

import asyncio
import json
import sys
import sysconfig
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2

from sandbox.sample_profile import variant
from services.runtime.access import ACCESS
from tests.e2e.programs import grpcurl, program, run, succeeded
from tests.fix_mesh import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.client import SandboxClient
    from tests.fix_mesh import RunningMesh

SERVICES = {
    "intake": "directorybolt.intake.v1.IntakeService",
    "scheduler": "directorybolt.scheduler.v1.SchedulerService",
    "submitter": "directorybolt.submitter.v1.SubmitterService",
    "monitor": "directorybolt.monitor.v1.MonitorService",
}
INTAKE = SERVICES["intake"]
#: Far from the variants that other tests use: these come to the sites from outside of our fixtures.
STRANGERS = 1_000_000


async def call(running: RunningMesh, method: str, key: str, **request: Any) -> list[Any]:
    """Call a method of intake with grpcurl and return the answers."""
    header = f"authorization: Bearer {key}"
    address = running.addresses["intake"]
    ended = await grpcurl("-H", header, "-d", json.dumps(request), address, f"{INTAKE}/{method}")
    return ended.documents


async def test_grpcurl_lists_the_services_and_methods_of_each_process(mesh: RunningMesh):
    listed = await asyncio.gather(*(grpcurl(mesh.addresses[each], "list") for each in SERVICES))
    for ended, name in zip(listed, SERVICES.values(), strict=True):
        assert {name, "grpc.health.v1.Health"} < set(ended.output.split())
    methods = await asyncio.gather(
        *(grpcurl(mesh.addresses[each], "list", name) for each, name in SERVICES.items())
    )
    spoken = {method for ended in methods for method in ended.output.split()}
    served = {method.replace("/", ".") for method in ACCESS if method.partition("/")[0] in SERVICES.values()}
    assert spoken == served


async def test_grpcurl_describes_a_method_and_its_request(mesh: RunningMesh):
    address = mesh.addresses["intake"]
    method, request = await asyncio.gather(
        grpcurl(address, "describe", f"{INTAKE}.CreateJob"),
        grpcurl(address, "describe", "directorybolt.intake.v1.CreateJobRequest"),
    )
    assert "rpc CreateJob ( .directorybolt.intake.v1.CreateJobRequest )" in method.output
    assert "string request_id = 4;" in request.output


async def test_grpcurl_orders_a_listing_and_watches_it_to_its_end(
    mesh: RunningMesh, sandbox_of_mesh: SandboxClient
):
    business = variant(STRANGERS)
    wanted = {"display_name": "By hand", "email": "hand@example.com", "package": "PACKAGE_STARTER"}
    (created,) = await call(mesh, "CreateCustomer", mesh.staff_key, customer=wanted, request_id=str(uuid4()))
    customer = created["customer"]["name"]
    (made,) = await call(mesh, "CreateApiKey", mesh.staff_key, parent=customer)
    key = made["secret"]
    profile = {"business": json_format.MessageToDict(business)}
    (stored,) = await call(
        mesh, "UpsertProfile", key, parent=customer, profile=profile, request_id=str(uuid4())
    )
    (accepted,) = await call(
        mesh,
        "CreateJob",
        key,
        parent=customer,
        profile=stored["profile"]["name"],
        directories=["directories/sandbox-plain"],
        request_id=str(uuid4()),
    )
    news = await call(mesh, "WatchJob", key, name=accepted["job"]["name"])
    assert "job_accepted" in news[0]["event"]
    assert "job_completed" in news[-1]["event"]
    assert news[-1]["job"]["counts"] == {"total": 1, "listed": 1}
    assert await sandbox_of_mesh.count("plain", name=business.business_name, phone=business.phone) == 1


async def test_grpcurl_asks_health_on_the_port_for_probes(mesh: RunningMesh, tmp_path: Path):
    # That port answers health and nothing else, so the caller brings the schema along, as probes do.
    schema = FileDescriptorSet()
    health_pb2.DESCRIPTOR.CopyToProto(schema.file.add())
    file = tmp_path / "health.protoset"
    file.write_bytes(schema.SerializeToString())
    method = "grpc.health.v1.Health/Check"
    answers = await asyncio.gather(
        *(grpcurl("-protoset", str(file), address, method) for address in mesh.health_addresses.values())
    )
    assert [each.documents for each in answers] == [[{"status": "SERVING"}]] * len(mesh.health_addresses)


async def test_grpcurl_shows_a_refusal_with_its_reason(mesh: RunningMesh):
    address = mesh.addresses["intake"]
    refused = await run(program("grpcurl"), "-plaintext", "-d", "{}", address, f"{INTAKE}/GetJob")
    assert refused.code != 0
    assert "Code: Unauthenticated" in refused.errors
    assert "API_KEY_INVALID" in refused.errors


@pytest.mark.parametrize("version", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_curl_reads_both_versions_of_reflection(mesh: RunningMesh, version: str):
    fixed = ("curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect-protocol", version)
    listed = await asyncio.gather(
        *(
            succeeded(program("buf"), *fixed, "--list-services", f"http://{mesh.addresses[each]}")
            for each in SERVICES
        )
    )
    for ended, name in zip(listed, SERVICES.values(), strict=True):
        assert name in ended.output.split()
    header = f"authorization: Bearer {mesh.staff_key}"
    url = f"http://{mesh.addresses['monitor']}/{SERVICES['monitor']}/GetHealth"
    answered = await succeeded(program("buf"), *fixed, "--header", header, "--data", "{}", url)
    assert answered.documents[0]["workersAlive"] == 2


async def test_a_program_made_from_the_protos_alone_orders_watches_and_goes_on_watching(
    mesh: RunningMesh, tmp_path: Path
):
    protos = sorted(str(each) for each in (ROOT / "proto").rglob("*.proto"))
    outputs = (f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}")
    await succeeded(
        sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", *outputs, *protos, where=tmp_path
    )
    ended = await succeeded(
        sys.executable,
        "-I",
        "-S",
        ROOT / "tests" / "doubles" / "stranger.py",
        tmp_path,
        sysconfig.get_path("platlib"),
        mesh.addresses["intake"],
        mesh.staff_key,
        text=json_format.MessageToJson(variant(STRANGERS + 1)),
        where=tmp_path,
    )
    (met,) = ended.documents
    assert INTAKE in met["services"]
    assert met["completed"]
    assert met["state"] == "JOB_STATE_COMPLETED"
    assert met["rest"]
    assert met["again"] == met["rest"]
