"""The archive of log seals on Amazon S3 with Object Lock, or on anything that speaks its protocol.

An object is put under the condition that there is none of its name, and locked in compliance mode: until its
date nobody can delete or replace it, the account's owner included. The bucket is made with Object Lock
beforehand; S3 refuses the lock on any other. boto3 is blocking, so its calls run in threads.

Source: Amazon S3 user guide, "Object Lock" and "conditional writes".
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from eventstore.audit.log_seal import to_text
from eventstore.audit.seal_archive import folder_of, number_of, read_seal, relative_path
from eventstore.errors import SealArchiveUnavailable, SealConflict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from typing import TypeVar

    from mypy_boto3_s3 import S3Client

    from eventstore.audit.log_seal import LogSeal

    T = TypeVar("T")

KEEP: Final = timedelta(days=3_653)
_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 10
_READS_AT_ONCE: Final = 16
_PRESENT: Final = "PreconditionFailed"
_ABSENT: Final = frozenset({"404", "NoSuchKey"})


class S3SealArchive:
    """A SealArchive below a prefix of a bucket; the bucket is there already."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, *, keep: timedelta = KEEP) -> None:
        """Take a client, where in its bucket the seals are, and how long nobody may delete them."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._keep = keep

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, keep: timedelta = KEEP) -> AsyncGenerator[Self]:
        """Lend the archive at s3://bucket/prefix; nothing is called until it is used."""
        parts = urlsplit(url)
        client = await asyncio.to_thread(_client)
        try:
            yield cls(client, parts.netloc, parts.path.strip("/"), keep=keep)
        finally:
            client.close()

    async def add(self, seal: LogSeal) -> None:
        """Keep a seal; see SealArchive."""
        if await self._called(lambda: self._put(seal)):
            return
        (kept,) = await self.read(seal.lane, [seal.number])
        if kept != seal:
            raise SealConflict(f"lane {seal.lane}: the archive holds another log seal {seal.number} already")

    async def last_number(self, lane: int) -> int:
        """Return the highest number kept of a lane; see SealArchive."""
        return await self._called(lambda: self._last_number(f"{self._prefix}{folder_of(lane)}/"))

    async def read(self, lane: int, numbers: Sequence[int]) -> Sequence[LogSeal | None]:
        """Return the seals of these numbers; see SealArchive."""
        turns = asyncio.Semaphore(_READS_AT_ONCE)

        async def _read(number: int) -> LogSeal | None:
            name = relative_path(lane, number)
            async with turns:
                text = await self._called(lambda: self._get(self._prefix + name))
            return None if text is None else read_seal(text, name)

        return await asyncio.gather(*map(_read, numbers))

    async def _called(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (ClientError, BotoCoreError, OSError) as error:
            raise SealArchiveUnavailable(f"S3 failed: {error}") from error

    def _put(self, seal: LogSeal) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + relative_path(seal.lane, seal.number),
                Body=to_text(seal).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=seal.sealed_at + self._keep,
            )
        except ClientError as error:
            if _code(error) == _PRESENT:
                return False
            raise
        return True

    def _get(self, key: str) -> str | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise
        return answer["Body"].read().decode("ascii", "replace")

    def _last_number(self, folder: str) -> int:
        pages = self._client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self._bucket, Prefix=folder, Delimiter="/")
        folders = [each.get("Prefix", "") for page in found for each in page.get("CommonPrefixes", ())]
        if not folders:
            return 0
        within = pages.paginate(Bucket=self._bucket, Prefix=max(folders))
        names = [each.get("Key", "") for page in within for each in page.get("Contents", ())]
        return max(map(number_of, names), default=0)


def _client() -> S3Client:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_READS_AT_ONCE,
    )
    # boto3's own signature names every service there is; the stubs know what "s3" gives.
    connect = cast("Callable[..., S3Client]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
    return connect("s3", config=config)


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
