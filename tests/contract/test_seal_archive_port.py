"""Every archive of log seals takes each seal once, and never another in its place."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import pytest_asyncio

from eventstore.audit.log_seal import LogSeal, to_text
from eventstore.audit.seal_archive import DirectorySealArchive, relative_path
from eventstore.errors import SealArchiveUnavailable, SealConflict
from services.runtime.seal_archive_s3 import S3SealArchive
from tests.fix_object_storage import s3, s3_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from eventstore.audit.seal_archive import SealArchive

__all__ = ["s3", "s3_environment"]

SEALED_AT = datetime(2026, 11, 23, 13, tzinfo=UTC)
BUCKET = "seals-with-object-lock"


def seal(number: int, lane: int = 0) -> LogSeal:
    """Return a seal; nobody here looks at its signature."""
    digest = bytes([number % 256]) * 32
    return LogSeal(
        log_id=UUID(int=1),
        lane=lane,
        number=number,
        from_position=number,
        to_position=number,
        sealed_at=SEALED_AT,
        root=digest,
        end_hash=digest,
        previous_hash=digest,
        public_key=digest,
        signature=bytes(64),
    )


@pytest.fixture
def locked_bucket(s3: S3Client) -> str:
    """Give a bucket with Object Lock."""
    names = [each.get("Name") for each in s3.list_buckets()["Buckets"]]
    if BUCKET not in names:
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    return BUCKET


@pytest_asyncio.fixture(params=["folder", "s3"])
async def archive(
    request: pytest.FixtureRequest, locked_bucket: str, tmp_path: Path
) -> AsyncIterator[SealArchive]:
    """Give an empty archive of each kind."""
    async with AsyncExitStack() as stack:
        if request.param == "folder":
            yield DirectorySealArchive(tmp_path / "seals")
        else:
            url = f"s3://{locked_bucket}/{tmp_path.name}/log"
            yield await stack.enter_async_context(S3SealArchive.open(url))


async def test_an_empty_archive_has_nothing(archive: SealArchive) -> None:
    assert await archive.last_number(0) == 0
    assert await archive.read(0, [1, 2]) == [None, None]


async def test_seals_come_back_as_they_were(archive: SealArchive) -> None:
    for number in (1, 2, 3):
        await archive.add(seal(number))
    await archive.add(seal(1, lane=1))

    assert await archive.read(0, [2, 4, 1]) == [seal(2), None, seal(1)]
    assert (await archive.last_number(0), await archive.last_number(1)) == (3, 1)


async def test_the_last_number_is_found_among_many_folders(archive: SealArchive) -> None:
    for number in (9_999, 10_000, 10_001, 2, 20_000):
        await archive.add(seal(number))

    assert await archive.last_number(0) == 20_000


async def test_the_same_seal_twice_is_no_error_and_another_is_refused(archive: SealArchive) -> None:
    await archive.add(seal(1))
    await archive.add(seal(1))

    with pytest.raises(SealConflict, match="another log seal"):
        await archive.add(replace(seal(1), root=bytes(32)))

    assert await archive.read(0, [1]) == [seal(1)]


async def test_objects_are_locked_until_their_date(s3: S3Client, locked_bucket: str, tmp_path: Path) -> None:
    url = f"s3://{locked_bucket}/{tmp_path.name}"
    async with S3SealArchive.open(url, keep=timedelta(days=10_000)) as archive:
        await archive.add(seal(7))

    key = f"{tmp_path.name}/{relative_path(0, 7)}"
    head = s3.head_object(Bucket=locked_bucket, Key=key)
    assert head.get("ObjectLockMode") == "COMPLIANCE"
    assert head.get("ObjectLockRetainUntilDate") == SEALED_AT + timedelta(days=10_000)
    assert s3.get_object(Bucket=locked_bucket, Key=key)["Body"].read().decode() == to_text(seal(7))


async def test_a_bucket_that_is_not_there_is_an_error_of_the_archive(s3: S3Client) -> None:
    async with S3SealArchive.open("s3://no-such-bucket-here/x") as archive:
        with pytest.raises(SealArchiveUnavailable):
            await archive.add(seal(1))
        with pytest.raises(SealArchiveUnavailable):
            await archive.last_number(0)


async def test_what_is_no_seal_is_said_to_be_none(s3: S3Client, locked_bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=locked_bucket, Key=f"{tmp_path.name}/{relative_path(0, 1)}", Body=b"\xff{}")
    async with S3SealArchive.open(f"s3://{locked_bucket}/{tmp_path.name}") as archive:
        with pytest.raises(SealConflict, match="no log seal"):
            await archive.read(0, [1])
