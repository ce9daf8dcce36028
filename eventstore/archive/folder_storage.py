"""Object storage in a folder: written beside, synced, and linked into place, so that no half object shows."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from typing import TYPE_CHECKING, Final

from eventstore.archive.object_storage import ObjectStorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

#: Names that end like this are being written, or were when somebody was killed.
_UNFINISHED: Final = ".unfinished"


class FolderStorage:
    """An ObjectStorage in a folder of a file system that has hard links."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when something is put."""
        self._folder = folder.absolute()

    def url_of(self, name: str) -> str:
        """Return the address of an object; see ObjectStorage."""
        return (self._folder / name).as_uri()

    async def put_if_absent(self, name: str, content: Path) -> bool:
        """Store a file's content under a name; see ObjectStorage."""
        return await _tried(lambda: _put(self._folder / name, content))

    async def read(self, name: str, start: int, length: int) -> bytes:
        """Return bytes of an object; see ObjectStorage."""
        return await _tried(lambda: _read(self._folder / name, start, length))

    async def size_bytes(self, name: str) -> int | None:
        """Return how long an object is; see ObjectStorage."""
        return await _tried(lambda: _size_bytes(self._folder / name))

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with `prefix`; see ObjectStorage."""
        return await _tried(lambda: [name for name in _names(self._folder) if name.startswith(prefix)])

    async def delete(self, name: str) -> None:
        """Delete an object; see ObjectStorage."""
        await _tried(lambda: _delete(self._folder / name))


async def _tried(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise ObjectStorageUnavailable(f"the archive's folder failed: {error}") from error


def _put(path: Path, content: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        with content.open("rb") as source, beside.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
    finally:
        beside.unlink(missing_ok=True)
    _sync_folders(path.parent)
    return True


def _sync_folders(folder: Path) -> None:
    # The folders above may be as new as the object: each holds the entry of the one below.
    for each in (folder, *folder.parents[:2]):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as source:
        source.seek(start)
        return source.read(length)


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _names(folder: Path) -> Sequence[str]:
    files = (each for each in folder.rglob("*") if each.is_file() and not each.name.endswith(_UNFINISHED))
    return sorted(each.relative_to(folder).as_posix() for each in files)


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
