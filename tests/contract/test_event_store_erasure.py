"""Erasing a tenant: the key goes, the chain stays, and the certificate proves it without us."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eventstore.__main__ import cli
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.verify import verify
from eventstore.errors import KeyDestroyed
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.certificate import UnreadableCertificate, of_text, to_text
from eventstore.privacy.erasure import Certificates, Erasures, Touched, reconcile
from eventstore.privacy.erasure_check import contradictions, defects
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from eventstore.types import StreamAppend
from tests.cloned_database import cloned_database
from tests.fix_events import OTHER_TENANT, TENANT, event
from tests.several_lanes import LANES, tenant_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from click.testing import Result

    from eventstore.privacy.certificate import Certificate
    from eventstore.types import StoredEvent
    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres", "tests.fix_lanes"]

MASTER = LocalMasterKey(bytes(range(32)))
SIGNER = LocalSealSigner(bytes(range(32)))
FORGER = LocalSealSigner(bytes(32))
CONTEXT = b"profile"


def is_sealed(stored: StoredEvent) -> bool:
    """Tell which events hold sealed data, by their type."""
    return stored.event_type == "Sealed"


@dataclass(frozen=True, slots=True)
class House:
    """A store with a vault, and somebody who erases."""

    url: str
    store: PostgresEventStore
    vault: Vault
    erasures: Erasures
    certificates: Certificates

    async def append(self, event_type: str, tenant: UUID = TENANT, payload: bytes = b"") -> StoredEvent:
        """Append an event to a stream of its own, and return it as stored."""
        stream_id = uuid4()
        new = replace(event(payload, event_type), actor="staff:42")
        await self.store.append(StreamAppend(stream_id, "customer", tenant, [new]))
        return (await self.store.read_stream(stream_id))[0]

    async def seal(self, text: bytes, tenant: UUID = TENANT) -> StoredEvent:
        """Append an event with something sealed, its key's id first."""
        sealed = await self.vault.seal(tenant, CONTEXT, text)
        return await self.append("Sealed", tenant, sealed.key_id.bytes + sealed.ciphertext)

    async def opened(self, stored: StoredEvent) -> bytes:
        """Return what an event has sealed."""
        key_id = UUID(bytes=stored.payload[:16])
        return await self.vault.open(key_id, stored.tenant, CONTEXT, stored.payload[16:])

    async def erase(self, tenant: UUID = TENANT) -> Certificate:
        """Record an erasure, and do it."""
        mark = await self.append("Erased", tenant)
        return await self.erasures.erase(mark, is_sealed, {"ground": "OBJECTION", "files_deleted": 3})

    async def contradicted(self, certificate: Certificate) -> list[str]:
        """Return where the store contradicts a certificate."""
        found = contradictions(certificate, self.store, self.vault, self.certificates)
        return [each async for each in found]


