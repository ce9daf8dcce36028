"""A customer's rights, end to end: all that is held is shown, and once erased it is gone for ever."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from directorybolt.event.v1 import job_events_pb2, profile_events_pb2, submission_events_pb2
from directorybolt.intake.v1 import customers_pb2, erasure_pb2, jobs_pb2
from google.protobuf.json_format import ParseDict
from psycopg import sql

from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.verify import verify
from eventstore.errors import KeyDestroyed
from eventstore.privacy.certificate import Certificate
from eventstore.privacy.erasure import Certificates
from eventstore.privacy.erasure_check import contradictions, defects
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from eventstore.types import Position
from services.domain import events
from services.intake.sealing import seal, unseal
from services.runtime.ledger import Stream
from tests.cloned_database import cloned_database
from tests.fix_intake import (
    CERTIFICATE_KEY,
    MASTER_KEY,
    Caller,
    a_profile,
    intake,
    intake_process,
    postgres_cluster,
    services_template,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stack.postgres import EmbeddedPostgres
    from tests.fix_intake import Intake, Tenant

__all__ = ["intake", "postgres_cluster", "services_template"]

CODE = grpc.StatusCode
NAME, BUSINESS, PHONE, EMAIL = "Kaffee Süd AG", "Kaffee Süd", "+41 31 555 01 00", "a@kaffee.example"
WORDS, SEEN = "Frau Muster verkauft das Lokal", "Willkommen, Frau Muster"
PICTURE = b"a picture of Frau Muster"
SEALING = {"CustomerCreated", "ProfileCreated", "JobCancelRequested", "SubmissionListed"}
PERSONAL = (NAME, BUSINESS, PHONE, EMAIL, WORDS, SEEN, PICTURE.decode())


def erasing(tenant: Tenant, **fields: Any) -> erasure_pb2.EraseCustomerRequest:
    """Return the request that erases a tenant, but for these fields."""
    whole: dict[str, Any] = {
        "name": tenant.name,
        "confirm_display_name": NAME,
        "ground": profile_events_pb2.ERASURE_GROUND_OBJECTION,
        "case_number": "DSG-2026/17",
        **fields,
    }
    return erasure_pb2.EraseCustomerRequest(**whole)


async def erased(intake: Intake, tenant: Tenant) -> erasure_pb2.ErasureCertificate:
    """Erase a tenant and return the certificate."""
    return (await intake.staff.ask("EraseCustomer", erasing(tenant))).certificate


async def a_history(intake: Intake, tenant: Tenant) -> str:
    """Give a tenant a job with a listing, a picture and words of people; return the job's name."""
    await intake.catalogue("yellow")
    job = await tenant.order("yellow")
    [submission_id] = await intake.plan(tenant, job.name, ["yellow"])
    proof = await intake.evidence.put(tenant.id, PICTURE, "image/jpeg")
    details = submission_events_pb2.EvidenceDetails(matched_text=SEEN)
    evidence = submission_events_pb2.Evidence(
        proof_id=str(proof.proof_id),
        details=await seal(intake.vault, tenant.id, UUID(submission_id), details),
    )
    await intake.append_to_submission(
        tenant, submission_id, submission_events_pb2.SubmissionListed(evidence=evidence)
    )
    return job.name


async def ended(intake: Intake, tenant: Tenant, job: str) -> None:
    """End a cancelled job, as the scheduler does."""
    job_id = UUID(job.rpartition("/")[2])
    await intake.append_to_job(tenant, job_id, job_events_pb2.JobCancelled(job_id=str(job_id)))


async def a_past(intake: Intake, tenant: Tenant) -> str:
    """Give a tenant a history that is over."""
    job = await a_history(intake, tenant)
    await tenant.ask("CancelJob", jobs_pb2.CancelJobRequest(name=job, reason=WORDS))
    await ended(intake, tenant, job)
    return job


async def export(caller: Caller, name: str) -> list[tuple[str, str, Any]]:
    """Return an export: kind, name and document of each part."""
    request = erasure_pb2.ExportCustomerRequest(name=name)
    parts = [each async for each in caller.stream("ExportCustomer", request)]
    kinds = [erasure_pb2.ExportKind.Name(each.kind).removeprefix("EXPORT_KIND_") for each in parts]
    return [(kind, each.name, json.loads(each.json)) for kind, each in zip(kinds, parts, strict=True)]


