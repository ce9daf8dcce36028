"""Nobody sees what is another's: through no RPC, and not in SQL either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from directorybolt.event.v1 import submission_events_pb2
from directorybolt.intake.v1 import customers_pb2, erasure_pb2, intake_service_pb2, jobs_pb2
from psycopg import sql

from services.projections.reading import Reads
from services.projections.submissions import SubmissionReader
from services.runtime.tables.pool import open_pool
from tests.fix_intake import a_profile, intake, postgres_cluster, services_template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fix_intake import Intake, Tenant

__all__ = ["intake", "postgres_cluster", "services_template"]

TENANT_TABLES: Final = ("job", "submission", "job_submission", "history", "job_stream")
#: Staff only, or about the catalogue, which is everybody's: no customer's things to see there.
NOT_OWNED: Final = {
    "CreateCustomer",
    "EraseCustomer",
    "GetErasureCertificate",
    "CreateApiKey",
    "ImportDirectories",
    "GetDirectory",
    "ListDirectories",
}

#: Each method that shows or changes something of a customer's, asked by B with A's names.
ATTACKS: Final[Mapping[str, Callable[[Tenant, Mapping[str, str]], Any]]] = {
    "GetCustomer": lambda a, _: customers_pb2.GetCustomerRequest(name=a.name),
    "ExportCustomer": lambda a, _: erasure_pb2.ExportCustomerRequest(name=a.name),
    "ListApiKeys": lambda a, _: customers_pb2.ListApiKeysRequest(parent=a.name),
    "RevokeApiKey": lambda _, its: customers_pb2.RevokeApiKeyRequest(name=its["key"]),
    "UpsertProfile": lambda a, _: a_profile(a.name, name=a.profile, business_name="Stolen"),
    "GetProfile": lambda a, _: customers_pb2.GetProfileRequest(name=a.profile),
    "CreateJob": lambda a, _: a.an_order(),
    "GetJob": lambda _, its: jobs_pb2.GetJobRequest(name=its["job"]),
    "ListJobs": lambda a, _: jobs_pb2.ListJobsRequest(parent=a.name),
    "CancelJob": lambda _, its: jobs_pb2.CancelJobRequest(name=its["job"]),
    "WatchJob": lambda _, its: jobs_pb2.WatchJobRequest(name=its["job"]),
    "ListSubmissions": lambda _, its: jobs_pb2.ListSubmissionsRequest(parent=its["job"]),
    "GetSubmission": lambda _, its: jobs_pb2.GetSubmissionRequest(name=its["submission"]),
    "ListJobEvents": lambda _, its: jobs_pb2.ListJobEventsRequest(parent=its["job"]),
    "GetProof": lambda _, its: jobs_pb2.GetProofRequest(name=its["proof"]),
}

#: Those whose names hold no id but the customer's, or one that the profile's owner has to fit.
BY_CUSTOMER: Final = {
    "GetCustomer",
    "ExportCustomer",
    "ListApiKeys",
    "UpsertProfile",
    "GetProfile",
    "CreateJob",
    "ListJobs",
}


async def things_of(intake: Intake, tenant: Tenant) -> Mapping[str, str]:
    """Give a customer one of everything, and return the names."""
    job = await tenant.order()
    (submission_id,) = await intake.plan(tenant, job.name, [f"d-{uuid4()}"])
    proof = await intake.evidence.put(tenant.id, b"picture", "image/png")
    evidence = submission_events_pb2.Evidence(proof_id=str(proof.proof_id))
    fact = submission_events_pb2.SubmissionListed(attempt=1, evidence=evidence)
    await intake.append_to_submission(tenant, submission_id, fact)
    keys = await tenant.ask("ListApiKeys", customers_pb2.ListApiKeysRequest(parent=tenant.name))
    await intake.covered()
    return {
        "job": job.name,
        "submission": f"{tenant.name}/submissions/{submission_id}",
        "proof": f"{tenant.name}/proofs/{proof.proof_id}",
        "key": keys.api_keys[0].name,
    }


async def answer(tenant: Tenant, method: str, request: Any) -> None:
    """Make a call, and read the beginning of its answer."""
    if method in {"WatchJob", "GetProof", "ExportCustomer"}:
        call = tenant.stream(method, request)
        assert await call.read() is not grpc.aio.EOF
        call.cancel()
    else:
        await tenant.ask(method, request)


def test_every_method_is_attacked_or_owned_by_nobody() -> None:
    methods = {each.name for each in intake_service_pb2.DESCRIPTOR.services_by_name["IntakeService"].methods}
    assert methods == set(ATTACKS) | NOT_OWNED


@pytest.mark.parametrize("method", ATTACKS)
async def test_a_customer_sees_nothing_of_another_through_any_method(intake: Intake, method: str) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    names = await things_of(intake, theirs)
    await things_of(intake, ours)
    head = await intake.store.head()

    refused = await ours.refusal(method, ATTACKS[method](theirs, names))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    # The same ids under the attacker's own name: what decides is the owner, not the path.
    renamed = {each: name.replace(theirs.name, ours.name) for each, name in names.items()}
    if method not in BY_CUSTOMER:
        assert (await ours.refusal(method, ATTACKS[method](ours, renamed))).code is grpc.StatusCode.NOT_FOUND
    assert await intake.store.head() == head
    await answer(theirs, method, ATTACKS[method](theirs, names))


async def test_lists_hold_ones_own_only(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    names = await things_of(intake, ours)
    await things_of(intake, theirs)
    jobs = await ours.ask("ListJobs", jobs_pb2.ListJobsRequest(parent=ours.name))
    assert [each.name for each in jobs.jobs] == [names["job"]]
    found = await ours.ask("ListSubmissions", jobs_pb2.ListSubmissionsRequest(parent=ours.name))
    assert [each.name for each in found.submissions] == [names["submission"]]


async def test_the_tenant_role_sees_rows_of_its_tenant_only(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    await things_of(intake, ours)
    await things_of(intake, theirs)
    for tenant, expected in (
        (ours.id, {ours.id}),
        (theirs.id, {theirs.id}),
        (uuid4(), set[UUID]()),
        (None, set[UUID]()),
    ):
        async with (
            await psycopg.AsyncConnection.connect(intake.database_url) as connection,
            connection.transaction(),
        ):
            await connection.execute("set local role bolt_tenant")
            if tenant:
                await connection.execute("select set_config('directorybolt.tenant', %s, true)", [str(tenant)])
            for table in TENANT_TABLES:
                query = sql.SQL("select distinct customer_id from {}").format(sql.Identifier("intake", table))
                rows = await connection.execute(query)
                assert {each for (each,) in await rows.fetchall()} == expected, table
            rows = await connection.execute("select distinct tenant from es.event")
            assert {each for (each,) in await rows.fetchall()} == expected


async def test_the_tenant_role_can_write_nothing(intake: Intake) -> None:
    tenant = await intake.tenant()
    await things_of(intake, tenant)
    async with await psycopg.AsyncConnection.connect(intake.database_url, autocommit=True) as connection:
        await connection.execute("set role bolt_tenant")
        await connection.execute("select set_config('directorybolt.tenant', %s, false)", [str(tenant.id)])
        for table in TENANT_TABLES:
            query = sql.SQL("delete from {}").format(sql.Identifier("intake", table))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(query)


async def test_no_reader_keeps_a_tenant_beyond_its_transaction(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    for each in (ours, theirs):
        await things_of(intake, each)
    url = intake.database_url
    async with open_pool(url, role="bolt_intake", application_name="test", size_max=1) as pool:
        reader = SubmissionReader(Reads(pool))
        for _ in range(3):
            for tenant in (ours, theirs):
                found = await reader.page(tenant.id, None, state=None, after=None, limit=10)
                assert {each.customer_id for each in found} == {str(tenant.id)}
            async with pool.connection() as connection:
                row = await (
                    await connection.execute(
                        "select current_setting('directorybolt.tenant', true), current_user"
                    )
                ).fetchone()
                assert row in {("", "bolt_intake"), (None, "bolt_intake")}
