"""Keeps what was decoded of the archive, up to a number of bytes; what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

CACHE_BYTES_MAX: Final = 64 * 1_048_576


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        ...


T = TypeVar("T", bound=Sized)


class PartCache:
    """Decoded parts by key."""

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        """Take how much to keep."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._parts: OrderedDict[Hashable, Sized] = OrderedDict()

    async def get(self, key: Hashable, kind: type[T], fetch: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept under a key, fetched when it is not."""
        kept = self._parts.get(key)
        if isinstance(kept, kind):
            self._parts.move_to_end(key)
            return kept
        part = await fetch()
        self._keep(key, part)
        return part

    def _keep(self, key: Hashable, part: Sized) -> None:
        old = self._parts.pop(key, None)
        self._bytes += part.size_bytes - (old.size_bytes if old else 0)
        self._parts[key] = part
        while self._bytes > self._bytes_max and len(self._parts) > 1:
            _, oldest = self._parts.popitem(last=False)
            self._bytes -= oldest.size_bytes
