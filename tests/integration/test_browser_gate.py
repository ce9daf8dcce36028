"""The gate lets a form's request through while a permit is valid, once, and at no other time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from starlette.responses import RedirectResponse

from tests.fix_browser import serve, warm_pool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.submitter.browser_pool import BrowserPool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncGenerator[BrowserPool]:
    async with warm_pool() as warm:
        yield warm


_PLAIN = """<form method=post action=/take><input name=business value=Acme><button>Send</button></form>"""
_WAYS = {
    "navigation": _PLAIN,
    "fetch": "<button onclick=\"fetch('/take',{method:'POST',body:'x'})\">Send</button>",
    "keepalive": "<button onclick=\"fetch('/take',{method:'PUT',body:'x',keepalive:true})\">Send</button>",
    "xhr": "<button onclick=\"x=new XMLHttpRequest();x.open('POST','/take');x.send('x')\">Send</button>",
    "worker": """<button onclick="new Worker(window.URL.createObjectURL(new Blob(
        [`fetch('${location.origin}/take',{method:'POST',body:'x'})`])))">Send</button>""",
    "new window": """<form method=post action=/take target=_blank><button>Send</button></form>""",
    "frame": "<iframe name=f></iframe><form method=post action=/take target=f><button>Send</button></form>",
}


@pytest.mark.parametrize("way", list(_WAYS))
async def test_without_a_permit_nothing_that_submits_reaches_the_site(pool: BrowserPool, way: str):
    with serve({"/": _WAYS[way], "/take": "taken"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            await session.page.click("button")
            assert await session.gate.wait_until_tried(5)
            assert [held.reason for held in session.gate.held] == ["no_permit"]
        assert site.count("POST") + site.count("PUT") == 0


@pytest.mark.parametrize("way", list(_WAYS))
async def test_with_a_permit_the_request_arrives_and_is_recorded(pool: BrowserPool, way: str):
    with serve({"/": _WAYS[way], "/take": "taken"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.open(time.monotonic() + 10)
            await session.page.click("button")
            assert await session.gate.wait_until_tried(5)
            await session.gate.sent[0].answered.wait()
            assert (session.gate.sent[0].path, session.gate.sent[0].status) == ("/take", 200)
        assert site.count("POST") + site.count("PUT") == 1


async def test_an_expired_permit_holds_the_request_back(pool: BrowserPool):
    with serve({"/": _PLAIN, "/take": "taken"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.open(time.monotonic() - 0.001)
            await session.page.click("button")
            assert await session.gate.wait_until_tried(5)
            assert [held.reason for held in session.gate.held] == ["permit_expired"]
        assert site.count("POST") == 0


async def test_a_page_that_sends_twice_is_let_through_once(pool: BrowserPool):
    twice = "<button onclick=\"for(i=0;i<2;i++)fetch('/take',{method:'POST',body:'x'})\">Send</button>"
    with serve({"/": twice, "/take": "taken"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.open(time.monotonic() + 10)
            await session.page.click("button")
            await session.page.wait_for_function("performance.getEntriesByType('resource').length >= 1")
            await session.gate.sent[0].answered.wait()
            assert [held.reason for held in session.gate.held] == ["permit_used_up"]
        assert site.count("POST") == 1


async def test_a_beacon_sent_while_the_page_goes_away_is_silenced(pool: BrowserPool):
    leaving = """<script>addEventListener('pagehide',()=>{navigator.sendBeacon('/b','x');
        fetch('/k',{method:'POST',body:'x',keepalive:true})})</script>"""
    with serve({"/": leaving, "/next": "next"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            await session.page.goto(site.url + "/next")
        assert site.count("POST") == 0


async def test_a_get_form_is_held_like_any_other_once_it_is_filled(pool: BrowserPool):
    form = "<form action=/add><input name=n value='Acme &amp; Sons'><button>Send</button></form>"
    with serve({"/": form, "/add": "added"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.arm(["Acme & Sons"])
            await session.page.click("button")
            assert await session.gate.wait_until_tried(5)
            assert session.gate.sent == []
            assert len(session.gate.held) == 1
        assert site.count("GET", "/add") == 0


async def test_an_availability_check_by_get_is_no_submission(pool: BrowserPool):
    page = "<button onclick=\"fetch('/check?name=Acme+Ltd')\">Check</button>"
    with serve({"/": page, "/check": "free"}) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.arm(["Acme Ltd", "acme@example.com"])
            async with session.page.expect_response("**/check*"):
                await session.page.click("button")
        assert site.count("GET", "/check") == 1


async def test_tracking_posts_to_other_sites_do_not_use_the_permit_up(pool: BrowserPool):
    with serve({"/collect": "thanks"}) as tracker:
        page = f"""<form method=post action=/take><button onclick="fetch('{tracker.url}/collect'
            .replace('127.0.0.1','localhost'),{{method:'POST',body:'x',mode:'no-cors'}})">Send</button></form>"""
        with serve({"/": page, "/take": "taken"}) as site:
            async with pool.lease() as session:
                await session.page.goto(site.url)
                session.gate.open(time.monotonic() + 10)
                await session.page.click("button")
                await session.page.wait_for_url("**/take")
            assert (site.count("POST"), tracker.count("POST")) == (1, 0)


async def test_the_redirect_after_a_post_is_followed(pool: BrowserPool):
    pages = {"/": _PLAIN, "/take": RedirectResponse("/thanks", 303), "/thanks": "thank you"}
    with serve(pages) as site:
        async with pool.lease() as session:
            await session.page.goto(site.url)
            session.gate.open(time.monotonic() + 10)
            await session.page.click("button")
            await session.page.wait_for_url("**/thanks")
            assert session.gate.sent[0].status == 303
        assert site.count("POST") == 1
