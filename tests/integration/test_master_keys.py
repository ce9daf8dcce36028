"""Master keys, kept by AWS KMS or in a file: what they wrap and refuse, and how one replaces another."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from eventstore.errors import KeyDestroyed, MasterKeyMissing, MasterKeyUnavailable
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.rewrap import KEYS_PER_PAGE, rewrap
from eventstore.privacy.vault import Vault
from services.runtime.config import ConfigError, Environment, SealingConfig
from services.runtime.master_key_kms import KmsMasterKey
from services.runtime.rewrap import rewrap_all
from services.runtime.sealing import vault_of
from tests.fix_events import OTHER_TENANT, TENANT
from tests.fix_kms import kms, kms_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypy_boto3_kms import KMSClient

    from eventstore.privacy.master_key import MasterKey
    from eventstore.privacy.vault import Sealed

__all__ = ["kms", "kms_environment"]
pytest_plugins = ["tests.fix_postgres"]

CONTEXT = b"profile 1"
OLD, NEW = LocalMasterKey(bytes(range(32))), LocalMasterKey(bytes(range(1, 33)))


def a_key(kms: KMSClient) -> str:
    """Make a KMS key, and return its ARN."""
    return kms.create_key()["KeyMetadata"].get("Arn", "")


async def wrapped_by(url: str) -> dict[UUID, str]:
    """Return which master key wraps each tenant's key."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("select tenant, master_key_id from vault.tenant_key")
        return dict(await rows.fetchall())


async def sealed_for(vault: Vault, tenants: Sequence[UUID]) -> dict[UUID, Sealed]:
    """Seal something of each tenant's."""
    return {tenant: await vault.seal(tenant, CONTEXT, tenant.bytes) for tenant in tenants}


async def opened(vault: Vault, sealed: dict[UUID, Sealed]) -> bool:
    """Return whether all that was sealed opens."""
    return all(
        [
            await vault.open(each.key_id, tenant, CONTEXT, each.ciphertext) == tenant.bytes
            for tenant, each in sealed.items()
        ]
    )


async def test_a_customers_key_is_wrapped_by_kms_and_opens_in_another_process(
    kms: KMSClient, database_url: str
) -> None:
    arn = a_key(kms)
    async with Vault(database_url, await KmsMasterKey.open(arn)) as vault:
        sealed = await vault.seal(TENANT, CONTEXT, b"jane@example.com")
    async with Vault(database_url, await KmsMasterKey.open(arn)) as elsewhere:
        assert await elsewhere.open(sealed.key_id, TENANT, CONTEXT, sealed.ciphertext) == b"jane@example.com"
    assert await wrapped_by(database_url) == {TENANT: f"kms:{arn}"}


async def test_an_alias_stands_for_the_key_that_it_names_now(kms: KMSClient) -> None:
    first, second = a_key(kms), a_key(kms)
    kms.create_alias(AliasName="alias/test-master", TargetKeyId=first)
    assert (await KmsMasterKey.open("alias/test-master")).master_key_id == f"kms:{first}"
    kms.update_alias(AliasName="alias/test-master", TargetKeyId=second)
    assert (await KmsMasterKey.open("alias/test-master")).master_key_id == f"kms:{second}"


async def test_kms_unwraps_nothing_in_another_context_or_that_was_altered(kms: KMSClient) -> None:
    one = await KmsMasterKey.open(a_key(kms))
    wrapped = await one.wrap(bytes(32), b"here")
    assert await one.unwrap(wrapped, b"here") == bytes(32)
    with pytest.raises(InvalidTag):
        await one.unwrap(wrapped, b"there")
    with pytest.raises(InvalidTag):
        await one.unwrap(os.urandom(len(wrapped)), b"here")


async def test_what_kms_refuses_is_said_with_its_code(kms: KMSClient, database_url: str) -> None:
    gone = a_key(kms)
    key = await KmsMasterKey.open(gone)
    kms.disable_key(KeyId=gone)
    async with Vault(database_url, key) as vault:
        with pytest.raises(MasterKeyUnavailable, match="DisabledException"):
            await vault.seal(TENANT, CONTEXT, b"secret")
    with pytest.raises(MasterKeyUnavailable, match="NotFoundException"):
        await KmsMasterKey.open("alias/never-made")


