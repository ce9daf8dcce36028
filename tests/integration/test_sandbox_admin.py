"""The admin API counts, waits and breaks things to order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandbox.app import Sandbox
from sandbox.sample_profile import bakery
from tests.doubles.careful_visitor import FILLED

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.client import SandboxClient

pytest_plugins = ["tests.fix_sandbox"]


async def _send(sandbox: SandboxClient, site: str = "plain") -> httpx.Response:
    return await sandbox.web.post(f"/{site}/add", data=FILLED[site])


async def _count(sandbox: SandboxClient, site: str = "plain") -> int:
    return sum((await sandbox.counts(site)).values())


async def test_counts_are_kept_per_business_and_site(sandbox: SandboxClient):
    await _send(sandbox)
    await sandbox.web.post("/plain/add", data={**FILLED["plain"], "phone": "(555) 867 0142"})
    await sandbox.web.post("/plain/add", data={**FILLED["plain"], "business_name": "Other"})
    await _send(sandbox, "slow")

    assert await sandbox.counts("plain") == {"rosemary rye bakery|5558670142": 2, "other|5558670142": 1}
    assert await sandbox.counts("slow") == {"rosemary rye bakery|5558670142": 1}
    assert await sandbox.count("plain", name=bakery().business_name, phone=bakery().phone) == 2


async def test_a_ticked_newsletter_shows_in_the_record(sandbox: SandboxClient):
    await _send(sandbox)
    await sandbox.web.post("/plain/add", data={**FILLED["plain"], "newsletter": "1"})

    first, second = await sandbox.submissions("plain")
    assert "newsletter" not in first["fields"]
    assert second["fields"]["newsletter"] == ["1"]
    assert first["sequence"] < second["sequence"]
    assert first["accepted_at"] <= second["accepted_at"]


async def test_hits_are_counted_by_kind(sandbox: SandboxClient):
    await sandbox.web.get("/plain/add")
    await sandbox.web.get("/plain/search?q=x")
    await _send(sandbox)
    await sandbox.wait("plain", "answered")

    assert await sandbox.hits("plain") == {"GET form": 1, "GET search": 1, "POST submit": 1}
    events = await sandbox.events("plain")
    assert (events["form_served"], events["post_received"], events["accepted"]) == (1, 1, 1)


async def test_reset_forgets_everything(sandbox: SandboxClient):
    await _send(sandbox)
    await _send(sandbox, "mail")
    await sandbox.fault("plain", "status", status=500)

    await sandbox.reset()

    assert await _count(sandbox) == 0
    assert await sandbox.hits("plain") == {}
    assert await sandbox.mails("mail") == []
    assert (await sandbox.web.get("/plain/add")).status_code == 200


async def test_a_wait_ends_when_the_event_comes(sandbox: SandboxClient):
    waiting = asyncio.create_task(sandbox.wait("plain", "accepted", count=2))
    await _send(sandbox)
    assert not waiting.done()
    await _send(sandbox)

    await waiting


async def test_a_wait_says_what_was_seen_when_nothing_comes(sandbox: SandboxClient):
    await sandbox.web.get("/plain/add")

    with pytest.raises(TimeoutError, match="'form_served': 1"):
        await sandbox.wait("plain", "accepted", timeout_seconds=0.01)


async def test_a_held_form_comes_when_it_is_released(sandbox: SandboxClient):
    release_id = await sandbox.fault("plain", "hold_form")
    asking = asyncio.create_task(sandbox.web.get("/plain/add"))
    await sandbox.wait("plain", "held")
    assert (await sandbox.events("plain"))["form_served"] == 0

    assert await sandbox.release(release_id) == 1

    assert (await asking).status_code == 200
    await sandbox.wait("plain", "form_served")


async def test_a_held_answer_was_counted_before_it_comes(sandbox: SandboxClient):
    await sandbox.fault("plain", "hold_answer", release_id="mine")
    asking = asyncio.create_task(_send(sandbox))
    await sandbox.wait("plain", "held")

    assert await _count(sandbox) == 1
    assert (await sandbox.events("plain"))["answered"] == 0
    await sandbox.release("mine")
    assert (await asking).status_code == 200


async def test_a_hold_strikes_as_often_as_ordered(sandbox: SandboxClient):
    await sandbox.fault("plain", "hold_answer", times=2)
    asking = [asyncio.create_task(_send(sandbox)) for _ in range(3)]
    await sandbox.wait("plain", "held", count=2)
    await sandbox.wait("plain", "answered")

    assert await _count(sandbox) == 3
    await sandbox.release()
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 3


async def test_a_dropped_connection_was_counted_and_the_next_one_is_answered(sandbox: SandboxClient):
    await sandbox.fault("plain", "drop_after_accept")

    with pytest.raises(httpx.TransportError):
        await _send(sandbox)
    assert await _count(sandbox) == 1
    assert (await _send(sandbox)).status_code == 200
    assert await _count(sandbox) == 2


@pytest.mark.parametrize(("place", "form", "post", "count"), [("form", 503, 200, 1), ("post", 200, 503, 0)])
async def test_a_status_is_answered_where_it_was_ordered(
    sandbox: SandboxClient, place: str, form: int, post: int, count: int
):
    await sandbox.fault("plain", "status", place=place, status=503, retry_after_seconds=7)

    answers = await sandbox.web.get("/plain/add"), await _send(sandbox)

    assert [answer.status_code for answer in answers] == [form, post]
    assert [answer.headers["retry-after"] for answer in answers if answer.is_error] == ["7"]
    assert await _count(sandbox) == count


async def test_a_status_instead_of_the_answer_hides_that_the_post_was_taken(sandbox: SandboxClient):
    await sandbox.fault("scripted", "status", place="answer", status=502)

    answer = await sandbox.web.post("/scripted/api/places", json=FILLED["scripted"])

    assert answer.status_code == 502
    assert await _count(sandbox, "scripted") == 1


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"site": "nowhere", "kind": "status"}, "site must be one of"),
        ({"site": "plain", "kind": "flood"}, "kind must be one of"),
        ({"site": "plain", "kind": "status", "status": 200}, "status must be from 400"),
        ({"site": "plain", "kind": "hold_form", "times": "often"}, "times must be a number"),
        ({"site": "plain", "kind": "hold_form", "times": 0}, "times must be at least 1"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    sandbox: SandboxClient, order: dict[str, Any], complaint: str
):
    answer = await sandbox.web.post("/_sandbox/faults", json=order)

    assert answer.status_code == 400
    assert complaint in answer.json()["error"]
    assert (await sandbox.web.get("/plain/add")).status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
async def test_an_order_that_is_no_json_object_is_refused(sandbox: SandboxClient, body: bytes):
    assert (await sandbox.web.post("/_sandbox/faults", content=body)).status_code == 400


async def test_sites_tells_what_should_come_of_each(sandbox: SandboxClient):
    sites = (await sandbox.web.get("/_sandbox/sites")).json()["sites"]

    assert len(sites) == 9
    assert sites[7] == {
        "site": "mail",
        "name": "Hearth & High Street",
        "submission_url": f"{sandbox.origin}/mail/add",
        "expected_state": "SUBMISSION_STATE_PENDING_CONFIRMATION",
        "expected_count": 1,
    }


async def test_the_admin_api_answers_callers_on_this_machine_only(tmp_path: Path):
    sandbox = Sandbox(tmp_path)

    async def status(address: str) -> int:
        transport = httpx.ASGITransport(sandbox.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as web:
            return (await web.get("/_sandbox/counts")).status_code

    assert [await status(address) for address in ("127.0.0.1", "::1", "192.0.2.1")] == [200, 200, 403]
    sandbox.close()
