"""Whoever asks for the wrong thing is told so, in a sentence that helps, and nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from directorybolt.directory.v1 import directory_pb2
from directorybolt.intake.v1 import customers_pb2 as c
from directorybolt.intake.v1 import jobs_pb2 as j
from directorybolt.job.v1 import job_pb2
from grpc import StatusCode

from sandbox.sample_profile import bakery
from tests.e2e.quiet_store import nothing_stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_mesh import Customer, RunningMesh

NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Case:
    """A bad request, and how it must be refused."""

    method: str
    request: Callable[[Customer], Any]
    code: StatusCode
    reason: str
    #: Words that the sentence must have.
    words: str
    #: The fields that are named as wrong.
    fields: frozenset[str] = field(default_factory=frozenset[str])


def bad_argument(method: str, request: Callable[[Customer], Any], wrong: str, words: str) -> Case:
    """Return a case of one field that is wrong."""
    return Case(method, request, StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", words, frozenset({wrong}))


def bad_profile(words: str, *wrong: str, **changes: Any) -> Case:
    """Return a case of a profile with these changes, in which these fields are wrong."""

    def request(customer: Customer) -> Any:
        business = bakery()
        for name, value in changes.items():
            setattr(business, name, value)
        profile = c.Profile(business=business)
        return c.UpsertProfileRequest(parent=customer.name, profile=profile, request_id=str(uuid4()))

    code = StatusCode.INVALID_ARGUMENT
    return Case("UpsertProfile", request, code, "INVALID_PROFILE", words, frozenset(wrong))


def numbered(count: int) -> list[str]:
    """Return the names of so many directories."""
    return [f"directories/number-{each}" for each in range(count)]


CASES = {
    "unknown profile": Case(
        "CreateJob",
        lambda me: me.an_order(profile=f"{me.name}/profiles/{NOBODY}"),
        StatusCode.NOT_FOUND,
        "PROFILE_NOT_FOUND",
        "no such profile, or it is not yours",
    ),
    "unknown directory": Case(
        "CreateJob",
        lambda me: me.an_order("sandbox-plain", "yellow-pages"),
        StatusCode.NOT_FOUND,
        "DIRECTORY_NOT_FOUND",
        "not in the catalogue: directories/yellow-pages",
    ),
    "unknown job": Case(
        "WatchJob",
        lambda me: j.WatchJobRequest(name=f"{me.name}/jobs/{NOBODY}"),
        StatusCode.NOT_FOUND,
        "JOB_NOT_FOUND",
        "no such job, or it is not yours",
    ),
    "profile that is no name": bad_argument(
        "CreateJob",
        lambda me: me.an_order(profile="my profile"),
        "profile",
        "write customers/{uuid}/profiles/{uuid}, not 'my profile'",
    ),
    "directory that is no name": bad_argument(
        "CreateJob",
        lambda me: me.an_order("Yellow Pages!"),
        "directories[0]",
        "with 1 to 63 of a-z, 0-9 and dash",
    ),
    "job that is no name": bad_argument(
        "GetJob", lambda _: j.GetJobRequest(name="jobs/7"), "name", "write customers/{uuid}/jobs/{uuid}"
    ),
    "no parent": bad_argument("CreateJob", lambda me: me.an_order(parent=""), "parent", "customers/{uuid}"),
    "no request_id": bad_argument(
        "CreateJob", lambda me: me.an_order(request_id=""), "request_id", "is required: make a UUID"
    ),
    "request_id that is no UUID": bad_argument(
        "CreateJob", lambda me: me.an_order(request_id="order 66"), "request_id", "make a UUID"
    ),
    "a directory twice": bad_argument(
        "CreateJob",
        lambda me: me.an_order("sandbox-plain", "sandbox-long", "sandbox-plain"),
        "directories[2]",
        "name every directory once",
    ),
    "more directories than the package covers": bad_argument(
        "CreateJob",
        lambda me: me.an_order(directories=numbered(51)),
        "directories",
        "has 51 entries, PACKAGE_STARTER covers at most 50",
    ),
    "more directories than anybody gets": bad_argument(
        "CreateJob",
        lambda me: me.an_order(directories=numbered(501)),
        "directories",
        "has 501 entries, at most 500 are allowed",
    ),
    "a queue of one's own": Case(
        "CreateJob",
        lambda me: me.an_order(priority=job_pb2.PRIORITY_P1),
        StatusCode.PERMISSION_DENIED,
        "SCOPE_MISSING",
        "only staff may set another priority",
    ),
    "profile without a business name": bad_profile(
        "give the name of the business", "business_name", business_name=""
    ),
    "business name of white space": bad_profile(
        "give the name of the business", "business_name", business_name=" \t"
    ),
    "profile with three wrong fields": bad_profile(
        "write +1 555 0100", "phone", "website", "email", phone="call me", website="bakery", email="at home"
    ),
    "business name without end": bad_profile(
        "characters, at most", "business_name", business_name="x" * 5_000
    ),
    "page token of one's own": bad_argument(
        "ListJobs", lambda me: j.ListJobsRequest(parent=me.name, page_token="page 2"), "page_token", "token"
    ),
    "negative page size": bad_argument(
        "ListJobs",
        lambda me: j.ListJobsRequest(parent=me.name, page_size=-1),
        "page_size",
        "is -1; give 0",
    ),
    "position of one's own": bad_argument(
        "ListJobs", lambda me: j.ListJobsRequest(parent=me.name, min_position="7"), "min_position", "token"
    ),
    "staff's method": Case(
        "CreateCustomer",
        lambda _: c.CreateCustomerRequest(customer=c.Customer(display_name="Me"), request_id=str(uuid4())),
        StatusCode.PERMISSION_DENIED,
        "SCOPE_MISSING",
        "lacks the scope",
    ),
    "staff's catalogue": Case(
        "ImportDirectories",
        lambda _: c.ImportDirectoriesRequest(directories=[directory_pb2.Directory(name="directories/mine")]),
        StatusCode.PERMISSION_DENIED,
        "SCOPE_MISSING",
        "lacks the scope",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_a_bad_request_is_refused_in_words_that_help_and_stores_nothing(mesh: RunningMesh, case: Case):
    async with mesh.customer(job_pb2.PACKAGE_STARTER) as customer, nothing_stored(mesh):
        refused = await customer.refusal(case.method, case.request(customer))
        assert (refused.code, refused.domain, refused.reason) == (case.code, "directorybolt", case.reason)
        assert case.words in refused.sentence
        assert set(refused.fields) == case.fields
        assert refused.retry_after_seconds is None


async def test_what_is_anothers_does_not_exist_for_a_customer(mesh: RunningMesh):
    async with mesh.customer() as me, mesh.customer() as other:
        job = f"{other.name}/jobs/{NOBODY}"
        async with nothing_stored(mesh):
            refusals = [
                await me.refusal("CreateJob", me.an_order(profile=other.profile)),
                await me.refusal("CreateJob", other.an_order()),
                await me.refusal("GetProfile", c.GetProfileRequest(name=other.profile)),
                await me.refusal("ListJobs", j.ListJobsRequest(parent=other.name)),
                await me.refusal("CancelJob", j.CancelJobRequest(name=job)),
                await me.refusal("RevokeApiKey", c.RevokeApiKeyRequest(name=other.key_name)),
            ]
    assert {each.code for each in refusals} == {StatusCode.NOT_FOUND}
    assert [each.reason for each in refusals] == [
        "PROFILE_NOT_FOUND",
        "CUSTOMER_NOT_FOUND",
        "PROFILE_NOT_FOUND",
        "CUSTOMER_NOT_FOUND",
        "JOB_NOT_FOUND",
        "CUSTOMER_NOT_FOUND",
    ]


async def test_the_same_request_id_gives_the_first_answer_and_another_body_is_refused(mesh: RunningMesh):
    async with mesh.customer() as customer:
        order = customer.an_order("sandbox-plain")
        first = (await customer.ask("CreateJob", order)).job
        _ = [news async for news in customer.watch(first.name)]
        async with nothing_stored(mesh):
            again = (await customer.ask("CreateJob", order)).job
            order.directories[:] = ["directories/sandbox-long"]
            refused = await customer.refusal("CreateJob", order)
        listed = await customer.ask(
            "ListJobs", j.ListJobsRequest(parent=customer.name, min_position=again.position)
        )
    assert again.name == first.name
    assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert "use a new one" in refused.sentence
    assert [each.name for each in listed.jobs] == [first.name]


async def test_an_order_whose_answer_came_too_late_is_found_by_sending_it_again(mesh: RunningMesh):
    async with mesh.customer() as customer:
        order = customer.an_order("sandbox-plain")
        late = await customer.refusal("CreateJob", order, seconds=0.001)
        # The caller's own gRPC gives up, so there is nobody to give a reason.
        assert (late.code, late.reason) == (StatusCode.DEADLINE_EXCEEDED, "")
        job = (await customer.ask("CreateJob", order)).job
        _ = [news async for news in customer.watch(job.name)]
        listed = await customer.ask(
            "ListJobs", j.ListJobsRequest(parent=customer.name, min_position=job.position)
        )
    assert [each.name for each in listed.jobs] == [job.name]
