"""The engine submits to each kind of site once, and tells what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from directorybolt.job.v1 import job_pb2

from sandbox.client import SandboxClient
from sandbox.sample_profile import bakery
from services.runtime.clock import SystemClock
from services.submitter.engine import AttemptPlan, Engine, ResultKind, Timeouts
from tests.doubles.attempt_journal import RecordingJournal
from tests.fix_browser import warm_pool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.submitter.browser_pool import BrowserPool

pytest_plugins = ["tests.fix_sandbox"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncGenerator[BrowserPool]:
    async with warm_pool() as warm:
        yield warm


@pytest_asyncio.fixture(loop_scope="module")
async def sites(sandbox_origin: str) -> AsyncGenerator[SandboxClient]:
    async with SandboxClient(sandbox_origin) as client:
        await client.reset()
        yield client
        await client.release()


@pytest.fixture
def engine(pool: BrowserPool) -> Engine:
    return Engine(pool, SystemClock())


def _plan(sites: SandboxClient, site: str) -> AttemptPlan:
    return AttemptPlan(
        submission_url=f"{sites.origin}/{site}/add",
        search_url=f"{sites.origin}/{site}/search?q={{query}}",
        profile=bakery(),
    )


async def accepted(sites: SandboxClient, site: str) -> int:
    return sum((await sites.counts(site)).values())


async def fields_of(sites: SandboxClient, site: str) -> dict[str, list[str]]:
    return (await sites.submissions(site))[-1]["fields"]


@pytest.mark.parametrize(
    ("site", "kind", "posts"),
    [
        ("plain", ResultKind.LISTED, 1),
        ("long", ResultKind.PENDING_REVIEW, 1),
        ("wizard", ResultKind.LISTED, 1),
        ("scripted", ResultKind.PENDING_REVIEW, 1),
        ("slow", ResultKind.LISTED, 1),
        ("already", ResultKind.ALREADY_LISTED, 0),
        ("mail", ResultKind.PENDING_CONFIRMATION, 1),
        ("captcha", ResultKind.CAPTCHA, 0),
    ],
)
async def test_each_site_is_answered_with_the_outcome_it_calls_for(
    engine: Engine, sites: SandboxClient, site: str, kind: ResultKind, posts: int
):
    journal = RecordingJournal()
    result = await engine.attempt(_plan(sites, site), journal)
    assert (result.kind, await accepted(sites, site)) == (kind, posts), result
    assert (await sites.events(site))["trapped"] == 0
    assert result.picture[:2] == b"\xff\xd8"
    if kind is not ResultKind.CAPTCHA:
        assert result.picture_before[:2] == b"\xff\xd8"
        assert journal.told[:5] == ["open", "fill", "form_filled", "submit", "permit"]
        assert result.sent
        assert len(result.signals) >= 2


async def test_a_captcha_is_left_to_a_person_without_any_click(engine: Engine, sites: SandboxClient):
    journal = RecordingJournal()
    result = await engine.attempt(_plan(sites, "captcha"), journal)
    assert result.error_class == job_pb2.ERROR_CLASS_CHALLENGE
    assert journal.told == ["open"]
    assert not result.sent
    assert (await sites.events("captcha"))["post_received"] == 0


async def test_a_flaky_site_is_taken_at_the_fourth_attempt(engine: Engine, sites: SandboxClient):
    seen: list[tuple[int, str, float | None]] = []
    for _ in range(3):
        result = await engine.attempt(_plan(sites, "flaky"), RecordingJournal())
        assert not result.sent
        seen.append((result.error_class, result.code, result.retry_after_seconds))
    assert seen == [
        (job_pb2.ERROR_CLASS_TRANSIENT, "http_500", None),
        (job_pb2.ERROR_CLASS_THROTTLED, "http_429", 1.0),
        (job_pb2.ERROR_CLASS_TRANSIENT, "http_500", None),
    ]
    result = await engine.attempt(_plan(sites, "flaky"), RecordingJournal())
    assert (result.kind, await accepted(sites, "flaky")) == (ResultKind.LISTED, 1)
    assert "/flaky/listing/" in result.listing_url


async def test_newsletters_stay_off_and_traps_empty(engine: Engine, sites: SandboxClient):
    for site, news, trap in (
        ("plain", "newsletter", ""),
        ("slow", "OPT_IN", "DO_MATH"),
        ("mail", "sundayLetter", "homepage"),
    ):
        await engine.attempt(_plan(sites, site), RecordingJournal())
        fields = await fields_of(sites, site)
        assert news not in fields
        assert not trap or fields[trap] == [""]


async def test_the_long_form_is_filled_with_what_the_profile_says(engine: Engine, sites: SandboxClient):
    await engine.attempt(_plan(sites, "long"), RecordingJournal())
    fields = await fields_of(sites, "long")
    assert fields["address[country]"] == ["US"]
    assert fields["address[state]"] == ["OR"]
    assert fields["listing[category]"] == ["food_retail"]
    assert fields["listing[price]"] == ["moderate"]
    assert fields["listing[plan]"] == ["free"]
    assert fields["hours[mon][open]"] == ["closed"]
    assert (fields["hours[fri][open]"], fields["hours[fri][close]"]) == (["07:00"], ["19:30"])
    description = fields["listing[description]"][0]
    assert len(description) <= 500
    assert description.endswith(".")


async def test_a_connection_cut_after_the_post_is_uncertain_and_then_found(
    engine: Engine, sites: SandboxClient
):
    await sites.fault("plain", "drop_after_accept")
    result = await engine.attempt(_plan(sites, "plain"), RecordingJournal())
    assert (result.kind, result.sent) == (ResultKind.UNCERTAIN, True)
    assert await accepted(sites, "plain") == 1
    verify = replace(_plan(sites, "plain"), purpose="verify")
    found = await engine.attempt(verify, RecordingJournal())
    assert found.kind is ResultKind.PRESENT
    assert "/plain/listing/" in found.listing_url


@pytest.mark.parametrize(
    ("site", "kind"),
    [("long", ResultKind.PENDING_REVIEW), ("mail", ResultKind.PENDING_CONFIRMATION)],
)
async def test_a_verifier_tells_a_listing_that_waits_from_one_that_is_live(
    engine: Engine, sites: SandboxClient, site: str, kind: ResultKind
):
    await sites.fault(site, "drop_after_accept")
    await engine.attempt(_plan(sites, site), RecordingJournal())
    found = await engine.attempt(replace(_plan(sites, site), purpose="verify"), RecordingJournal())
    assert (found.kind, await accepted(sites, site)) == (kind, 1)


async def test_a_server_error_instead_of_an_answer_is_uncertain(engine: Engine, sites: SandboxClient):
    await sites.fault("plain", "status", place="answer", status=502)
    result = await engine.attempt(_plan(sites, "plain"), RecordingJournal())
    assert (result.kind, result.code, await accepted(sites, "plain")) == (ResultKind.UNCERTAIN, "http_502", 1)


async def test_a_429_to_the_post_proves_that_nothing_was_taken(engine: Engine, sites: SandboxClient):
    await sites.fault("plain", "status", place="post", status=429, retry_after_seconds=7)
    result = await engine.attempt(_plan(sites, "plain"), RecordingJournal())
    assert (result.kind, result.error_class) == (ResultKind.FAILED, job_pb2.ERROR_CLASS_THROTTLED)
    assert result.retry_after_seconds == 7


async def test_an_answer_that_never_comes_is_uncertain_in_time(engine: Engine, sites: SandboxClient):
    await sites.fault("plain", "hold_answer")
    timeouts = Timeouts(answer_seconds=1.0, settle_seconds=0.5)
    plan = replace(_plan(sites, "plain"), timeouts=timeouts)
    result = await engine.attempt(plan, RecordingJournal())
    await sites.release()
    assert (result.kind, result.sent) == (ResultKind.UNCERTAIN, True)
    assert await accepted(sites, "plain") == 1


async def test_a_form_page_that_never_comes_is_a_timeout(engine: Engine, sites: SandboxClient):
    await sites.fault("plain", "hold_form")
    plan = replace(_plan(sites, "plain"), timeouts=Timeouts(open_seconds=0.5))
    result = await engine.attempt(plan, RecordingJournal())
    await sites.release()
    assert (result.code, result.error_class) == ("navigation_timeout", job_pb2.ERROR_CLASS_TRANSIENT)


@pytest.mark.parametrize("site", ["plain", "already", "long"])
async def test_a_business_that_was_never_submitted_is_proven_absent(
    engine: Engine, sites: SandboxClient, site: str
):
    verify = replace(_plan(sites, site), purpose="verify")
    result = await engine.attempt(verify, RecordingJournal())
    assert (result.kind, await accepted(sites, site)) == (ResultKind.ABSENT, 0)


async def test_a_search_page_in_trouble_proves_nothing(engine: Engine, sites: SandboxClient):
    verify = replace(_plan(sites, "plain"), purpose="verify", search_url=f"{sites.origin}/plain/nowhere")
    result = await engine.attempt(verify, RecordingJournal())
    assert result.kind not in {ResultKind.ABSENT, ResultKind.PRESENT}
