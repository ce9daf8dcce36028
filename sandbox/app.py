"""The web application: nine sites, their index, and the admin API beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.admin import Admin
from sandbox.faults import Faults
from sandbox.pages import Pages
from sandbox.signals import Signals
from sandbox.sites import SITES
from sandbox.sites.site import Ground
from sandbox.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

_ROBOTS = "User-agent: *\nDisallow: /_sandbox/\n"


class Sandbox:
    """Everything that one process of stand-in directories consists of."""

    def __init__(self, folder: Path, *, slow_seconds: float = 3.0) -> None:
        self.ground = Ground(Storage(folder), Signals(), Faults(), Pages(), slow_seconds)
        self.sites = [site(self.ground) for site in SITES]
        routes = [
            Route("/", self.index),
            Route("/robots.txt", self.robots),
            Admin(self.ground, self.sites).mount(),
            *(site.mount() for site in self.sites),
        ]
        self.app = Starlette(routes=routes)

    async def index(self, _request: Request) -> Response:
        """The list of sites, for people who look around."""
        return self.ground.pages.page("index.html", 200, {"sites": [site.look for site in self.sites]})

    async def robots(self, _request: Request) -> Response:
        """What robots may visit."""
        return PlainTextResponse(_ROBOTS)

    def let_go(self) -> None:
        """Ends held requests and waits, so that the server can stop."""
        self.ground.faults.end()
        self.ground.signals.close()

    def close(self) -> None:
        """Closes storage."""
        self.ground.storage.close()
