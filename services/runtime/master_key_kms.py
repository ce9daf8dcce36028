"""A master key that AWS KMS keeps: it never leaves there, and each use of it stands in CloudTrail.

Only one customer key's 32 bytes travel per call, and only when a customer's key is made or first used. The
context goes along as encryption context, so KMS itself refuses a wrapped key in another's place. boto3 is
blocking, so calls run in threads; it reads region, credentials and endpoint from the environment.

Source: AWS KMS API reference, Encrypt and Decrypt; naming the key in Decrypt keeps foreign ciphertexts out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag

from eventstore.errors import MasterKeyUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_kms import KMSClient

T = TypeVar("T")

_CONNECT_SECONDS: Final = 2
_CALL_SECONDS: Final = 3
_TRIES: Final = 3
#: What KMS says of a ciphertext that was altered, is of another key, or stands in another context.
_ALTERED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KmsMasterKey:
    """A symmetric KMS key."""

    def __init__(self, arn: str, client: KMSClient) -> None:
        """Take the key's full name; `open` finds it out."""
        self._arn = arn
        self._client = client
        self.master_key_id = f"kms:{arn}"

    @classmethod
    async def open(cls, key: str) -> KmsMasterKey:
        """Return the key of an ARN, an id or an alias; an ARN of a key is taken at its word, without a call.

        Errors: MasterKeyUnavailable.
        """
        client = await asyncio.to_thread(_client)
        if key.startswith("arn:") and ":key/" in key:
            return cls(key, client)
        found = await _call(lambda: client.describe_key(KeyId=key))
        return cls(found["KeyMetadata"].get("Arn", key), client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the key encrypted, bound to a context; see MasterKey."""
        answer = await _call(
            lambda: self._client.encrypt(
                KeyId=self._arn, Plaintext=key, EncryptionContext=_encryption_context(context)
            )
        )
        return answer["CiphertextBlob"]

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key that was wrapped in the same context; see MasterKey."""
        answer = await _call(
            lambda: self._client.decrypt(
                KeyId=self._arn, CiphertextBlob=wrapped, EncryptionContext=_encryption_context(context)
            )
        )
        return answer["Plaintext"]


def _client() -> KMSClient:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_CALL_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
    )
    # Named through the overload's own type: boto3-stubs leave the other four hundred services unknown.
    connect = cast("Callable[..., KMSClient]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
    return connect("kms", config=config)


def _encryption_context(context: bytes) -> dict[str, str]:
    return {"directorybolt:tenant-key": context.hex()}


async def _call(call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in _ALTERED:
            raise InvalidTag from None
        raise MasterKeyUnavailable(f"AWS KMS refused the master key: {code}") from error
    except BotoCoreError as error:
        raise MasterKeyUnavailable(f"AWS KMS does not answer: {type(error).__name__}") from error
