"""What the vault promises: a seal opens for its own tenant and place, until the tenant's key is destroyed."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio
from cryptography.exceptions import InvalidTag

from eventstore.errors import KeyDestroyed
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import SealBroken, Vault
from tests.fix_events import OTHER_TENANT, TENANT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytest_plugins = ["tests.fix_postgres"]

MASTER = LocalMasterKey(bytes(range(32)))


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files."""
    return [each.name for each in folder.iterdir()]


@pytest_asyncio.fixture
async def vault(database_url: str) -> AsyncIterator[Vault]:
    """Give a vault without keys."""
    async with Vault(database_url, MASTER) as opened:
        yield opened


async def test_what_was_sealed_opens_again(vault: Vault, database_url: str) -> None:
    sealed = await vault.seal(TENANT, b"profile 1", b"jane@example.com")

    assert b"jane" not in sealed.ciphertext
    assert await vault.open(sealed.key_id, TENANT, b"profile 1", sealed.ciphertext) == b"jane@example.com"
    async with Vault(database_url, MASTER) as elsewhere:
        opened = await elsewhere.open(sealed.key_id, TENANT, b"profile 1", sealed.ciphertext)
        assert opened == b"jane@example.com"


async def test_a_tenant_has_one_key_and_no_two_seals_are_alike(vault: Vault) -> None:
    first, second = await asyncio.gather(*(vault.seal(TENANT, b"", b"same") for _ in range(2)))
    other = await vault.seal(OTHER_TENANT, b"", b"same")

    assert first.key_id == second.key_id != other.key_id
    assert first.ciphertext != second.ciphertext


async def test_a_seal_opens_nowhere_but_in_its_place(vault: Vault) -> None:
    sealed = await vault.seal(TENANT, b"here", b"secret")
    flipped = bytearray(sealed.ciphertext)
    flipped[-1] ^= 1

    for context, ciphertext in (
        (b"there", sealed.ciphertext),
        (b"here", bytes(flipped)),
        (b"here", sealed.ciphertext[:5]),
        (b"here", b""),
        (b"here", b"\x02" + sealed.ciphertext[1:]),
    ):
        with pytest.raises(SealBroken):
            await vault.open(sealed.key_id, TENANT, context, ciphertext)
    await vault.seal(OTHER_TENANT, b"here", b"x")
    with pytest.raises(KeyDestroyed):
        await vault.open(sealed.key_id, OTHER_TENANT, b"here", sealed.ciphertext)


async def test_a_destroyed_key_opens_and_seals_nothing(vault: Vault, database_url: str) -> None:
    sealed = await vault.seal(TENANT, b"", b"secret")
    other = await vault.seal(OTHER_TENANT, b"", b"stays")

    await vault.destroy(TENANT)
    await vault.destroy(TENANT)

    async with Vault(database_url, MASTER) as elsewhere:
        for each in (vault, elsewhere):
            with pytest.raises(KeyDestroyed):
                await each.open(sealed.key_id, TENANT, b"", sealed.ciphertext)
            with pytest.raises(KeyDestroyed):
                await each.seal(TENANT, b"", b"again")
    assert await vault.open(other.key_id, OTHER_TENANT, b"", other.ciphertext) == b"stays"


async def test_a_tenant_destroyed_before_its_first_seal_gets_no_key(vault: Vault, database_url: str) -> None:
    await vault.destroy(TENANT)

    async with Vault(database_url, MASTER) as elsewhere:
        with pytest.raises(KeyDestroyed):
            await elsewhere.seal(TENANT, b"", b"secret")


async def test_a_key_destroyed_elsewhere_is_forgotten_when_its_time_is_up(database_url: str) -> None:
    async with (
        Vault(database_url, MASTER, remembered_seconds=0) as forgetful,
        Vault(database_url, MASTER) as other,
    ):
        sealed = await forgetful.seal(TENANT, b"", b"secret")
        await other.destroy(TENANT)

        with pytest.raises(KeyDestroyed):
            await forgetful.open(sealed.key_id, TENANT, b"", sealed.ciphertext)


async def test_the_database_never_holds_a_key_in_the_clear(vault: Vault, database_url: str) -> None:
    await vault.seal(TENANT, b"", b"secret")

    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("select wrapped_key, key_id from vault.tenant_key")
        [(wrapped, key_id)] = await cursor.fetchall()
    context = TENANT.bytes + key_id.bytes
    assert (await MASTER.unwrap(wrapped, context)) not in wrapped
    with pytest.raises(InvalidTag):
        await LocalMasterKey(os.urandom(32)).unwrap(wrapped, context)


async def test_a_master_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    keys = await asyncio.gather(*(LocalMasterKey.of_file(path) for _ in range(5)))

    assert len({each.master_key_id for each in keys}) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == ["master.key"]


async def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("abcd")

    with pytest.raises(ValueError, match="32 bytes"):
        await LocalMasterKey.of_file(path)
