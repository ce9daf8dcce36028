"""A process that archives everything due, and kills itself at a named step: SIGKILL, as the kernel would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from eventstore.archive.archiver import Archiver, Progress
from eventstore.archive.folder_storage import FolderStorage
from eventstore.postgres import PostgresEventStore


async def main(url: str, folder: str, last_step: str) -> None:
    """Archive until the step."""

    def _die_at_last_step(progress: Progress) -> None:
        if progress.step.value == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    storage = FolderStorage(Path(folder))
    async with PostgresEventStore.open(url, cold=storage) as store:
        archiver = Archiver(store, url, storage, told=_die_at_last_step)
        for each in await archiver.due(timedelta()):
            await archiver.archive(each)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
