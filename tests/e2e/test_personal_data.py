"""What a customer told us of people lies sealed wherever we keep it: only the sites know it in clear."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

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
