"""Find out who calls, and whether the method is for them.

Keys of staff and services come from key files and are compared in constant time; keys of customers are
looked up. Every failure reads the same, so that nobody learns which half of a key was wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.domain.errors import ApiKeyInvalid, ScopeMissing
from services.runtime.access import ACCESS, is_open
from services.runtime.api_key import ApiKey, bearer_text
from services.runtime.principal import Kind, Principal, become

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from services.runtime.interceptors.layer import Call

    #: Returns whose key it is; None when it is unknown, wrong, expired or revoked.
    VerifyKey = Callable[[ApiKey], Awaitable[Principal | None]]


class Authenticate:
    """Sets the principal of the call."""

    def __init__(self, *, staff_key: str, service_key: str, verify_key: VerifyKey) -> None:
        self._file_keys = (
            (_hash(staff_key), Principal(Kind.STAFF, None, _name(staff_key, "staff"))),
            (_hash(service_key), Principal(Kind.SERVICE, None, _name(service_key, "service"))),
        )
        self._verify_key = verify_key

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Run the call as its caller.

        Errors: ApiKeyInvalid, ScopeMissing.
        """
        if call.known and not is_open(call.method):
            principal = await self._principal(bearer_text(call.metadata.get("authorization")))
            if principal.kind not in ACCESS.get(call.method, frozenset()):
                raise ScopeMissing(method=call.method, kind=principal.kind.value)
            become(principal)
        yield

    async def _principal(self, offered: str) -> Principal:
        offered_hash = _hash(offered)
        for known_hash, principal in self._file_keys:
            if hmac.compare_digest(offered_hash, known_hash):
                return principal
        key = ApiKey.parse(offered)
        principal = None if key is None else await self._verify_key(key)
        if principal is None:
            raise ApiKeyInvalid
        return principal


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _name(key: str, otherwise: str) -> str:
    parsed = ApiKey.parse(key)
    return parsed.key_id if parsed else otherwise