async def table_text(url: str) -> str:
    """Return every row of every table of the database, as text."""
    found: list[str] = []
    async with await psycopg.AsyncConnection.connect(url) as connection:
        tables = await connection.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        for (table,) in await tables.fetchall():
            rows = await connection.execute(
                sql.SQL("select to_jsonb(t)::text from {} t").format(sql.SQL(table))
            )
            found += [row for (row,) in await rows.fetchall()]
    return "\n".join(found)


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Return the files under a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_the_person_is_gone_from_every_answer_and_every_file(intake: Intake, tmp_path: Path) -> None:
    tenant = await intake.tenant()
    await a_past(intake, tenant)
    assert any("/evidence/" in path for path in files_of(tmp_path))
    sealed = (await intake.store.read_stream(tenant.id))[0]

    certificate = await erased(intake, tenant)

    assert not any("/evidence/" in path for path in files_of(tmp_path))
    assert (await tenant.refusal("GetCustomer", customers_pb2.GetCustomerRequest(name=tenant.name))).code is (
        CODE.UNAUTHENTICATED
    )
    for method, request in (
        ("GetCustomer", customers_pb2.GetCustomerRequest(name=tenant.name)),
        ("GetProfile", customers_pb2.GetProfileRequest(name=tenant.profile)),
        ("UpsertProfile", a_profile(tenant.name)),
        ("CreateApiKey", customers_pb2.CreateApiKeyRequest(parent=tenant.name)),
        ("CreateJob", tenant.an_order("yellow")),
    ):
        refused = await intake.staff.refusal(method, request)
        assert (refused.code, refused.reason) == (CODE.FAILED_PRECONDITION, "CUSTOMER_ERASED"), method
    fact = events.read(sealed)
    assert isinstance(fact, profile_events_pb2.CustomerCreated)
    # A process that had the key in its memory loses it within seconds; any other is too late at once.
    async with Vault(intake.database_url, LocalMasterKey(bytes.fromhex(MASTER_KEY))) as elsewhere:
        with pytest.raises(KeyDestroyed):
            await unseal(elsewhere, tenant.id, tenant.id, fact.details, profile_events_pb2.CustomerDetails)
    assert fact.details.key_id == certificate.key_id
    assert (await verify(intake.store)).first_bad is None