@asynccontextmanager
async def opened_house(url: str) -> AsyncGenerator[House]:
    """Open store, vault and all in a database."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresEventStore.open(url))
        vault = await stack.enter_async_context(Vault(url, MASTER))
        erasures = Erasures(url, store, vault, SIGNER)
        stack.push_async_callback(erasures.close)
        certificates = Certificates(url)
        stack.push_async_callback(certificates.close)
        yield House(url, store, vault, erasures, certificates)


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """Give a store with a vault."""
    async with opened_house(database_url) as opened:
        yield opened


async def test_the_person_is_gone_and_the_chain_still_verifies(house: House):
    secret, other = await house.seal(b"jane@example.com"), await house.seal(b"stays", OTHER_TENANT)
    assert await house.opened(secret) == b"jane@example.com"

    await house.erase()

    async with opened_house(house.url) as elsewhere:
        for each in (house, elsewhere):
            with pytest.raises(KeyDestroyed):
                await each.opened(secret)
            assert await each.opened(other) == b"stays"
    assert (await verify(house.store)).first_bad is None


async def test_the_certificate_names_every_position_touched(house: House):
    stored = [
        await house.seal(b"1"),
        await house.seal(b"2"),
        await house.append("Plain"),
        await house.seal(b"3", OTHER_TENANT),
        await house.seal(b"4"),
    ]
    content = (await house.erase()).content

    head = await house.store.head()
    assert content["tenant"] == str(TENANT)
    assert content["sealed_positions"] == [[1, 2], [5, 5]]
    assert (content["events_count"], content["sealed_count"]) == (5, 3)
    assert content["key_id"] == str(UUID(bytes=stored[0].payload[:16]))
    assert content["recorded"]["position"] == content["head"]["position"] == head.number
    assert (content["actor"], content["said"]) == ("staff:42", {"ground": "OBJECTION", "files_deleted": 3})


async def test_erasing_again_gives_the_first_certificate(house: House):
    await house.seal(b"secret")
    first = await house.erase()
    assert await house.erase() == first == await house.certificates.find(TENANT)
    assert await house.certificates.all() == [first]


async def test_of_many_who_erase_at_once_all_get_one_certificate(house: House):
    await house.seal(b"secret")
    mark = await house.append("Erased")
    async with opened_house(house.url) as elsewhere:
        answers = await asyncio.gather(
            *(each.erasures.erase(mark, is_sealed, {}) for each in (house, elsewhere) for _ in range(3))
        )
    assert len(set(answers)) == 1


async def test_a_tenant_who_never_sealed_anything_is_erased_too(house: House):
    content = (await house.erase()).content
    assert (content["events_count"], content["sealed_count"], content["sealed_positions"]) == (1, 0, [])
    with pytest.raises(KeyDestroyed):
        await house.seal(b"again")


async def test_a_certificate_is_checked_by_its_key_alone(house: House):
    certificate = of_text(to_text(await house.erase()))
    assert list(defects(certificate, SIGNER.public_key)) == []
    assert list(defects(certificate, FORGER.public_key)) == [
        "it was signed by another key than the one that you trust"
    ]
    altered = replace(certificate, document=certificate.document.replace(b"OBJECTION", b"LEGAL_DUTY"))
    assert ["altered" in each for each in defects(altered, SIGNER.public_key)] == [True]
    nothing = replace(certificate, document=b"[]")
    assert list(defects(nothing, SIGNER.public_key)) == ["the document is no certificate of erasure"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"document": "!", "public_key": "", "signature": ""}'])
def test_what_is_no_certificate_is_said_to_be_none(text: str):
    with pytest.raises(UnreadableCertificate):
        of_text(text)


async def test_the_store_agrees_with_its_own_certificate_and_another_store_does_not(
    house: House, postgres_cluster: EmbeddedPostgres
):
    await house.seal(b"secret")
    certificate = await house.erase()
    await house.append("Later")
    assert await house.contradicted(certificate) == []
    async with cloned_database(postgres_cluster) as url, opened_house(url) as other:
        await other.append("Erased")
        assert len(await other.contradicted(certificate)) == 3
        other_log = replace(
            certificate, document=certificate.document.replace(b'"log_id": "', b'"log_id": "x')
        )
        assert await house.contradicted(other_log) == ["it speaks of another log"]


async def execute(url: str, *statements: str, values: tuple[object, ...] = ()) -> None:
    """Execute as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for each in statements:
            await connection.execute(each.encode(), values or None)


async def restored(house: House, tenant: UUID, wrapped: tuple[object, ...]) -> None:
    """Bring a key back, as the backup of a vault does."""
    await execute(house.url, "truncate vault.tenant_key")
    columns = "tenant, key_id, wrapped_key, master_key_id"
    insert = f"insert into vault.tenant_key ({columns}) values (%s, %s, %s, %s)"  # noqa: S608  # our own names
    await execute(house.url, insert, values=(tenant, *wrapped))


