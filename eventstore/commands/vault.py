"""`vault`: after a backup was restored, destroy the keys that came back of tenants who had been erased."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from eventstore.commands import session
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.certificate import UnreadableCertificate, of_text
from eventstore.privacy.erasure import reconcile
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def vault() -> None:
    """Look after the tenants' keys."""


@vault.command("reconcile")
@session.database
@click.option("--event-type", required=True, help="The event that says a tenant was erased (CustomerErased).")
@click.argument("certificates", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def reconcile_keys(database: str, *, event_type: str, certificates: Sequence[Path]) -> None:
    """Destroy again what a restored vault brought back. Run it before anything else starts.

    Who was erased is read from the log; where the log itself was restored to a time before, name the
    CERTIFICATES of those who were erased since.
    """
    try:
        named = [UUID(of_text(each.read_text(encoding="utf-8")).content["tenant"]) for each in certificates]
    except UnreadableCertificate as error:
        raise click.UsageError("one of the files holds no certificate of erasure") from error
    revived = session.run(_reconcile(database, event_type, named))
    for each in revived:
        click.echo(f"destroyed the key of tenant {each} again")
    click.echo(f"{len(revived)} erased tenants had a key again, or could get one; none has or can now")


def keyless_vault(database: str) -> Vault:
    """Return a vault for those who destroy and look, and neither seal nor open."""
    return Vault(database, LocalMasterKey(os.urandom(32)))


async def _reconcile(database: str, event_type: str, named: Sequence[UUID]) -> Sequence[UUID]:
    async with PostgresEventStore.open(database) as store, keyless_vault(database) as keys:
        revived = list(await reconcile(store, keys, event_type))
        for each in await keys.undestroyed(named):
            await keys.destroy(each)
            revived.append(each)
    return revived
