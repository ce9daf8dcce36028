"""The sites' record, asked over HTTP: for the demo and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx

from sandbox.business import business_key

if TYPE_CHECKING:
    from typing import Self

_ADMIN = "/_sandbox"
_MARGIN_SECONDS = 5.0


class SandboxClient:
    """The admin API of a running sandbox, and its pages through `web`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        #: A visitor without cookies of before, who does not follow redirects by itself.
        self.web = httpx.AsyncClient(base_url=origin, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.web.aclose()

    async def counts(self, site: str) -> dict[str, int]:
        """Accepted POSTs of a site per business; empty when there is none."""
        found = (await self._get("counts", site=site))["counts"]
        return cast("dict[str, dict[str, int]]", found).get(site, {})

    async def count(self, site: str, *, name: str, phone: str) -> int:
        """Accepted POSTs of a site for one business."""
        return (await self.counts(site)).get(business_key(name, phone), 0)

    async def submissions(self, site: str) -> list[dict[str, Any]]:
        """Accepted POSTs of a site with all their fields, in order."""
        return (await self._get("submissions", site=site))["submissions"]

    async def mails(self, site: str) -> list[dict[str, Any]]:
        """Letters that a site has sent, in order."""
        return (await self._get("mails", site=site))["mails"]

    async def hits(self, site: str) -> dict[str, int]:
        """Requests to a site by kind, such as "GET form"."""
        return (await self._get("hits", site=site))["hits"][site]

    async def events(self, site: str) -> dict[str, int]:
        """What a site has announced, each with its count."""
        return (await self._get("hits", site=site))["events"][site]

    async def wait(self, site: str, event: str, count: int = 1, timeout_seconds: float = 20) -> None:
        """Waits until a site has announced an event so often.

        Errors: TimeoutError, with what was seen instead.
        """
        answer = await self._get(
            "wait", timeout_seconds, site=site, event=event, count=count, timeout=timeout_seconds
        )
        if not answer["reached"]:
            seen = await self.events(site)
            raise TimeoutError(f"{site}: no {count} x {event} in {timeout_seconds} s; seen: {seen}")

    async def fault(self, site: str, kind: str, **order: Any) -> str:
        """Orders a fault; returns its release id."""
        return (await self._post("faults", {"site": site, "kind": kind, **order}))["release_id"]

    async def release(self, release_id: str | None = None) -> int:
        """Lets held requests of one fault go on, or of all; returns how many faults ended."""
        order = {} if release_id is None else {"release_id": release_id}
        return (await self._post("release", order))["released"]

    async def reset(self) -> None:
        """Makes the sites forget everything."""
        await self._post("reset", {})

    async def _get(self, path: str, wait_seconds: float = 0, **query: Any) -> dict[str, Any]:
        timeout = httpx.Timeout(wait_seconds + _MARGIN_SECONDS)
        return _answer(await self.web.get(f"{_ADMIN}/{path}", params=query, timeout=timeout))

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _answer(await self.web.post(f"{_ADMIN}/{path}", json=body))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise ValueError(f"sandbox: {response.status_code} {response.text}")
    return response.json()