async def test_nothing_personal_ever_lay_in_a_table_or_file_and_no_word_of_it_is_left(
    intake: Intake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = await intake.tenant()
    await a_past(intake, tenant)
    await erased(intake, tenant)
    await intake.covered()
    tables = await table_text(intake.database_url)
    assert str(tenant.id) in tables
    for text in PERSONAL:
        assert text not in tables
        assert text not in caplog.text
        assert [path for path, content in files_of(tmp_path).items() if text.encode() in content] == []


async def test_the_certificate_can_be_checked_without_us_and_agrees_with_the_log(intake: Intake) -> None:
    tenant = await intake.tenant()
    await a_past(intake, tenant)
    shown = await erased(intake, tenant)

    certificate = Certificate(shown.document, shown.public_key, shown.signature)
    key = LocalSealSigner(bytes.fromhex(CERTIFICATE_KEY)).public_key
    assert list(defects(certificate, key)) == []
    content = certificate.content
    assert content["actor"].startswith("intake/staff:")
    assert content["said"] == {
        "ground": "ERASURE_GROUND_OBJECTION",
        "case_number": "DSG-2026/17",
        "api_keys_ended_count": 1,
        "pictures_deleted_count": 1,
    }
    touched = [
        each.position.number
        for each in (await intake.store.read_all(Position(0, 0))).events
        if each.tenant == tenant.id and each.event_type in SEALING
    ]
    positions = [number for first, last in content["sealed_positions"] for number in range(first, last + 1)]
    assert positions == touched
    assert content["sealed_count"] == len(touched) == 4


async def test_asked_again_it_gives_the_first_certificate_and_so_does_the_archive(intake: Intake) -> None:
    tenant = await intake.tenant()
    first = await erased(intake, tenant)
    again = await intake.staff.ask("EraseCustomer", erasing(tenant, confirm_display_name="", ground=0))
    found = await intake.staff.ask(
        "GetErasureCertificate", erasure_pb2.GetErasureCertificateRequest(name=first.name)
    )
    assert first == again.certificate == found.certificate
    kinds = [each.event_type for each in await intake.store.read_stream(tenant.id)]
    assert kinds == ["CustomerCreated", "CustomerErased"]


async def test_of_many_that_erase_at_once_all_get_the_same_certificate(intake: Intake) -> None:
    tenant = await intake.tenant()
    certificates = await asyncio.gather(*(erased(intake, tenant) for _ in range(5)))
    assert len({each.document for each in certificates}) == 1


async def test_an_erasure_needs_staff_a_ground_and_the_right_name(intake: Intake) -> None:
    tenant = await intake.tenant()
    assert (await tenant.refusal("EraseCustomer", erasing(tenant))).code is CODE.PERMISSION_DENIED
    for fields, said in (
        ({"confirm_display_name": "Kaffee Sud AG"}, "confirm_display_name"),
        ({"ground": 0}, "ground"),
        ({"case_number": "Frau Muster"}, "case_number"),
        ({"case_number": "x" * 65}, "case_number"),
        ({"name": "customers/all"}, "name"),
    ):
        refused = await intake.staff.refusal("EraseCustomer", erasing(tenant, **fields))
        assert (refused.code, refused.fields) == (CODE.INVALID_ARGUMENT, (said,))
    unknown = erasing(tenant, name=f"customers/{uuid4()}")
    assert (await intake.staff.refusal("EraseCustomer", unknown)).reason == "CUSTOMER_NOT_FOUND"
    never = erasure_pb2.GetErasureCertificateRequest(name=f"{tenant.name}/erasureCertificate")
    assert (await intake.staff.refusal("GetErasureCertificate", never)).reason == "ERASURE_NOT_FOUND"
    assert (await tenant.refusal("GetErasureCertificate", never)).code is CODE.PERMISSION_DENIED
    assert (await tenant.ask("GetCustomer", customers_pb2.GetCustomerRequest(name=tenant.name))).customer


async def test_open_jobs_are_cancelled_first_and_the_erasure_waits_for_them(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await a_history(intake, tenant)
    asked = asyncio.create_task(erased(intake, tenant))
    job_id = UUID(job.rpartition("/")[2])
    while (await intake.store.read_stream(job_id))[-1].event_type != "JobCancelRequested":
        await intake.store.wait_for_news(await intake.store.head(), 1)
    assert len(await intake.store.read_stream(tenant.id)) == 1
    await ended(intake, tenant, job)
    assert (await asked).sealed_count == 3


async def test_a_job_that_does_not_end_keeps_the_customer_and_says_so(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await a_history(intake, tenant)
    refused = await intake.staff.refusal("EraseCustomer", erasing(tenant))
    assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "CUSTOMER_BUSY")
    assert refused.metadata["jobs_open_count"] == "1"
    assert (await tenant.ask("GetCustomer", customers_pb2.GetCustomerRequest(name=tenant.name))).customer
    await ended(intake, tenant, job)
    await erased(intake, tenant)


async def test_another_customer_is_not_touched(intake: Intake) -> None:
    tenant, other = await intake.tenant(), await intake.tenant()
    await erased(intake, tenant)
    shown = await other.ask("GetProfile", customers_pb2.GetProfileRequest(name=other.profile))
    assert shown.profile.business.business_name == BUSINESS


async def test_everything_is_exported_opened(intake: Intake) -> None:
    tenant, other = await intake.tenant(), await intake.tenant()
    job = await a_past(intake, tenant)
    parts = await export(tenant, tenant.name)

    kinds = {kind for kind, _, _ in parts}
    assert kinds == {"CUSTOMER", "API_KEY", "PROFILE", "JOB", "SUBMISSION", "EVENT", "PROOF"}
    assert parts[0][2]["display_name"] == NAME
    [profile] = [document for kind, _, document in parts if kind == "PROFILE"]
    assert profile["business"]["phone"] == PHONE
    whole = json.dumps(parts, ensure_ascii=False)
    for text in (NAME, BUSINESS, PHONE, EMAIL, WORDS, SEEN, job):
        assert text in whole
    assert "ciphertext" not in whole
    assert str(other.id) not in whole
    refused = await other.refusal("ExportCustomer", erasure_pb2.ExportCustomerRequest(name=tenant.name))
    assert refused.reason == "CUSTOMER_NOT_FOUND"


async def test_of_an_erased_customer_the_work_is_exported_without_the_person(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await a_past(intake, tenant)
    before = await export(tenant, tenant.name)
    certificate = await erased(intake, tenant)

    parts = await export(intake.staff, tenant.name)

    whole = json.dumps(parts, ensure_ascii=False)
    for text in PERSONAL:
        assert text not in whole
    assert job in whole
    assert sum(kind == "EVENT" for kind, _, _ in parts) == sum(kind == "EVENT" for kind, _, _ in before) + 1
    assert whole.count('{"erased": true}') == 4
    [shown] = [document for kind, _, document in parts if kind == "ERASURE_CERTIFICATE"]
    assert ParseDict(shown, erasure_pb2.ErasureCertificate()) == certificate


async def test_read_models_are_built_again_with_the_person_gone(intake: Intake) -> None:
    tenant = await intake.tenant()
    await a_past(intake, tenant)
    await erased(intake, tenant)
    await intake.covered()
    before = await intake.rows()
    await intake.forget_read_models()
    await intake.covered()
    assert await intake.rows() == before
    listed = await intake.staff.ask("ListSubmissions", jobs_pb2.ListSubmissionsRequest(parent=tenant.name))
    assert [each.explanation for each in listed.submissions] == [""]
    [proof] = listed.submissions[0].proofs
    refused = await intake.staff.refusal("GetProof", jobs_pb2.GetProofRequest(name=proof))
    assert refused.reason in {"PROOF_NOT_FOUND", "CUSTOMER_ERASED"}


async def test_an_erasure_that_was_stopped_is_finished_by_the_next_process(
    postgres_cluster: EmbeddedPostgres, services_template: str, tmp_path: Path
) -> None:
    folder = tmp_path
    async with cloned_database(postgres_cluster, services_template) as url:
        async with intake_process(url, folder) as process:
            tenant = await process.tenant()
            await a_past(process, tenant)
            fact = profile_events_pb2.CustomerErased(
                customer_id=str(tenant.id), ground=profile_events_pb2.ERASURE_GROUND_LEGAL_DUTY
            )
            # As a process leaves it that died right after its record.
            await process.ledger.append(Stream(tenant.id, events.CUSTOMER, tenant.id), [fact], 1)
        async with intake_process(url, folder) as process:
            name = f"{tenant.name}/erasureCertificate"
            request = erasure_pb2.GetErasureCertificateRequest(name=name)
            async with asyncio.timeout(30):
                while (found := await certified(process, request)) is None:
                    await process.store.wait_for_news(await process.store.head(), 0.2)
            assert found.ground == profile_events_pb2.ERASURE_GROUND_LEGAL_DUTY
            assert not (folder / "evidence").exists() or not list((folder / "evidence").rglob("*.proof"))


async def certified(
    process: Intake, request: erasure_pb2.GetErasureCertificateRequest
) -> erasure_pb2.ErasureCertificate | None:
    """Return a certificate, if it is there."""
    try:
        return (await process.staff.ask("GetErasureCertificate", request)).certificate
    except grpc.aio.AioRpcError:
        return None


async def test_what_a_restored_backup_brings_back_is_destroyed_by_the_next_process(
    postgres_cluster: EmbeddedPostgres, services_template: str, tmp_path: Path
) -> None:
    async with cloned_database(postgres_cluster, services_template) as url:
        async with intake_process(url, tmp_path) as process:
            tenant = await process.tenant()
            await a_past(process, tenant)
            keys = await vault_rows(url)
            await asyncio.to_thread(shutil.copytree, tmp_path / "evidence", tmp_path / "backup")
            shown = await erased(process, tenant)
        await restore(url, keys)
        shutil.copytree(tmp_path / "backup", tmp_path / "evidence", dirs_exist_ok=True)
        async with intake_process(url, tmp_path) as process:
            async with asyncio.timeout(30):
                while await process.vault.undestroyed([tenant.id]) or list(pictures(tmp_path)):
                    await process.store.wait_for_news(await process.store.head(), 0.2)
            assert (await tenant_at(process, tenant).refusal("GetCustomer", asking(tenant))).code is (
                CODE.UNAUTHENTICATED
            )
            certificate = Certificate(shown.document, shown.public_key, shown.signature)
            certificates = Certificates(url)
            found = contradictions(certificate, process.store, process.vault, certificates)
            assert [each async for each in found] == []
            await certificates.close()


def pictures(folder: Path) -> Iterator[Path]:
    """Yield the pictures that are kept."""
    return (folder / "evidence").rglob("*.proof")


def tenant_at(process: Intake, tenant: Tenant) -> Tenant:
    """Return a tenant as a caller of another process."""
    return replace(tenant, channel=process.channel)


def asking(tenant: Tenant) -> customers_pb2.GetCustomerRequest:
    """Return the request that shows a tenant."""
    return customers_pb2.GetCustomerRequest(name=tenant.name)


COLUMNS = "tenant, key_id, wrapped_key, master_key_id"


async def vault_rows(url: str) -> list[tuple[Any, ...]]:
    """Return the rows of the vault, as a backup holds them."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(
            "select tenant, key_id, wrapped_key, master_key_id from vault.tenant_key"
        )
        return list(await rows.fetchall())


async def restore(url: str, rows: list[tuple[Any, ...]]) -> None:
    """Restore the vault from a backup."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("truncate vault.tenant_key")
        await connection.execute("update runtime.api_key set revoked_at = null")
        insert = f"insert into vault.tenant_key ({COLUMNS}) values (%s, %s, %s, %s)"  # noqa: S608
        await connection.cursor().executemany(insert.encode(), rows)
