"""The vault of a process, with the keys that its configuration names."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from services.runtime.config import ConfigError
from services.runtime.master_key_kms import KmsMasterKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from eventstore.privacy.master_key import MasterKey
    from services.runtime.config import CertificateConfig, MasterKeyConfig, SealingConfig


@asynccontextmanager
async def vault_of(database_url: str, config: SealingConfig) -> AsyncGenerator[Vault]:
    """Lend the vault; it connects to the database when used first.

    Errors: ConfigError when a key file does not hold 64 hexadecimal digits; MasterKeyUnavailable.
    """
    async with (
        master_keys_of(config) as (master_key, *former),
        Vault(database_url, master_key, former=former) as vault,
    ):
        yield vault


@asynccontextmanager
async def master_keys_of(config: SealingConfig) -> AsyncGenerator[Sequence[MasterKey]]:
    """Lend the master keys, the one that new keys are wrapped by first.

    Errors: ConfigError when a key file does not hold 64 hexadecimal digits; MasterKeyUnavailable.
    """
    async with AsyncExitStack() as stack:
        yield [await _open(each, stack) for each in (config.master_key, config.former) if each is not None]


def certificate_signer_of(config: CertificateConfig) -> LocalSealSigner:
    """Return what signs certificates of erasure.

    Errors: ConfigError when the key file does not hold 64 hexadecimal digits.
    """
    try:
        return LocalSealSigner(bytes.fromhex(config.key.decode("ascii")))
    except ValueError as error:
        raise ConfigError("DIRECTORYBOLT_CERTIFICATE_KEY_FILE has to hold 64 hexadecimal digits") from error


async def _open(config: MasterKeyConfig, stack: AsyncExitStack) -> MasterKey:
    if config.kms_key:
        kept = await KmsMasterKey.open(config.kms_key)
        stack.callback(kept.close)
        return kept
    try:
        return LocalMasterKey(bytes.fromhex(config.local_key.decode("ascii")))
    except ValueError as error:
        raise ConfigError(f"{config.variable} has to hold 64 hexadecimal digits") from error
