"""The archive's objects on Amazon S3, or on anything that speaks its protocol.

An object is put under the condition that there is none of its name: what was archived is never written over.
boto3 is blocking, so its calls run in threads; it reads region, keys and endpoint from the environment. It
checks what it sends and receives by CRC; the event store checks by digests of its own.

Source: Amazon S3 user guide, "conditional writes".
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from eventstore.archive.object_storage import ObjectStorageUnavailable
from eventstore.archive.opening import NoSuchStorage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from eventstore.archive.object_storage import ObjectStorage

    T = TypeVar("T")

_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 30
_TRIES: Final = 3
#: Objects above this size are sent in parts of it.
PART_BYTES: Final = 64 * 1_048_576
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_BEYOND_END: Final = "InvalidRange"
_PRESENT: Final = "PreconditionFailed"


@asynccontextmanager
async def open_storage(url: str) -> AsyncGenerator[ObjectStorage]:
    """Lend the storage at s3://bucket/prefix.

    Errors: NoSuchStorage when the address is of another kind.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise NoSuchStorage(f"'{url}' is no address like s3://bucket/prefix")
    async with S3Storage.open(parts.netloc, parts.path.strip("/")) as storage:
        yield storage


class S3Storage:
    """An ObjectStorage below a prefix of a bucket; the bucket is there already."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, *, part_bytes: int = PART_BYTES) -> None:
        """Take a client and where in its bucket the objects are."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._part_bytes = part_bytes

    @classmethod
    @asynccontextmanager
    async def open(
        cls, bucket: str, prefix: str = "", *, part_bytes: int = PART_BYTES
    ) -> AsyncGenerator[Self]:
        """Lend the storage; nothing is called until it is used."""
        client = await asyncio.to_thread(_client)
        try:
            yield cls(client, bucket, prefix, part_bytes=part_bytes)
        finally:
            client.close()

    def url_of(self, name: str) -> str:
        """Return the address of an object; see ObjectStorage."""
        return f"s3://{self._bucket}/{self._prefix}{name}"

    async def put_if_absent(self, name: str, content: Path) -> bool:
        """Store a file's content under a name; see ObjectStorage."""
        try:
            size_bytes = (await asyncio.to_thread(content.stat)).st_size
            put = self._put_in_parts if size_bytes > self._part_bytes else self._put
            await asyncio.to_thread(put, self._prefix + name, content)
        except ClientError as error:
            if _code(error) == _PRESENT:
                return False
            raise ObjectStorageUnavailable(f"S3 refused to put {self.url_of(name)}: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise ObjectStorageUnavailable(f"{self.url_of(name)} could not be put: {error}") from error
        return True

    async def read(self, name: str, start: int, length: int) -> bytes:
        """Return bytes of an object; see ObjectStorage."""
        try:
            return await asyncio.to_thread(self._read, self._prefix + name, start, length)
        except IncompleteReadError:
            return b""
        except ClientError as error:
            if _code(error) == _BEYOND_END:
                return b""
            raise ObjectStorageUnavailable(f"{self.url_of(name)} could not be read: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise ObjectStorageUnavailable(f"{self.url_of(name)} could not be read: {error}") from error

    async def size_bytes(self, name: str) -> int | None:
        """Return how long an object is; see ObjectStorage."""
        try:
            head = await asyncio.to_thread(
                self._client.head_object, Bucket=self._bucket, Key=self._prefix + name
            )
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise ObjectStorageUnavailable(f"S3 refused to show {self.url_of(name)}: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise ObjectStorageUnavailable(f"{self.url_of(name)} was not shown: {error}") from error
        return head["ContentLength"]

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with `prefix`; see ObjectStorage."""
        return await self._tried(lambda: self._names(self._prefix + prefix))

    async def delete(self, name: str) -> None:
        """Delete an object; see ObjectStorage."""
        await self._tried(lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name))

    async def _tried(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (ClientError, BotoCoreError, OSError) as error:
            raise ObjectStorageUnavailable(f"S3 failed: {error}") from error

    def _put(self, key: str, content: Path) -> None:
        with content.open("rb") as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")

    def _put_in_parts(self, key: str, content: Path) -> None:
        bucket = self._bucket
        upload = self._client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        try:
            parts = self._send_parts(key, upload, content)
            self._client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
            raise

    def _send_parts(self, key: str, upload: str, content: Path) -> Sequence[CompletedPartTypeDef]:
        sent: list[CompletedPartTypeDef] = []
        with content.open("rb") as file:
            while body := file.read(self._part_bytes):
                number = len(sent) + 1
                answer = self._client.upload_part(
                    Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
                )
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
        return sent

    def _read(self, key: str, start: int, length: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._bucket, Key=key, Range=f"bytes={start}-{start + length - 1}"
        )
        return answer["Body"].read()

    def _names(self, prefix: str) -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        keys = [each.get("Key", "") for page in pages for each in page.get("Contents", [])]
        return sorted(key.removeprefix(self._prefix) for key in keys)


def _client() -> S3Client:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    connect = cast("Callable[..., S3Client]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
    return connect("s3", config=config)


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
