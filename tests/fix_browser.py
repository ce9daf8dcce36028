"""A warm browser pool, and a small web site that counts what reaches it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.submitter.addresses import AddressRules
from services.submitter.browser_pool import BrowserPool
from services.submitter.pool_config import PoolConfig

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Mapping

    from starlette.requests import Request

    Answer = str | Response | Callable[[Request], Response]


@dataclass
class CountingSite:
    """A web site whose pages are given by the test and whose own record says what arrived."""

    url: str = ""
    #: (method, path) of every request, in order of arrival.
    arrived: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def count(self, method: str, path: str | None = None) -> int:
        """How many requests of this method arrived (at this path)."""
        return sum(1 for got, at in self.arrived if got == method and path in {None, at})


def _application(site: CountingSite, pages: Mapping[str, Answer]) -> Starlette:
    async def answer(request: Request) -> Response:
        body = (await request.body()).decode(errors="replace")
        site.arrived.append((request.method, request.url.path))
        site.bodies.append(body)
        page = pages.get(f"{request.method} {request.url.path}", pages.get(request.url.path))
        if page is None:
            return Response(status_code=404)
        if isinstance(page, str):
            return HTMLResponse(page)
        return page if isinstance(page, Response) else page(request)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT"])])


@contextmanager
def serve(pages: Mapping[str, Answer]) -> Generator[CountingSite]:
    """Serve pages ("/path" or "POST /path" → HTML, response or function) on a free port."""
    site = CountingSite()
    ready = threading.Event()
    config = uvicorn.Config(_application(site, pages), port=0, log_level="error", ws="none", lifespan="off")
    server = _Announcing(config, ready)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(10), "the site did not start"
    site.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(10)


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


def pool_config(*sites: CountingSite | str, **changes: object) -> PoolConfig:
    """Build a pool's settings that allow these sites beside the public network."""
    urls = [site if isinstance(site, str) else site.url for site in sites]
    return PoolConfig(rules=AddressRules.of(*urls), **changes)  # pyright: ignore[reportArgumentType]


class AnyLocalSite(AddressRules):
    """Rules for tests that start their sites after the pool: loopback is allowed whole."""

    def allows_host(self, host: str, port: int) -> bool:
        """Allow loopback."""
        return host in {"127.0.0.1", "localhost"} or super().allows_host(host, port)


def warm_pool() -> BrowserPool:
    """Build a pool that may reach all of loopback; a module's tests share it through a fixture."""
    return BrowserPool(PoolConfig(rules=AnyLocalSite()))