async def wrapped_key(url: str) -> tuple[object, ...]:
    """Return the row of the only key, as a backup holds it."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("select key_id, wrapped_key, master_key_id from vault.tenant_key")
        [row] = await rows.fetchall()
        return row


async def test_a_key_that_a_backup_brought_back_is_destroyed_again(house: House):
    secret = await house.seal(b"secret")
    backup = await wrapped_key(house.url)
    certificate = await house.erase()
    await restored(house, TENANT, backup)
    async with opened_house(house.url) as afterwards:
        assert await afterwards.opened(secret) == b"secret"
        assert "run `vault reconcile`" in (await afterwards.contradicted(certificate))[0]

        assert list(await reconcile(afterwards.store, afterwards.vault, "Erased")) == [TENANT]

        with pytest.raises(KeyDestroyed):
            await afterwards.opened(secret)
        assert await afterwards.contradicted(certificate) == []
        assert list(await reconcile(afterwards.store, afterwards.vault, "Erased")) == []


async def test_an_erased_tenant_whom_a_restored_vault_does_not_know_gets_no_new_key(house: House):
    await house.seal(b"secret")
    await house.erase()
    await execute(house.url, "truncate vault.tenant_key")
    async with opened_house(house.url) as afterwards:
        assert list(await reconcile(afterwards.store, afterwards.vault, "Erased")) == [TENANT]
        with pytest.raises(KeyDestroyed):
            await afterwards.seal(b"again")


@pytest.mark.parametrize(
    "statement",
    [
        "update vault.tenant_key set wrapped_key = 'x', destroyed_at = null",
        "update vault.tenant_key set tenant = gen_random_uuid()",
        "delete from vault.tenant_key",
        "update es.erasure set document = 'x'",
        "delete from es.erasure",
        "truncate es.erasure",
    ],
)
async def test_nobody_takes_an_erasure_back(house: House, statement: str):
    await house.seal(b"secret")
    await house.erase()
    with pytest.raises((psycopg.errors.IntegrityConstraintViolation, psycopg.errors.InsufficientPrivilege)):
        await execute(house.url, statement)


async def test_no_certificate_is_recorded_for_a_tenant_who_has_a_key(house: House):
    await house.seal(b"secret")
    values = (TENANT, b"document", bytes(32), bytes(64))
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        await execute(house.url, "select es.record_erasure_v1(%s, %s, %s, %s)", values=values)


@given(st.dictionaries(st.integers(1, 60), st.booleans()))
def test_ranges_hold_every_sealed_position_and_no_other_and_are_as_few_as_can_be(events: dict[int, bool]):
    touched = Touched()
    for number in sorted(events):
        touched.note(number, sealed=events[number])

    ranges = touched.sealed_positions
    held = [number for first, last in ranges for number in range(first, last + 1)]
    assert held == sorted(number for number, sealed in events.items() if sealed)
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(ranges))
    assert (touched.events_count, touched.sealed_count) == (len(events), len(held))


async def test_a_tenant_is_erased_in_the_lane_that_holds_it(url_with_lanes: str):
    async with opened_house(url_with_lanes) as house:
        tenants = [tenant_in(lane) for lane in range(LANES)]
        for each in tenants:
            await house.seal(b"secret", each)
        for lane, tenant in enumerate(tenants):
            content = (await house.erase(tenant)).content
            assert (content["lane"], content["sealed_positions"]) == (lane, [[1, 1]])
            assert content["head"]["position"] == 2
        await execute(url_with_lanes, "truncate vault.tenant_key")
        async with Vault(url_with_lanes, MASTER) as restored_vault:
            assert set(await reconcile(house.store, restored_vault, "Erased")) == set(tenants)


async def command(*arguments: str) -> Result:
    """Run the command in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments)


async def test_the_command_lists_shows_and_checks(house: House, tmp_path: Path):
    await house.seal(b"secret")
    await house.erase()
    file, key = tmp_path / "certificate.json", SIGNER.public_key.hex()

    listed = json.loads((await command("erasure", "list", "--database", house.url, "--json")).output)
    shown = [(each["tenant"], each["sealed_count"], each["signed"]) for each in listed]
    assert shown == [(str(TENANT), 1, True)]
    file.write_text((await command("erasure", "show", "--database", house.url, str(TENANT))).output)

    offline = await command("erasure", "verify", str(file), "--public-key", key)
    assert (offline.exit_code, offline.output) == (0, f"tenant {TENANT} was erased: the certificate holds\n")
    online = await command("erasure", "verify", str(file), "--public-key", key, "--database", house.url)
    assert online.exit_code == 0
    forged = await command("erasure", "verify", str(file), "--public-key", FORGER.public_key.hex())
    assert forged.exit_code == 1
    unknown = await command("erasure", "show", "--database", house.url, str(OTHER_TENANT))
    assert (unknown.exit_code, unknown.output) == (1, f"tenant {OTHER_TENANT} was not erased\n")


async def test_the_command_reconciles_by_the_log_and_by_certificates(house: House, tmp_path: Path):
    await house.seal(b"secret")
    backup = await wrapped_key(house.url)
    certificate = await house.erase()
    file = tmp_path / "certificate.json"
    file.write_text(to_text(certificate))
    for arguments in (["--event-type", "Erased"], ["--event-type", "Unheard", str(file)]):
        await restored(house, TENANT, backup)
        done = await command("vault", "reconcile", "--database", house.url, *arguments)
        assert (done.exit_code, f"destroyed the key of tenant {TENANT} again" in done.output) == (0, True)
    (tmp_path / "letter").write_text("{}")
    wrong = await command(
        "vault", "reconcile", "--database", house.url, "--event-type", "Erased", str(tmp_path / "letter")
    )
    assert wrong.exit_code == 2
