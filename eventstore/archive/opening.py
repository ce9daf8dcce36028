"""Finds the object storage that an address stands for: a folder, or whatever an adapter knows."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from eventstore.archive.folder_storage import FolderStorage
from eventstore.errors import EventStoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    from eventstore.archive.object_storage import ObjectStorage


class NoSuchStorage(EventStoreError):
    """Nothing here knows that kind of address."""


@asynccontextmanager
async def open_storage(url: str, adapter: str = "") -> AsyncGenerator[ObjectStorage]:
    """Open the storage at a path, at a file: URL, or at an address that an adapter understands.

    `adapter` names it as `module:function`; the function takes the address and returns an async context
    manager of an ObjectStorage. So the store needs to know nobody's cloud.
    Errors: NoSuchStorage.
    """
    parts = urlsplit(url)
    if parts.scheme in {"", "file"}:
        yield FolderStorage(Path(unquote(parts.path) if parts.scheme else url))
        return
    async with _adapter(adapter, parts.scheme)(url) as storage:
        yield storage


def _adapter(name: str, scheme: str) -> Callable[[str], AbstractAsyncContextManager[ObjectStorage]]:
    module, _, function = name.partition(":")
    if not function:
        raise NoSuchStorage(f"a folder needs no adapter, but {scheme}: does: name one as module:function")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise NoSuchStorage(f"there is no adapter {name}: {error}") from error
