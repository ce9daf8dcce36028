"""Structured logs on stderr: one JSON object per line, or coloured lines for people.

Every line knows its trace. Customers appear as a hash, keys and passwords not at all: a last processor
looks through the finished line, since secrets hide in the texts of other people's exceptions.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from structlog.typing import Processor

    from services.runtime.config import LogFormat

_SECRETS: Final = (
    (re.compile(r"\b(dbk_[0-9A-Za-z]{1,12})_[0-9A-Za-z_-]{16,}"), r"\1_***"),
    (re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(password|passwd|pwd|secret)(['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&]+"), r"\1\2***"),
    (re.compile(r"(?i)\b(bearer)\s+\S+"), r"\1 ***"),
)
_SECRET_NAMES: Final = frozenset({"authorization", "password", "secret", "dsn", "database_url", "api_key"})
# httpx logs every address that it calls, and a webhook's is a secret.
_QUIET: Final = ("httpx", "botocore", "urllib3", "boto3", "asyncio", "grpc", "opentelemetry")


def set_up_logs(service: str, log_format: LogFormat) -> None:
    """Send our logs, and the warnings of libraries, to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _hash_customer,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def customer_hash(customer_id: str) -> str:
    """Return what stands for a customer in logs and spans."""
    return hashlib.sha256(customer_id.encode()).hexdigest()[:12]


def scrub(text: str) -> str:
    """Return the text without the keys and passwords that can be recognised in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _rendering(log_format: LogFormat) -> list[Processor]:
    last: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _scrub_all,
        last,
    ]


def _add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(context.trace_id))
        event.setdefault("span_id", trace.format_span_id(context.span_id))
    return event


def _hash_customer(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    customer_id = event.pop("customer_id", None)
    if customer_id is not None:
        event["customer"] = customer_hash(str(customer_id))
    return event


def _scrub_all(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for key, value in event.items():
        event[key] = "***" if key in _SECRET_NAMES else _scrubbed(value)
    return event


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {k: _scrubbed(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(each) for each in cast("list[Any]", value)]
    return value if isinstance(value, (int, float, bool, type(None))) else scrub(str(value))
