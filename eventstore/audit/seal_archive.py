"""Where log seals are kept outside of the database, written once: a port, and an adapter for a folder.

Somebody who owns the database can rewrite it with all its seals; what lies elsewhere he does not reach.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from eventstore.audit.log_seal import UnreadableLogSeal, of_text, to_text
from eventstore.errors import SealConflict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventstore.audit.log_seal import LogSeal

_SEALS_PER_FOLDER: Final = 10_000
_SUFFIX: Final = ".json"


class SealArchive(Protocol):
    """A place that takes each seal once and never changes it."""

    async def add(self, seal: LogSeal) -> None:
        """Keep a seal; the same one twice is no error.

        Errors: SealConflict when another of its number stands there; SealArchiveUnavailable; OSError.
        """
        ...

    async def last_number(self, lane: int) -> int:
        """Return the highest number kept of a lane; 0 when there is none."""
        ...

    async def read(self, lane: int, numbers: Sequence[int]) -> Sequence[LogSeal | None]:
        """Return the seals of these numbers, None for what is not there.

        Errors: SealConflict when what lies there is no seal.
        """
        ...


def relative_path(lane: int, number: int) -> str:
    """Return where a seal lies within an archive: sorted by number, and never too many in one folder."""
    return f"{folder_of(lane)}/{number // _SEALS_PER_FOLDER:08}/{number:012}{_SUFFIX}"


def folder_of(lane: int) -> str:
    """Return the folder of a lane's seals."""
    return f"lane-{lane}"


def number_of(path: str) -> int:
    """Return the number of the seal at a path; 0 when none lies there."""
    stem = path.rpartition("/")[2].removesuffix(_SUFFIX)
    return int(stem) if stem.isdecimal() and path.endswith(_SUFFIX) else 0


def read_seal(text: str, place: str) -> LogSeal:
    """Return the seal that was kept at a place.

    Errors: SealConflict when it is none.
    """
    try:
        return of_text(text)
    except UnreadableLogSeal:
        raise SealConflict(f"{place} holds no log seal") from None


class DirectorySealArchive:
    """An archive in a folder: files that are written whole, once, and may only be read from then on."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when needed."""
        self._folder = folder

    async def add(self, seal: LogSeal) -> None:
        """Keep a seal; see SealArchive."""
        path = self._folder / relative_path(seal.lane, seal.number)
        if not await asyncio.to_thread(_write_once, path, to_text(seal)):
            raise SealConflict(f"lane {seal.lane}: the archive holds another log seal {seal.number} already")

    async def last_number(self, lane: int) -> int:
        """Return the highest number kept of a lane; see SealArchive."""
        return await asyncio.to_thread(_last_number, self._folder / folder_of(lane))

    async def read(self, lane: int, numbers: Sequence[int]) -> Sequence[LogSeal | None]:
        """Return the seals of these numbers; see SealArchive."""
        paths = [self._folder / relative_path(lane, number) for number in numbers]
        return await asyncio.to_thread(lambda: [_read(path) for path in paths])


def _write_once(path: Path, text: str) -> bool:
    """Write aside, then link: a file of that name is never half written, and never replaced.

    False when there is another text under that name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    _sync_folder(path.parent)
    return path.read_text(encoding="ascii", errors="replace") == text


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_number(folder: Path) -> int:
    names = [path.name for path in folder.glob("*") if path.is_dir()] if folder.is_dir() else []
    for name in sorted(names, reverse=True):
        last = max((number_of(path.name) for path in (folder / name).iterdir()), default=0)
        if last:
            return last
    return 0


def _read(path: Path) -> LogSeal | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    return read_seal(text, str(path))
