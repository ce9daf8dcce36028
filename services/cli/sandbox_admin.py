"""What the sandbox sites say of themselves, over their admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

_WAIT_SECONDS: Final = 60


class SandboxAdmin:
    """Asks the sandbox."""

    def __init__(self, origin: str) -> None:
        self._base = f"{origin}/_sandbox"

    async def counts(self) -> Mapping[str, int]:
        """Return the POSTs that each site has accepted."""
        answer = await self._get("counts", {})
        return {site: sum(businesses.values()) for site, businesses in answer["counts"].items()}

    async def form_served(self, site: str) -> bool:
        """Return once a site has served its form; False when it did not within a minute."""
        query = {"site": site, "event": "form_served", "count": "1", "timeout": str(_WAIT_SECONDS)}
        answer = await self._get("wait", query)
        return bool(answer["reached"])

    async def _get(self, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=_WAIT_SECONDS + 10, trust_env=False) as client:
            answer = await client.get(f"{self._base}/{name}", params=dict(query))
            answer.raise_for_status()
            return answer.json()
