"""Reads one archived object by row groups, and believes no byte that its digest does not vouch for."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

from eventstore.archive.object_storage import ObjectStorageUnavailable
from eventstore.archive.parquet_reader import Footer
from eventstore.errors import ArchiveDamaged

if TYPE_CHECKING:
    from eventstore.archive.archived import ArchivedObject
    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.archive.parquet_writer import Span

#: A transfer may be cut short; an object that is damaged stays so.
_TRIES: Final = 3


class ColdFile:
    """An archived object, its footer fetched once."""

    def __init__(self, storage: ObjectStorage, found: ArchivedObject) -> None:
        """Take the storage, and what the database knows of the object."""
        self._storage = storage
        self._object = found
        self._footer: Footer | None = None

    async def table(self, number: int, span: Span, first_position: int, last_position: int) -> Any:
        """Return a row group, decoded.

        Errors: ArchiveDamaged naming the positions; ObjectStorageUnavailable.
        """
        footer = self._footer
        if footer is None:
            content = await self._vouched(self._object.footer, first_position, last_position)
            footer = self._footer = await asyncio.to_thread(Footer, content, self._object.size_bytes)
        content = await self._vouched(span, first_position, last_position)
        return await asyncio.to_thread(footer.table, number, span.start, content)

    async def _vouched(self, span: Span, first_position: int, last_position: int) -> bytes:
        content = b""
        for _ in range(_TRIES):
            content = await self._storage.read(self._object.name, span.start, span.length)
            digest = await asyncio.to_thread(hashlib.sha256, content)
            if digest.digest() == span.sha256:
                return content
        url = self._storage.url_of(self._object.name)
        whole = await self._storage.size_bytes(self._object.name) == self._object.size_bytes
        if whole and len(content) < span.length:
            raise ObjectStorageUnavailable(f"reading {url} ends early, again and again")
        raise ArchiveDamaged(url, first_position, last_position)
