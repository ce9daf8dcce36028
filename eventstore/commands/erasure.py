"""`erasure`: list the tenants who were erased, show a certificate, and check one, also without a database."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eventstore.audit.seal_signer import public_key_of_text
from eventstore.commands import session
from eventstore.commands.vault import keyless_vault
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.certificate import Certificate, UnreadableCertificate, of_text, to_text
from eventstore.privacy.erasure import Certificates
from eventstore.privacy.erasure_check import contradictions, defects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID


class _PublicKey(click.ParamType[bytes]):
    name = "hexadecimal digits"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        try:
            return public_key_of_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def erasure() -> None:
    """Look into the proofs that tenants were erased."""


@erasure.command("list")
@session.database
@session.as_json
def list_erasures(database: str, *, as_json: bool) -> None:
    """Show who was erased, oldest first."""
    rows = [_row(each) for each in session.run(_all(database))]
    session.show(rows, as_json=as_json, title="erasures", empty="nobody was erased")


@erasure.command("show")
@session.database
@click.argument("tenant", type=click.UUID)
def show(database: str, *, tenant: UUID) -> None:
    """Print the certificate of a tenant, ready to be kept in a file and checked elsewhere."""
    certificate = session.run(_find(database, tenant))
    if certificate is None:
        click.echo(f"tenant {tenant} was not erased", err=True)
        sys.exit(session.FOUND_WRONG)
    click.echo(to_text(certificate), nl=False)


@erasure.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--public-key", type=_PublicKey(), required=True, help="The key that you were given to trust.")
@click.option("--database", help="Also compare it with this store, given as a Postgres URL.")
def verify(*, file: Path, public_key: bytes, database: str | None) -> None:
    """Check a certificate: its signature, and with a database whether the store still agrees."""
    try:
        certificate = of_text(file.read_text(encoding="utf-8"))
    except UnreadableCertificate:
        click.echo("wrong: this file holds no certificate of erasure")
        sys.exit(session.FOUND_WRONG)
    found = list(defects(certificate, public_key))
    if not found and database:
        found = session.run(_contradictions(database, certificate))
    for each in found:
        click.echo(f"wrong: {each}")
    if found:
        sys.exit(session.FOUND_WRONG)
    click.echo(f"tenant {certificate.content['tenant']} was erased: the certificate holds")


def _row(certificate: Certificate) -> Mapping[str, object]:
    content = certificate.content
    return {
        "tenant": content["tenant"],
        "destroyed_at": content["destroyed_at"],
        "actor": content["actor"],
        "events_count": content["events_count"],
        "sealed_count": content["sealed_count"],
        "signed": certificate.is_signed_by(certificate.public_key),
    }


async def _all(database: str) -> Sequence[Certificate]:
    certificates = Certificates(database)
    try:
        return await certificates.all()
    finally:
        await certificates.close()


async def _find(database: str, tenant: UUID) -> Certificate | None:
    certificates = Certificates(database)
    try:
        return await certificates.find(tenant)
    finally:
        await certificates.close()


async def _contradictions(database: str, certificate: Certificate) -> list[str]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresEventStore.open(database))
        vault = await stack.enter_async_context(keyless_vault(database))
        certificates = Certificates(database)
        stack.push_async_callback(certificates.close)
        return [each async for each in contradictions(certificate, store, vault, certificates)]