async def test_a_kms_that_does_not_answer_is_trouble_that_passes(
    kms: KMSClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = a_key(kms)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    key = await KmsMasterKey.open(arn)
    with pytest.raises(MasterKeyUnavailable, match="does not answer"):
        await key.wrap(bytes(32), b"")


@pytest.mark.parametrize("count", [1, KEYS_PER_PAGE + 3])
async def test_every_key_is_rewrapped_and_what_was_sealed_opens_by_the_new_master_alone(
    database_url: str, count: int
) -> None:
    tenants = [uuid4() for _ in range(count)]
    async with Vault(database_url, OLD) as vault:
        sealed = await sealed_for(vault, tenants)
    told: list[tuple[int, int]] = []

    def _note(done: int, left: int) -> None:
        told.append((done, left))

    assert await rewrap(database_url, NEW, [OLD], _note) == count

    assert told[-1] == (count, 0)
    assert set((await wrapped_by(database_url)).values()) == {NEW.master_key_id}
    async with Vault(database_url, NEW) as vault:
        assert await opened(vault, sealed)
    assert await rewrap(database_url, NEW, [OLD]) == 0


async def test_both_masters_work_while_keys_are_rewrapped(database_url: str) -> None:
    async with Vault(database_url, OLD) as vault:
        before = await sealed_for(vault, [uuid4() for _ in range(8)])
    async with (
        Vault(database_url, NEW, former=[OLD], remembered_seconds=0) as new,
        Vault(database_url, OLD, former=[NEW], remembered_seconds=0) as old,
    ):
        during = await sealed_for(old, [TENANT]) | await sealed_for(new, [OTHER_TENANT])
        running = asyncio.create_task(rewrap(database_url, NEW, [OLD]))
        while not running.done():
            assert await opened(new, before)
            assert await opened(old, before)
        assert await running == len(before) + 1
        assert await opened(old, during)
        assert await opened(new, during)


class Failing(LocalMasterKey):
    """A master key whose keeper goes away after some calls."""

    def __init__(self, key: bytes, calls: int) -> None:
        super().__init__(key)
        self.calls = calls

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap, so many times."""
        self.calls -= 1
        if self.calls < 0:
            raise MasterKeyUnavailable
        return await super().wrap(key, context)


async def test_a_run_that_was_stopped_goes_on_where_it_was(database_url: str) -> None:
    async with Vault(database_url, OLD) as vault:
        sealed = await sealed_for(vault, [uuid4() for _ in range(10)])
    with pytest.raises(MasterKeyUnavailable):
        await rewrap(database_url, Failing(bytes(range(1, 33)), 4), [OLD])
    assert await rewrap(database_url, NEW, [OLD]) == 6
    async with Vault(database_url, NEW) as vault:
        assert await opened(vault, sealed)


class Erasing(LocalMasterKey):
    """A master key that is asked just when somebody erases the tenant."""

    vault: Vault

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Erase, then wrap."""
        await self.vault.destroy(TENANT)
        return await super().wrap(key, context)


async def test_a_key_destroyed_meanwhile_stays_destroyed(database_url: str) -> None:
    async with Vault(database_url, OLD) as vault:
        sealed = await sealed_for(vault, [TENANT])
        erasing = Erasing(bytes(range(1, 33)))
        erasing.vault = vault
        await rewrap(database_url, erasing, [OLD])
    async with Vault(database_url, NEW, former=[OLD]) as vault:
        with pytest.raises(KeyDestroyed):
            await opened(vault, sealed)


async def test_a_master_key_that_nobody_gave_us_is_named(database_url: str) -> None:
    async with Vault(database_url, OLD) as vault:
        await sealed_for(vault, [TENANT])
    async with Vault(database_url, NEW) as vault:
        with pytest.raises(MasterKeyMissing, match=OLD.master_key_id):
            await vault.seal(TENANT, CONTEXT, b"secret")
    with pytest.raises(MasterKeyMissing, match=OLD.master_key_id):
        await rewrap(database_url, NEW, [])


def _unheard(_done: int, _left: int) -> None:
    """Take a report that nobody reads."""


def key_file(folder: Path, master_key_digits: str) -> str:
    """Write a master key's file and return its path."""
    path = folder / master_key_digits[:4]
    path.write_text(master_key_digits)
    return str(path)


async def test_a_file_is_replaced_by_kms_as_the_environment_says(
    kms: KMSClient, database_url: str, tmp_path: Path
) -> None:
    in_file = {"DIRECTORYBOLT_MASTER_KEY_FILE": key_file(tmp_path, "5e" * 32)}
    async with vault_of(database_url, SealingConfig.read(Environment(in_file))) as vault:
        sealed = await sealed_for(vault, [TENANT, OTHER_TENANT])
    in_kms = {"DIRECTORYBOLT_MASTER_KEY_KMS": a_key(kms), "DATABASE_URL": database_url}
    both = {**in_kms, "DIRECTORYBOLT_FORMER_MASTER_KEY_FILE": in_file["DIRECTORYBOLT_MASTER_KEY_FILE"]}

    assert await rewrap_all(Environment(both), _unheard) == len(sealed)

    async with vault_of(database_url, SealingConfig.read(Environment(in_kms))) as vault:
        assert await opened(vault, sealed)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "DIRECTORYBOLT_MASTER_KEY_FILE is not set"),
        (
            {"DIRECTORYBOLT_MASTER_KEY_FILE": "key", "DIRECTORYBOLT_MASTER_KEY_KMS": "alias/key"},
            "both set",
        ),
    ],
)
def test_one_keeper_of_the_master_key_is_named_and_no_more(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SealingConfig.read(Environment(variables))


async def test_a_rewrap_without_a_former_key_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="DIRECTORYBOLT_FORMER_MASTER_KEY_FILE"):
        await rewrap_all(Environment({"DIRECTORYBOLT_MASTER_KEY_KMS": "alias/key"}), _unheard)


class Counting(LocalMasterKey):
    """A master key that counts what it unwraps."""

    unwrapped = 0

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap, and count."""
        self.unwrapped += 1
        return await super().unwrap(wrapped, context)


async def test_the_database_is_asked_again_but_the_master_key_is_not(database_url: str) -> None:
    master: MasterKey = (counting := Counting(bytes(range(32))))
    async with Vault(database_url, master, trusted_seconds=0) as vault, Vault(database_url, OLD) as other:
        sealed = await sealed_for(vault, [TENANT])
        for _ in range(5):
            assert await opened(vault, sealed)
        assert counting.unwrapped == 1

        await other.destroy(TENANT)
        with pytest.raises(KeyDestroyed):
            await opened(vault, sealed)
