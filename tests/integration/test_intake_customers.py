"""Customers, keys and profiles, through a real gRPC server on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from directorybolt.intake.v1 import customers_pb2 as m
from directorybolt.job.v1 import job_pb2
from google.protobuf.duration_pb2 import Duration

from services.domain import identity
from tests.fix_intake import Caller, a_profile, intake, intake_process, postgres_cluster, services_template

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_intake import Intake

__all__ = ["intake", "postgres_cluster", "services_template"]

CODE = grpc.StatusCode


def a_customer(
    request_id: str = "",
    display_name: str = "Kaffee Süd AG",
    email: str = "a@kaffee.example",
    package: int = job_pb2.PACKAGE_GROWTH,
) -> m.CreateCustomerRequest:
    """Return the request that takes a customer on."""
    customer = m.Customer(display_name=display_name, email=email, package=package)  # pyright: ignore[reportArgumentType]
    return m.CreateCustomerRequest(customer=customer, request_id=request_id or str(uuid4()))


async def versions(intake: Intake, stream_id: UUID) -> int:
    """Return how many events a stream has."""
    return len(await intake.store.read_stream(stream_id))


async def test_a_customer_is_taken_on_and_shown(intake: Intake) -> None:
    made = (
        await intake.staff.ask("CreateCustomer", a_customer(display_name=" Kaffee <b>Süd</b> AG "))
    ).customer
    assert (made.display_name, made.email, made.package) == (
        "Kaffee Süd AG",
        "a@kaffee.example",
        job_pb2.PACKAGE_GROWTH,
    )
    assert made.HasField("create_time")
    assert (await intake.staff.ask("GetCustomer", m.GetCustomerRequest(name=made.name))).customer == made


async def test_the_same_request_id_makes_one_customer_however_often_it_is_sent(intake: Intake) -> None:
    request = a_customer()
    answers = await asyncio.gather(*(intake.staff.ask("CreateCustomer", request) for _ in range(10)))
    assert all(each == answers[0] for each in answers)
    assert await versions(intake, identity.customer_id_for(request.request_id)) == 1


@pytest.mark.parametrize(
    "other", [{"display_name": "Tee"}, {"email": ""}, {"package": job_pb2.PACKAGE_STARTER}]
)
async def test_a_request_id_with_another_customer_is_refused(intake: Intake, other: dict[str, str]) -> None:
    request_id = str(uuid4())
    await intake.staff.ask("CreateCustomer", a_customer(request_id))
    refused = await intake.staff.refusal("CreateCustomer", a_customer(request_id, **other))  # pyright: ignore[reportArgumentType]
    assert (refused.code, refused.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_every_fault_of_a_customer_is_named_and_nothing_is_stored(intake: Intake) -> None:
    request = a_customer(display_name="", email="nobody", package=0)
    refused = await intake.staff.refusal("CreateCustomer", request)
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert set(refused.fields) == {"customer.display_name", "customer.email", "customer.package"}
    assert (await intake.store.head()).number == 0
    refused = await intake.staff.refusal("CreateCustomer", a_customer(request_id="42"))
    assert refused.fields == ("request_id",)


async def test_no_personal_word_of_a_customer_or_profile_is_readable_in_the_database(intake: Intake) -> None:
    await intake.tenant()
    async with await psycopg.AsyncConnection.connect(intake.database_url) as connection:
        rows = await connection.execute("select payload from es.event")
        payloads = b"".join(bytes(payload) for (payload,) in await rows.fetchall())
    assert payloads
    for word in ("Kaffee", "kaffee.example", "555 01 00"):
        assert word.encode() not in payloads


async def test_a_key_opens_its_own_customer_only(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    assert (await ours.ask("GetCustomer", m.GetCustomerRequest(name=ours.name))).customer.name == ours.name
    refused = await ours.refusal("GetCustomer", m.GetCustomerRequest(name=theirs.name))
    assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "CUSTOMER_NOT_FOUND")
    unknown = await ours.refusal("GetCustomer", m.GetCustomerRequest(name=f"customers/{uuid4()}"))
    assert unknown.words == refused.words, "what is another's and what is not there read the same"


async def test_only_staff_takes_customers_on_makes_keys_and_imports(intake: Intake) -> None:
    tenant = await intake.tenant()
    for method, request in (
        ("CreateCustomer", a_customer()),
        ("CreateApiKey", m.CreateApiKeyRequest(parent=tenant.name)),
        ("ImportDirectories", m.ImportDirectoriesRequest()),
    ):
        refused = await tenant.refusal(method, request)
        assert (refused.code, refused.reason) == (CODE.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_a_key_is_shown_once_listed_and_ended(intake: Intake) -> None:
    tenant = await intake.tenant()
    made = await intake.staff.ask(
        "CreateApiKey",
        m.CreateApiKeyRequest(parent=tenant.name, display_name="till 2", ttl=Duration(seconds=3600)),
    )
    assert made.secret.startswith("dbk_")
    life = made.api_key.expire_time.ToDatetime() - made.api_key.create_time.ToDatetime()
    assert life.total_seconds() == pytest.approx(3600, abs=5)
    keys = (await tenant.ask("ListApiKeys", m.ListApiKeysRequest(parent=tenant.name))).api_keys
    assert [each.display_name for each in keys] == ["till 2", ""]
    assert list(keys[0].scopes) == ["customer"]
    second = Caller(made.secret, intake.channel)
    assert await second.ask("GetCustomer", m.GetCustomerRequest(name=tenant.name))

    ended = (await tenant.ask("RevokeApiKey", m.RevokeApiKeyRequest(name=made.api_key.name))).api_key
    assert ended.HasField("revoke_time")
    again = (await tenant.ask("RevokeApiKey", m.RevokeApiKeyRequest(name=made.api_key.name))).api_key
    assert again.revoke_time == ended.revoke_time
    refused = await second.refusal("GetCustomer", m.GetCustomerRequest(name=tenant.name))
    assert (refused.code, refused.reason) == (CODE.UNAUTHENTICATED, "API_KEY_INVALID")


async def test_a_key_of_another_customer_is_not_there(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    key = (await theirs.ask("ListApiKeys", m.ListApiKeysRequest(parent=theirs.name))).api_keys[0]
    for name in (key.name, key.name.replace(theirs.name, ours.name)):
        refused = await ours.refusal("RevokeApiKey", m.RevokeApiKeyRequest(name=name))
        assert refused.code is CODE.NOT_FOUND
    assert await theirs.ask("GetCustomer", m.GetCustomerRequest(name=theirs.name))


@pytest.mark.parametrize("seconds", [0, -1, 366 * 86_400 + 1, 315_576_000_000])
async def test_a_key_lives_for_a_year_at_most(intake: Intake, seconds: int) -> None:
    tenant = await intake.tenant()
    request = m.CreateApiKeyRequest(parent=tenant.name, ttl=Duration(seconds=seconds))
    assert (await intake.staff.refusal("CreateApiKey", request)).fields == ("ttl",)


async def test_a_key_for_nobody_is_refused(intake: Intake) -> None:
    request = m.CreateApiKeyRequest(parent=f"customers/{uuid4()}")
    assert (await intake.staff.refusal("CreateApiKey", request)).reason == "CUSTOMER_NOT_FOUND"


async def test_a_profile_is_created_revised_and_shown(intake: Intake) -> None:
    tenant = await intake.tenant()
    created = (await tenant.ask("GetProfile", m.GetProfileRequest(name=tenant.profile))).profile
    assert (created.version, created.etag, created.business.business_name) == (1, '"1"', "Kaffee Süd")
    change = a_profile(tenant.name, name=tenant.profile, business_name="Kaffee Nord", etag=created.etag)
    revised = (await tenant.ask("UpsertProfile", change)).profile
    assert (revised.version, revised.etag, revised.business.business_name) == (2, '"2"', "Kaffee Nord")
    assert (await tenant.ask("GetProfile", m.GetProfileRequest(name=tenant.profile))).profile == revised


async def test_a_change_of_nothing_appends_nothing(intake: Intake) -> None:
    tenant = await intake.tenant()
    same = (await tenant.ask("UpsertProfile", a_profile(tenant.name, name=tenant.profile))).profile
    assert same.version == 1
    assert await versions(intake, UUID(tenant.profile.rpartition("/")[2])) == 1


async def test_a_profile_that_somebody_changed_meanwhile_is_not_overwritten(intake: Intake) -> None:
    tenant = await intake.tenant()
    first = a_profile(tenant.name, name=tenant.profile, business_name="Kaffee Nord", etag='"1"')
    second = a_profile(tenant.name, name=tenant.profile, business_name="Kaffee Ost", etag='"1"')
    answers = await asyncio.gather(
        tenant.ask("UpsertProfile", first), tenant.ask("UpsertProfile", second), return_exceptions=True
    )
    failures = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert len(failures) == 1
    refused = await tenant.refusal("UpsertProfile", first if answers[0] in failures else second)
    assert (refused.code, refused.reason) == (CODE.ABORTED, "ETAG_MISMATCH")
    assert refused.metadata["etag"] == '"2"'


async def test_a_repeated_creation_gets_the_first_answer_even_after_a_change(intake: Intake) -> None:
    tenant = await intake.tenant()
    request = a_profile(tenant.name, business_name="Zweites Geschäft")
    answers = await asyncio.gather(*(tenant.ask("UpsertProfile", request) for _ in range(5)))
    first = answers[0].profile
    assert all(each.profile == first for each in answers)
    await tenant.ask("UpsertProfile", a_profile(tenant.name, name=first.name, business_name="Anders"))
    assert (await tenant.ask("UpsertProfile", request)).profile == first
    other = a_profile(tenant.name, business_name="Drittes", request_id=request.request_id)
    assert (await tenant.refusal("UpsertProfile", other)).reason == "REQUEST_ID_REUSED"


async def test_a_repeated_change_gets_the_first_answer_even_after_another(intake: Intake) -> None:
    tenant = await intake.tenant()
    change = a_profile(
        tenant.name, name=tenant.profile, business_name="Nord", etag='"1"', request_id=str(uuid4())
    )
    first = (await tenant.ask("UpsertProfile", change)).profile
    await tenant.ask("UpsertProfile", a_profile(tenant.name, name=tenant.profile, business_name="Ost"))
    assert (await tenant.ask("UpsertProfile", change)).profile == first
    change.profile.business.business_name = "West"
    assert (await tenant.refusal("UpsertProfile", change)).reason == "REQUEST_ID_REUSED"


async def test_a_profile_beyond_its_limits_is_refused_field_by_field(intake: Intake) -> None:
    tenant = await intake.tenant()
    bad = a_profile(tenant.name, business_name=" <i></i> ")
    bad.profile.business.website = "javascript:alert(1)"
    refused = await tenant.refusal("UpsertProfile", bad)
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "INVALID_PROFILE")
    assert set(refused.fields) == {"business_name", "website"}


async def test_a_profile_of_another_customer_is_not_there(intake: Intake) -> None:
    ours, theirs = await intake.tenant(), await intake.tenant()
    for method, request in (
        ("GetProfile", m.GetProfileRequest(name=theirs.profile)),
        ("GetProfile", m.GetProfileRequest(name=theirs.profile.replace(theirs.name, ours.name))),
        ("UpsertProfile", a_profile(ours.name, name=theirs.profile, business_name="Stolen")),
        (
            "UpsertProfile",
            a_profile(ours.name, name=theirs.profile.replace(theirs.name, ours.name), business_name="Stolen"),
        ),
    ):
        assert (await ours.refusal(method, request)).reason == "PROFILE_NOT_FOUND"
    refused = await ours.refusal("UpsertProfile", a_profile(theirs.name))
    assert refused.reason == "CUSTOMER_NOT_FOUND"


async def test_an_erased_customer_can_be_read_no_more(intake: Intake, tmp_path: Path) -> None:
    tenant = await intake.tenant()
    await intake.vault.destroy(tenant.id)
    # Another process, because the first one may remember an open key for up to a minute.
    async with intake_process(intake.database_url, tmp_path) as fresh:
        staff = fresh.staff
        for method, request in (
            ("GetCustomer", m.GetCustomerRequest(name=tenant.name)),
            ("GetProfile", m.GetProfileRequest(name=tenant.profile)),
            ("UpsertProfile", a_profile(tenant.name)),
            ("CreateJob", tenant.an_order()),
        ):
            refused = await staff.refusal(method, request)
            assert (refused.code, refused.reason) == (CODE.FAILED_PRECONDITION, "CUSTOMER_ERASED")
