"""A failed call in one sentence for people: what was refused, which fields, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.rpc import error_details_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grpc.aio import AioRpcError


def explain(error: AioRpcError) -> str:
    """Return the sentence for a failed call."""
    parts = [f"{error.code().name}: {error.details()}", *_details(error)]
    return "; ".join(parts)


def _details(error: AioRpcError) -> Iterator[str]:
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        fields, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(fields):
            yield from (f"{each.field} {each.description}" for each in fields.field_violations)
        elif packed.Unpack(retry):
            yield f"try again in {retry.retry_delay.ToTimedelta().total_seconds():.0f} s"
