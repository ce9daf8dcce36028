"""The vault of a process, with the master key that its configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.master_key import LocalMasterKey
from eventstore.vault import Vault
from services.runtime.config import ConfigError

if TYPE_CHECKING:
    from services.runtime.config import SealingConfig


def vault_of(database_url: str, config: SealingConfig) -> Vault:
    """Return the vault; it connects when used first, and is closed by leaving its context.

    Errors: ConfigError when the key file does not hold 64 hexadecimal digits.
    """
    try:
        return Vault(database_url, LocalMasterKey(bytes.fromhex(config.master_key.decode("ascii"))))
    except ValueError as error:
        raise ConfigError("DIRECTORYBOLT_MASTER_KEY_FILE has to hold 64 hexadecimal digits") from error
