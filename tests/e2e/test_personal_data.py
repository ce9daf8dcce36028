"""What a customer told us of people lies sealed wherever we keep it, and is gone for ever once erased."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from directorybolt.event.v1 import profile_events_pb2
from directorybolt.intake.v1 import customers_pb2, erasure_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from sandbox.client import SandboxClient
    from tests.fix_mesh import RunningMesh


def personal(business: BusinessProfile) -> Mapping[str, bytes]:
    """Return what nobody who steals a disk may read."""
    texts = {
        "name": business.business_name,
        "phone": business.phone,
        "e-mail": business.email,
        "contact's e-mail": business.contact_email,
        "street": business.address.street_line1,
    }
    return {what: text.encode() for what, text in texts.items()}


def found_in(folders: set[Path], texts: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return which of the texts lie in which file under the folders."""
    found: list[tuple[str, str]] = []
    for file in itertools.chain.from_iterable(folder.rglob("*") for folder in folders):
        # Postgres removes files as it pleases.
        with suppress(FileNotFoundError):
            content = file.read_bytes() if file.is_file() else b""
            found += [(what, str(file)) for what, text in texts.items() if text in content]
    return found


async def data_directory(running: RunningMesh) -> Path:
    """Let the database write all that it holds, and return where it keeps it, write-ahead log included."""
    async with await psycopg.AsyncConnection.connect(running.database_url, autocommit=True) as connection:
        await connection.execute("checkpoint")
        row = await (await connection.execute("show data_directory")).fetchone()
    assert row is not None
    return Path(row[0])


async def test_personal_data_lies_in_clear_with_the_sites_and_nowhere_of_ours(
    mesh: RunningMesh, sandbox_of_mesh: SandboxClient
):
    async with mesh.customer() as customer:
        job = await customer.order("sandbox-plain", "sandbox-already", "sandbox-captcha")
        _ = [news async for news in customer.watch(job.name)]
        proofs = [each.proofs for each in await customer.submissions(job.name)]
        assert await customer.count(sandbox_of_mesh, "plain") == 1
    texts = personal(customer.business)
    sites = mesh.state_directory / "sandbox"
    ours = {await data_directory(mesh), *mesh.state_directory.iterdir()} - {sites}
    assert await asyncio.to_thread(found_in, ours, texts) == []
    assert all(proofs)
    # The same search finds them where they were sent to.
    known = {what for what, _ in found_in({sites}, texts)}
    assert {"name", "phone", "street"} <= known


def picture_of(running: RunningMesh, proof: str) -> Path:
    """Return the file of a proof."""
    name = UUID(proof.rpartition("/")[2]).hex
    return running.state_directory / "evidence" / name[:2] / f"{name}.proof"


async def test_of_an_erased_customer_nothing_is_left_but_the_proof(
    mesh: RunningMesh, sandbox_of_mesh: SandboxClient
):
    async with mesh.customer() as customer, mesh.staff() as staff:
        job = await customer.order("sandbox-plain", "sandbox-captcha")
        _ = [news async for news in customer.watch(job.name)]
        proofs = [proof for each in await customer.submissions(job.name) for proof in each.proofs]
        assert await customer.count(sandbox_of_mesh, "plain") == 1
        pictures = [picture_of(mesh, each) for each in proofs]
        assert all(each.exists() for each in pictures)
        request = erasure_pb2.EraseCustomerRequest(
            name=customer.name,
            confirm_display_name="Test customer",
            ground=profile_events_pb2.ERASURE_GROUND_CONSENT_WITHDRAWN,
        )

        certificate = (await staff.ask("EraseCustomer", request)).certificate

        assert not any(each.exists() for each in pictures)
        shown = customers_pb2.GetProfileRequest(name=customer.profile)
        assert (await staff.refusal("GetProfile", shown)).reason == "CUSTOMER_ERASED"
        late = await staff.refusal("CreateJob", customer.an_order("sandbox-plain"))
        assert late.reason == "CUSTOMER_ERASED"
        exported = staff.stream("ExportCustomer", erasure_pb2.ExportCustomerRequest(name=customer.name))
        left = "".join([each.json async for each in exported])
    assert certificate.sealed_count >= 4
    texts = personal(customer.business)
    ours = {await data_directory(mesh), *mesh.state_directory.iterdir()} - {mesh.state_directory / "sandbox"}
    assert await asyncio.to_thread(found_in, ours, texts) == []
    assert [what for what, text in texts.items() if text in left.encode()] == []
