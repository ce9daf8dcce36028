"""A process that seals a log, three events at a time, until nothing is left; it says each round."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.sealer import LogSealer


async def main(url: str, folder: str) -> None:
    """Seal, and keep the seals in a folder."""
    archive = DirectorySealArchive(Path(folder))
    sealer = LogSealer(url, LocalSealSigner(bytes(range(32))), archive, interval_seconds=0, events_max=3)
    while await sealer.run_once():
        sys.stdout.write("sealed\n")
        sys.stdout.flush()
    await sealer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
