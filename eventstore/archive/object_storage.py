"""The port of object storage: named bytes that are put once, read by ranges, and deleted in the end.

There is an adapter for folders beside it; one for a cloud's storage belongs to whoever runs the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventstore.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ObjectStorageUnavailable(StoreUnavailable):
    """The object storage does not answer, or refused; nothing is known to have changed."""


class ObjectStorage(Protocol):
    """Named objects below one address. Names are relative, with slashes between their parts."""

    def url_of(self, name: str) -> str:
        """Return the address of an object, for people."""
        ...

    async def put_if_absent(self, name: str, content: Path) -> bool:
        """Store a file's content under a name, whole or not at all; False when there is one already.

        When it returns, the object outlives a loss of power.
        Errors: ObjectStorageUnavailable.
        """
        ...

    async def read(self, name: str, start: int, length: int) -> bytes:
        """Return bytes of an object; fewer than `length` when the object, or the transfer, ended before.

        Errors: ObjectStorageUnavailable, also when there is no such object.
        """
        ...

    async def size_bytes(self, name: str) -> int | None:
        """Return how long an object is; None when there is none.

        Errors: ObjectStorageUnavailable.
        """
        ...

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with `prefix`, in order.

        Errors: ObjectStorageUnavailable.
        """
        ...

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error.

        Errors: ObjectStorageUnavailable.
        """
        ...
