"""The admin API under `/_sandbox/`: counters, waits and faults, for callers on this machine only."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox.faults import Fault, FaultKind, Place
from sandbox.signals import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from enum import StrEnum

    from starlette.requests import Request

    from sandbox.sites.site import Ground, Site

    _Chosen = TypeVar("_Chosen", bound=StrEnum)

_WAIT_SECONDS = 30.0
_WAIT_SECONDS_MAX = 300.0
_STATUSES = range(400, 600)


class BadRequest(Exception):
    """The admin API was asked for something that it does not have."""


class Admin:
    """The endpoints, and the rule who may call them."""

    def __init__(self, ground: Ground, sites: Sequence[Site]) -> None:
        self._ground = ground
        self._sites = {site.slug: site for site in sites}

    def mount(self) -> Mount:
        """The endpoints under their prefix."""
        gets = {
            "counts": self.counts,
            "submissions": self.submissions,
            "mails": self.mails,
            "hits": self.hits,
            "sites": self.sites,
            "wait": self.wait,
        }
        posts = {"reset": self.reset, "faults": self.order_fault, "release": self.release}
        return Mount(
            "/_sandbox",
            routes=[
                *(Route(f"/{name}", _guarded(handler), methods=["GET"]) for name, handler in gets.items()),
                *(Route(f"/{name}", _guarded(handler), methods=["POST"]) for name, handler in posts.items()),
            ],
        )

    async def counts(self, request: Request) -> dict[str, Any]:
        """Accepted POSTs per site and business."""
        return {"counts": self._ground.storage.counts(self._site(request.query_params.get("site")))}

    async def submissions(self, request: Request) -> dict[str, Any]:
        """Accepted POSTs with all their fields."""
        rows = self._ground.storage.submissions(self._site(request.query_params.get("site")))
        return {"submissions": [asdict(row) for row in rows]}

    async def mails(self, request: Request) -> dict[str, Any]:
        """The outbox."""
        mails = self._ground.storage.mails(self._site(request.query_params.get("site")))
        return {"mails": [asdict(mail) for mail in mails]}

    async def hits(self, request: Request) -> dict[str, Any]:
        """Requests by kind and announced events of each site, since start or reset."""
        chosen = self._site(request.query_params.get("site"))
        names = [chosen] if chosen else list(self._sites)
        signals = self._ground.signals
        return {
            "hits": {name: signals.hits(name) for name in names},
            "events": {name: signals.events(name) for name in names},
        }

    async def sites(self, request: Request) -> dict[str, Any]:
        """The nine, and what should come of a submission to each."""
        origin = str(request.base_url).rstrip("/")
        return {
            "sites": [
                {
                    "site": site.slug,
                    "name": site.look.brand,
                    "submission_url": f"{origin}/{site.slug}/add",
                    "expected_state": site.outcome,
                    "expected_count": site.count,
                }
                for site in self._sites.values()
            ]
        }

    async def wait(self, request: Request) -> dict[str, Any]:
        """Answers when a site has seen an event often enough, or when the time is up."""
        query = request.query_params
        site, event = self._one_site(query.get("site")), _chosen(Event, "event", query.get("event"))
        count = _number("count", query.get("count", "1"), 1)
        seconds = _number("timeout", query.get("timeout", str(_WAIT_SECONDS)), 0)
        reached = await self._ground.signals.reached(site, event, int(count), min(seconds, _WAIT_SECONDS_MAX))
        return {"reached": reached, "count": self._ground.signals.count(site, event)}

    async def reset(self, _request: Request) -> dict[str, Any]:
        """Forgets everything, and lets held requests go on."""
        self._ground.faults.release()
        self._ground.storage.reset()
        self._ground.signals.clear()
        for site in self._sites.values():
            site.reset()
        return {}

    async def order_fault(self, request: Request) -> dict[str, Any]:
        """Orders a fault; the answer names it for its release."""
        order = await _object(request)
        fault = Fault(
            site=self._one_site(order.get("site")),
            kind=_chosen(FaultKind, "kind", order.get("kind")),
            release_id=str(order.get("release_id") or self._ground.faults.next_release_id()),
            times=int(_number("times", order.get("times", 1), 1)),
            place=_chosen(Place, "place", order.get("place", Place.FORM)),
            status=int(_number("status", order.get("status", 503), 0)),
        )
        if fault.status not in _STATUSES:
            raise BadRequest("status must be from 400 to 599")
        if "retry_after_seconds" in order:
            fault.retry_after_seconds = int(_number("retry_after_seconds", order["retry_after_seconds"], 0))
        self._ground.faults.add(fault)
        return {"release_id": fault.release_id}

    async def release(self, request: Request) -> dict[str, Any]:
        """Lets held requests go on and withdraws their faults, chosen by release id, by site, or all."""
        order = await _object(request)
        release_id = order.get("release_id")
        released = self._ground.faults.release(
            release_id=None if release_id is None else str(release_id), site=self._site(order.get("site"))
        )
        return {"released": released}

    def _site(self, name: object) -> str | None:
        return None if name is None else self._one_site(name)

    def _one_site(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._sites:
            raise BadRequest(f"site must be one of {', '.join(self._sites)}")
        return name


def _guarded(
    handler: Callable[[Request], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not _is_local(request):
            return JSONResponse({"error": "the admin API answers callers on this machine only"}, 403)
        try:
            return JSONResponse(await handler(request))
        except BadRequest as refusal:
            return JSONResponse({"error": str(refusal)}, 400)

    return endpoint


def _is_local(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


async def _object(request: Request) -> dict[str, Any]:
    try:
        body: object = await request.json() if await request.body() else {}
    except (JSONDecodeError, UnicodeDecodeError) as trouble:
        raise BadRequest("the body must be JSON") from trouble
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return cast("dict[str, Any]", body)


def _chosen(kind: type[_Chosen], name: str, value: object) -> _Chosen:
    try:
        return kind(str(value))
    except ValueError as trouble:
        raise BadRequest(f"{name} must be one of {', '.join(kind)}") from trouble


def _number(name: str, value: object, least: float) -> float:
    try:
        number = float(str(value))
    except ValueError as trouble:
        raise BadRequest(f"{name} must be a number") from trouble
    if not number >= least:
        raise BadRequest(f"{name} must be at least {least:g}")
    return number
