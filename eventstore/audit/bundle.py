"""Writes a proof bundle: events, log seals, Merkle paths, the program that checks them, and a manifest.

It is written aside and put in its place whole, with the manifest last: what an export that broke off leaves
behind has another name and no manifest, and passes for no bundle.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tarfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from eventstore.audit import standalone
from eventstore.audit.log_seal import to_text
from eventstore.errors import EventStoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.audit.log_seal import LogSeal
    from eventstore.types import Position

TAR_SUFFIX: Final = ".tar"


class TargetTaken(EventStoreError):
    """Something of that name is there already; a bundle replaces nothing."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What a bundle holds."""

    scope: Mapping[str, object]
    events_count: int
    seals_count: int
    unsealed_count: int


@dataclass(slots=True)
class BundleWriter:
    """A bundle under way."""

    folder: Path
    events_count: int = 0
    seals_count: int = 0
    unsealed_count: int = 0
    _files: dict[str, IO[str]] = field(default_factory=dict[str, IO[str]])

    @classmethod
    def begin(cls, folder: Path) -> Self:
        """Make the folder and its empty files."""
        folder.mkdir(mode=0o700)
        writer = cls(folder)
        for name in (standalone.EVENTS, standalone.SEALS, standalone.PATHS):
            writer._files[name] = (folder / name).open("w", encoding="utf-8", newline="\n")
        return writer

    async def add_seal(self, seal: LogSeal) -> None:
        """Write a seal; they come in the order of lanes and numbers."""
        await self._write(standalone.SEALS, to_text(seal))
        self.seals_count += 1

    async def add_events(self, lines: Sequence[str], *, sealed: bool) -> None:
        """Write events; they come in the order of lanes and positions."""
        await self._write(standalone.EVENTS, "".join(lines))
        self.events_count += len(lines)
        self.unsealed_count += 0 if sealed else len(lines)

    async def add_path(self, position: Position, path: Sequence[bytes]) -> None:
        """Write the Merkle path of an event."""
        fields = {"lane": position.lane, "position": position.number, "path": [node.hex() for node in path]}
        await self._write(standalone.PATHS, json.dumps(fields) + "\n")

    async def finish(self, log_id: UUID, scope: Mapping[str, object], made_at: datetime) -> Exported:
        """Write the rest, the manifest last."""
        await asyncio.to_thread(self._finish, log_id, scope, made_at)
        return Exported(scope, self.events_count, self.seals_count, self.unsealed_count)

    async def _write(self, name: str, text: str) -> None:
        await asyncio.to_thread(self._files[name].write, text)

    def _finish(self, log_id: UUID, scope: Mapping[str, object], made_at: datetime) -> None:
        self.close()
        shutil.copyfile(Path(standalone.__file__), self.folder / standalone.OWN_NAME)
        manifest = {
            "format": standalone.FORMAT,
            "log_id": str(log_id),
            "scope": scope,
            "events_count": self.events_count,
            "seals_count": self.seals_count,
            "made_at": made_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "files": {name: standalone.measured(self.folder / name) for name in sorted(standalone.FILES)},
        }
        content = json.dumps(manifest, indent=2) + "\n"
        digest = hashlib.sha256(content.encode()).hexdigest()
        (self.folder / standalone.MANIFEST_DIGEST).write_text(f"{digest}  {standalone.MANIFEST}\n")
        (self.folder / standalone.MANIFEST).write_text(content, encoding="utf-8")
        for path in self.folder.iterdir():
            _sync(path)

    def close(self) -> None:
        """Close the files."""
        for each in self._files.values():
            each.close()


@asynccontextmanager
async def bundle_at(target: Path) -> AsyncGenerator[BundleWriter]:
    """Lend a writer; on leaving in good order the bundle is put at `target`, a folder or a .tar file.

    Errors: TargetTaken; OSError.
    """
    await asyncio.to_thread(_refuse_taken, target)
    aside = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    writer = await asyncio.to_thread(BundleWriter.begin, aside)
    try:
        yield writer
        await asyncio.to_thread(_publish, aside, target)
    finally:
        writer.close()
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)


def _refuse_taken(target: Path) -> None:
    if target.exists():
        raise TargetTaken(f"{target} is there already; a bundle replaces nothing")


def _publish(folder: Path, target: Path) -> None:
    if target.suffix != TAR_SUFFIX:
        folder.rename(target)
        return
    packed = folder / f"bundle{TAR_SUFFIX}"
    with tarfile.open(packed, "w") as tar:
        for path in sorted(folder.iterdir()):
            if path != packed:
                tar.add(path, path.name)
    _sync(packed)
    packed.rename(target)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
