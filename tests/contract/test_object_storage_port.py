"""What every object storage promises, proven of the folder and of S3."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.object_storage import ObjectStorageUnavailable
from eventstore.archive.opening import NoSuchStorage, open_storage
from services.runtime.archive_storage import S3_ADAPTER, open_archive
from services.runtime.object_storage_s3 import S3Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from eventstore.archive.object_storage import ObjectStorage

pytest_plugins = ["tests.fix_object_storage"]

#: Below S3's least size of a part; the stand-in takes smaller ones, so that tests need not send megabytes.
PART_BYTES = 100_000


@pytest_asyncio.fixture(params=["folder", "s3", "s3 in parts"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, bucket: str
) -> AsyncIterator[ObjectStorage]:
    """Give an empty storage of each kind, so that a promise is proven of all."""
    if request.param == "folder":
        yield FolderStorage(tmp_path / "storage")
        return
    part_bytes = {"part_bytes": PART_BYTES} if "parts" in request.param else {}
    async with S3Storage.open(bucket, "some/where", **part_bytes) as opened:
        yield opened


def file_of(folder: Path, content: bytes) -> Path:
    """Return a file with some content."""
    path = folder / f"content-{len(content)}"
    path.write_bytes(content)
    return path


async def test_what_was_put_is_read_by_ranges(storage: ObjectStorage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1_000

    assert await storage.put_if_absent("log/one", file_of(tmp_path, content))

    assert await storage.size_bytes("log/one") == len(content)
    assert await storage.read("log/one", 0, len(content)) == content
    assert await storage.read("log/one", 255_000, 500) == content[255_000:255_500]
    assert await storage.read("log/one", 255_900, 500) == content[255_900:]
    assert await storage.read("log/one", 300_000, 500) == b""
    assert storage.url_of("log/one").endswith("/log/one")


async def test_nothing_is_written_over(storage: ObjectStorage, tmp_path: Path) -> None:
    first, second = (file_of(tmp_path, each * 250_000) for each in (b"1", b"22"))
    assert await storage.put_if_absent("one", first)

    assert not await storage.put_if_absent("one", second)

    assert await storage.read("one", 0, 3) == b"111"
    assert await storage.size_bytes("one") == 250_000


async def test_of_many_at_once_one_puts(storage: ObjectStorage, tmp_path: Path) -> None:
    files = [file_of(tmp_path, bytes([number]) * (150_000 + number)) for number in range(5)]

    done = await asyncio.gather(
        *(storage.put_if_absent("one", each) for each in files), return_exceptions=True
    )

    assert done.count(True) == 1
    kept = await storage.read("one", 0, 200_000)
    assert kept == files[done.index(True)].read_bytes()


async def test_names_are_listed_in_order_by_prefix(storage: ObjectStorage, tmp_path: Path) -> None:
    for name in ("b/2", "a/1", "b/1"):
        await storage.put_if_absent(name, file_of(tmp_path, b"x"))

    assert await storage.names("") == ["a/1", "b/1", "b/2"]
    assert await storage.names("b/") == ["b/1", "b/2"]
    assert await storage.names("c") == []


async def test_what_was_deleted_is_gone(storage: ObjectStorage, tmp_path: Path) -> None:
    await storage.put_if_absent("one", file_of(tmp_path, b"x"))

    await storage.delete("one")
    await storage.delete("one")

    assert await storage.size_bytes("one") is None
    assert await storage.names("") == []
    with pytest.raises(ObjectStorageUnavailable):
        await storage.read("one", 0, 1)
    assert await storage.put_if_absent("one", file_of(tmp_path, b"y"))


async def test_a_write_that_was_cut_off_shows_nothing(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "storage")
    await storage.put_if_absent("log/one", file_of(tmp_path, b"x"))
    (tmp_path / "storage" / "log" / "two.0123abcd.unfinished").write_bytes(b"half")

    assert await storage.names("log/") == ["log/one"]


@pytest.mark.usefixtures("s3")
async def test_a_bucket_that_is_not_there_is_trouble(tmp_path: Path) -> None:
    async with open_storage("s3://no-such-bucket-anywhere/prefix", S3_ADAPTER) as storage:
        for asking in (
            storage.put_if_absent("one", file_of(tmp_path, b"x")),
            storage.read("one", 0, 1),
            storage.names(""),
            storage.delete("one"),
        ):
            with pytest.raises(ObjectStorageUnavailable):
                await asking


async def test_an_unfinished_upload_leaves_nothing_behind(s3: S3Client, bucket: str, tmp_path: Path) -> None:
    async with S3Storage.open(bucket, part_bytes=PART_BYTES) as storage:
        await storage.put_if_absent("one", file_of(tmp_path, b"1" * 250_000))
        assert not await storage.put_if_absent("one", file_of(tmp_path, b"2" * 300_000))

    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


async def test_an_address_without_a_scheme_is_a_folder(tmp_path: Path) -> None:
    async with open_storage(str(tmp_path / "storage")) as storage:
        await storage.put_if_absent("one", file_of(tmp_path, b"x"))
        url = storage.url_of("one")
    async with open_storage((tmp_path / "storage").as_uri()) as again:
        assert await again.read("one", 0, 9) == b"x"
        assert again.url_of("one") == url


async def test_an_address_may_be_of_s3_or_of_nowhere(bucket: str) -> None:
    async with open_archive(f"s3://{bucket}/log") as storage:
        assert storage is not None
        assert storage.url_of("one") == f"s3://{bucket}/log/one"
    async with open_archive("") as none:
        assert none is None


@pytest.mark.parametrize(
    ("url", "adapter", "said"),
    [
        ("s3://bucket", "", "name one as module:function"),
        ("s3://bucket", "services.nowhere:open", "there is no adapter"),
        ("s3://bucket", "eventstore.errors:open_it", "there is no adapter"),
        ("gs://bucket", S3_ADAPTER, "is no address like s3://"),
        ("s3:///prefix", S3_ADAPTER, "is no address like s3://"),
    ],
)
async def test_an_address_that_nobody_knows_is_refused(url: str, adapter: str, said: str) -> None:
    with pytest.raises(NoSuchStorage, match=said):
        async with open_storage(url, adapter):
            pass
