"""`log-seals`: show the seals over the log, make them, and print the key that others check them by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from eventstore.audit import seal_table
from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.sealer import LogSealer
from eventstore.commands import session
from eventstore.connections import READ_ROLE, connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEY: Final = click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EVENTSTORE_LOG_SEAL_KEY_FILE",
    show_envvar=True,
    required=True,
    help="The file of the signing key; made with a fresh key when there is none.",
)


@click.group("log-seals")
def log_seals() -> None:
    """Look after the signed seals over the log."""


@log_seals.command("list")
@session.database
@session.as_json
@click.option("--lane", type=click.IntRange(0), default=0, show_default=True)
@click.option("--after", type=click.IntRange(0), default=0, help="Only seals with a higher number.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def list_seals(database: str, *, as_json: bool, lane: int, after: int, limit: int) -> None:
    """Show log seals, in the order of their numbers."""
    rows = session.run(_rows(database, lane, after, limit))
    session.show(rows, as_json=as_json, title="log seals", empty="there is no log seal")


@log_seals.command("make")
@session.database
@_KEY
@click.option(
    "--seals",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder outside of the database, where each seal is kept as well, written once.",
)
def make(database: str, *, key: Path, seals: Path | None) -> None:
    """Seal now what has no seal yet."""
    count = session.run(_make(database, key, seals))
    click.echo(f"made {count} log seals")


@log_seals.command("public-key")
@_KEY
def public_key(*, key: Path) -> None:
    """Print the public key, for those who verify: keep it where nobody can exchange it."""
    signer = session.run(_signer(key))
    click.echo(signer.public_key.hex())


async def _signer(key: Path) -> LocalSealSigner:
    try:
        return await LocalSealSigner.of_file(key)
    except ValueError:
        raise click.UsageError(f"{key} holds no key") from None


async def _rows(database: str, lane: int, after: int, limit: int) -> Sequence[Mapping[str, object]]:
    async with await connect(database, READ_ROLE, "log seals") as connection:
        seals = await seal_table.seals_after(connection, lane, after, limit)
    return [
        {
            "number": each.number,
            "from_position": each.from_position,
            "to_position": each.to_position,
            "sealed_at": each.sealed_at.isoformat(timespec="seconds"),
            "key": each.key_id,
            "root": each.root.hex(),
        }
        for each in seals
    ]


async def _make(database: str, key: Path, seals: Path | None) -> int:
    signer = await _signer(key)
    kept = DirectorySealArchive(seals) if seals else None
    sealer = LogSealer(database, signer, kept, interval_seconds=0)
    count = 0
    try:
        while await sealer.run_once():
            count += 1
    finally:
        await sealer.close()
    return count
