"""Turn what went wrong into a status; the only place that aborts a call.

What is in the error table goes out as the table says. Anything else is a fault of ours: the client gets a
reference, the log gets the same reference with the stack, and nothing of the text leaves the process.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import structlog

from services.runtime.errors import CODES, DETAILS_KEY, InternalFault, as_domain_error, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.domain.errors import DomainError
    from services.runtime.interceptors.layer import Call

_log = structlog.stdlib.get_logger(__name__)


class MaskErrors:
    """The outermost layer."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Abort the call with the status of whatever is raised inside."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError as error:
            if _is_asked_to_end():
                raise
            # Something inside was cancelled, not the call: left alone, the client would wait for ever.
            await _abort(call, _masked(error, call))
        except Exception as error:  # noqa: BLE001  # this is the one place that may
            await _abort(call, as_domain_error(error) or _masked(error, call))


def _is_asked_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _masked(error: BaseException, call: Call) -> DomainError:
    reference = secrets.token_hex(6)
    _log.error(
        "rpc.internal_error",
        reference=reference,
        method=call.method,
        trace_id=call.trace_id,
        exc_info=error,
    )
    return InternalFault(f"internal error ({reference})", reference=reference)


async def _abort(call: Call, error: DomainError) -> None:
    status = status_of(error)
    trailers = ((DETAILS_KEY, status.SerializeToString()),)
    await call.context.abort(CODES[type(error)], status.message, trailers)
