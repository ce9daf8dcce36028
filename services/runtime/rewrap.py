"""Wrap every customer's key by the new master key: `python -m services.runtime.rewrap`.

The environment names the database and both master keys, as it does for the services:
DIRECTORYBOLT_MASTER_KEY_FILE or _KMS the new one, DIRECTORYBOLT_FORMER_MASTER_KEY_FILE or _KMS the old.
docs/how_to/erase_a_customer.md has the order of steps.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore.errors import EventStoreError
from eventstore.privacy.rewrap import rewrap
from services.runtime.config import ConfigError, Environment, SealingConfig
from services.runtime.sealing import master_keys_of

if TYPE_CHECKING:
    from collections.abc import Callable

_EXIT_FAILED = 3


async def rewrap_all(environment: Environment, report: Callable[[int, int], None]) -> int:
    """Rewrap what the former master key wrapped, and return how many keys that were.

    Errors: ConfigError; MasterKeyMissing; MasterKeyUnavailable; StoreUnavailable; InvalidTag.
    """
    config = SealingConfig.read(environment)
    if config.former is None:
        raise ConfigError(
            "name the master key to change from in DIRECTORYBOLT_FORMER_MASTER_KEY_FILE or _KMS"
        )
    async with master_keys_of(config) as (master_key, *former):
        return await rewrap(environment.text("DATABASE_URL"), master_key, former, report)


def main() -> None:
    """Rewrap and say how far it is; run again, it goes on where it was stopped."""
    columns = (TextColumn("rewrapping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("rewrapping")

            def _report(done: int, left: int) -> None:
                progress.update(task, completed=done, total=done + left)

            done = asyncio.run(rewrap_all(Environment(), _report))
    except (ConfigError, EventStoreError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(_EXIT_FAILED) from None
    except InvalidTag:
        sys.stderr.write("error: a wrapped key was altered: compare vault.tenant_key with its backup\n")
        raise SystemExit(_EXIT_FAILED) from None
    sys.stdout.write(f"rewrapped {done} keys; none is left that another master key wrapped\n")


if __name__ == "__main__":
    main()
