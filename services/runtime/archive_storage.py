"""Where archived events are, as the configuration names it: a folder, an S3 address, or nowhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from eventstore.archive.opening import open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.archive.object_storage import ObjectStorage

#: Named, not imported: boto3 costs 30 MB, and who archives into a folder needs none of it.
S3_ADAPTER: Final = "services.runtime.object_storage_s3:open_storage"


@asynccontextmanager
async def open_archive(url: str) -> AsyncGenerator[ObjectStorage | None]:
    """Lend the storage at an address; None when it is empty: nothing is archived, or read from there.

    Errors: NoSuchStorage.
    """
    if not url:
        yield None
        return
    async with open_storage(url, S3_ADAPTER) as storage:
        yield storage
