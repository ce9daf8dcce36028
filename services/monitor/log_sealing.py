"""The loop that seals the log, and what its last round could not do."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.sealer import LogSealer
from eventstore.errors import EventStoreError, LogDamaged, SealConflict
from services.runtime.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.audit.seal_archive import SealArchive
    from services.runtime.config import LogSealConfig

#: How often is looked whether something is due; an event waits for its seal as long as the sealer says.
INTERVAL_SECONDS: Final = 5.0
_S3: Final = "s3://"


class LogSealing:
    """Seals the log, if there is a key; auditors check by the same key and archive."""

    def __init__(
        self,
        sealer: LogSealer | None = None,
        archive: SealArchive | None = None,
        keys: frozenset[bytes] = frozenset(),
    ) -> None:
        """Take what seals, where seals are kept, and the public keys that may have signed."""
        self.archive = archive
        self.keys = keys
        self.trouble = "" if sealer else "off: no key is configured"
        self._sealer = sealer

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, config: LogSealConfig) -> AsyncGenerator[LogSealing]:
        """Lend it, with the key that the configuration names; without one it does nothing.

        Errors: ConfigError when the file holds no key.
        """
        if config.key_file is None:
            yield cls()
            return
        signer = await _signer(config.key_file)
        async with AsyncExitStack() as stack:
            archive = await _archive(config.archive, stack)
            sealer = LogSealer(database_url, signer, archive)
            stack.push_async_callback(sealer.close)
            yield cls(sealer, archive, frozenset([signer.public_key]))

    async def run_once(self) -> bool:
        """Seal what is due; True when there may be more."""
        if self._sealer is None:
            return False
        try:
            more = await self._sealer.run_once()
        except (LogDamaged, SealConflict) as error:
            self.trouble = str(error)
            raise
        except (EventStoreError, OSError) as error:
            # What it says may name hosts and folders: that is for the log only.
            self.trouble = f"nothing is sealed ({type(error).__name__})"
            raise
        self.trouble = ""
        return more


async def _signer(path: Path) -> LocalSealSigner:
    try:
        return await LocalSealSigner.of_file(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"DIRECTORYBOLT_LOG_SEAL_KEY_FILE names {path}, which holds no key") from error


async def _archive(address: str, stack: AsyncExitStack) -> SealArchive | None:
    if not address:
        return None
    if not address.startswith(_S3):
        return DirectorySealArchive(Path(address))
    # boto3 costs 30 MB: who keeps seals in a folder needs none of it.
    from services.runtime.seal_archive_s3 import S3SealArchive  # noqa: PLC0415

    return await stack.enter_async_context(S3SealArchive.open(address))
