"""The pool is warm, heals itself, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Error as PlaywrightError
from starlette.responses import RedirectResponse

from services.submitter.addresses import AddressRules
from services.submitter.browser_flags import OWNER_SWITCH
from services.submitter.browser_pool import BrowserPool, BrowserUnavailable
from services.submitter.process_table import is_alive, marked, running
from tests.fix_browser import pool_config, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_MINE = f"{OWNER_SWITCH}{os.getpid()}."


def _browser_pids() -> list[int]:
    """List the browsers; Debian's command is a shell script that waits for the real one."""
    return [row.pid for row in marked(_MINE) if not row.command.startswith("/bin/sh")]


def _driver_pid() -> int:
    rows = marked(_MINE)
    return next(row.parent_pid for row in rows if row.parent_pid not in {each.pid for each in rows})


async def _eventually(condition: Callable[[], bool], seconds_max: float = 20.0) -> None:
    async with asyncio.timeout(seconds_max):
        while not condition():  # noqa: ASYNC110 - the thing awaited is another process
            await asyncio.sleep(0.02)


async def test_a_warm_session_is_handed_out_at_once_and_sessions_share_nothing():
    with serve({"/": "<script>document.cookie='seen=1'</script>"}) as site:
        async with BrowserPool(pool_config(site)) as pool:
            await _eventually(lambda: pool.statistics.sessions_ready == 2)
            began = time.perf_counter()
            async with pool.lease() as first:
                assert time.perf_counter() - began < 0.05
                await first.page.goto(site.url)
                assert await first.page.evaluate("document.cookie") == "seen=1"
            async with pool.lease() as second:
                await second.page.goto(f"{site.url}/none")
                assert await second.page.evaluate("document.cookie") == ""
        assert _browser_pids() == []


async def test_a_killed_browser_fails_its_attempt_and_the_pool_heals():
    with serve({"/": "hello"}) as site:
        async with BrowserPool(pool_config(site)) as pool:
            async with pool.lease() as session:
                os.kill(_browser_pids()[0], signal.SIGKILL)
                with pytest.raises(PlaywrightError):
                    await session.page.goto(site.url)
            async with pool.lease() as session:
                answer = await session.page.goto(site.url)
                assert answer is not None
                assert answer.ok
            assert pool.statistics.browsers_lost == 1


async def test_a_frozen_browser_is_killed_and_replaced():
    with serve({"/": "hello"}) as site:
        async with BrowserPool(pool_config(site, sessions_warm=1, operation_seconds=1.0)) as pool:
            async with pool.lease():
                frozen = _browser_pids()
                for pid in frozen:
                    os.kill(pid, signal.SIGSTOP)
            await _eventually(lambda: not any(map(is_alive, frozen)))
            for _ in range(2):
                async with pool.lease() as session:
                    await session.page.goto(site.url)


async def test_a_killed_driver_is_replaced_too():
    with serve({"/": "hello"}) as site:
        async with BrowserPool(pool_config(site)) as pool:
            async with pool.lease():
                os.kill(_driver_pid(), signal.SIGKILL)
            async with pool.lease() as session:
                await session.page.goto(site.url)
        assert _browser_pids() == []


async def test_a_browser_is_replaced_after_its_uses():
    with serve({"/": "hello"}) as site:
        async with BrowserPool(pool_config(site, uses_max=2, sessions_warm=1)) as pool:
            for _ in range(5):
                async with pool.lease() as session:
                    await session.page.goto(site.url)
            await _eventually(lambda: pool.statistics.browsers_started >= 3 and len(_browser_pids()) == 1)
            assert pool.statistics.browsers_lost == 0


async def test_a_taker_gives_up_when_no_session_is_ready_in_time():
    async with BrowserPool(pool_config(sessions_warm=0, acquire_seconds=0.05)) as pool:
        with pytest.raises(BrowserUnavailable):
            async with pool.lease():
                pass


_OWNER = """
import asyncio
from services.submitter.browser_pool import BrowserPool
async def main():
    async with BrowserPool() as pool:
        async with pool.lease():
            print("ready", flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["running", "frozen"])
async def test_no_browser_outlives_a_killed_worker(state: str):
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert worker.stdout is not None
    while (await worker.stdout.readline()).strip() != b"ready":
        assert worker.returncode is None
    mark = f"{OWNER_SWITCH}{worker.pid}."
    family = _family(row.pid for row in marked(mark))
    if state == "frozen":
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
    worker.kill()
    await worker.wait()
    if state == "frozen":
        # The next worker on the machine sweeps what its predecessor could not end.
        async with BrowserPool(pool_config()):
            await _eventually(lambda: not marked(mark))
    await _eventually(lambda: not any(pid in {row.pid for row in running()} for pid in family))


def _family(roots: Iterable[int]) -> list[int]:
    family = list(roots)
    for pid in family:
        family.extend(row.pid for row in running() if row.parent_pid == pid and row.pid not in family)
    return family


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8999/",
        "http://localhost:8999/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[::1]:8999/",
        "http://0.0.0.0:8999/",
        "http://2130706433:8999/",
        "http://[::ffff:10.0.0.1]/",
    ],
)
async def test_private_addresses_are_refused_after_resolution(address: str):
    async with BrowserPool(pool_config(sessions_warm=1)) as pool, pool.lease() as session:
        answer = await session.page.goto(address)
        assert answer is not None
        assert answer.headers["x-directorybolt-egress"] == "address_refused"


async def test_a_redirect_to_a_private_address_is_refused():
    with serve({"/": "secret"}) as inner:
        with serve({"/": RedirectResponse(inner.url)}) as outer:
            async with BrowserPool(pool_config(outer, sessions_warm=1)) as pool, pool.lease() as session:
                answer = await session.page.goto(outer.url)
                assert answer is not None
                assert answer.status == 403
        assert inner.arrived == []


async def test_files_and_sockets_are_out_of_reach():
    with serve({"/": "hello"}) as site:
        async with BrowserPool(pool_config(site)) as pool:
            async with pool.lease() as session:
                with pytest.raises(PlaywrightError):
                    await session.page.goto("file:///etc/passwd")
            async with pool.lease() as session:
                await session.page.goto(site.url)
                address = site.url.replace("http", "ws")
                closed = f"new Promise(done=>{{const s=new WebSocket('{address}');s.onclose=()=>done(1)}})"
                assert await session.page.evaluate(closed) == 1
        assert site.arrived == [("GET", "/")]


def test_rules_name_origins_not_whole_hosts():
    rules = AddressRules.of("http://127.0.0.1:8080/path")
    assert rules.allows_host("127.0.0.1", 8080)
    assert not rules.allows_host("127.0.0.1", 8081)


@pytest.mark.parametrize(("path", "code"), [("", 0), ("/nowhere/chromium", 3)])
async def test_finding_a_browser_says_where_it_is_or_what_to_do(path: str, code: int):
    found = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.submitter.find_browser"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **({"DIRECTORYBOLT_CHROMIUM": path} if path else {})},
    )
    out, err = await found.communicate()
    assert found.returncode == code, err
    assert len((out or err).decode().splitlines()) == 1


async def test_a_pool_that_was_closed_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with BrowserPool(pool_config()) as pool, pool.lease() as session:
        await session.page.goto("about:blank")
    assert _names_in(tmp_path) == []


def _names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]
