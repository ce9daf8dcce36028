"""No key and no password comes through a log line; customers are a hash."""

from __future__ import annotations

import io
import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from services.runtime.logs import customer_hash, scrub, set_up_logs
from services.runtime.telemetry import spanning
from tests.fix_tracing import span_collector, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from services.runtime.config import LogFormat
    from tests.fix_tracing import SpanCollector

__all__ = ["span_collector", "spans"]

KEY = "dbk_abcdefgh_" + "Z" * 43


@contextmanager
def _logged(log_format: LogFormat) -> Generator[io.StringIO]:
    """Set logging up as a service does, onto a string; undo it afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    set_up_logs("test", log_format)
    stream = io.StringIO()
    handler: Any = root.handlers[0]
    handler.setStream(stream)
    try:
        yield stream
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.reset_defaults()
        root.handlers[:] = before
        root.setLevel(level)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, str]]]]:
    with _logged("json") as stream:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def _raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key {KEY}!", "key dbk_abcdefgh_***!"),
        ("postgresql://bolt:hunter2@db/x", "postgresql://bolt:***@db/x"),
        ("connection failed: password=hunter2 host=db", "connection failed: password=*** host=db"),
        ("{'secret': 'hunter2', 'n': 1}", "{'secret': '***', 'n': 1}"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("nothing to hide", "nothing to hide"),
        ("http://127.0.0.1:8080/path", "http://127.0.0.1:8080/path"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_a_line_is_json_without_customer_key_or_password(
    lines: Callable[[], list[dict[str, str]]],
) -> None:
    log = structlog.stdlib.get_logger("test")
    error = _raised(ValueError(f"{KEY} postgres://u:hunter2@h"))
    log.error("it.broke", customer_id="c-1", authorization="hunter2", nested={"a": [KEY]}, exc_info=error)
    logging.getLogger("library").warning("said %s", KEY)
    first, second = lines()
    assert (first["event"], first["service"], first["level"]) == ("it.broke", "test", "error")
    assert first["customer"] == customer_hash("c-1")
    assert "ValueError" in first["exception"]
    assert second["event"] == "said dbk_abcdefgh_***"
    assert "customer_id" not in first
    for secret in ("hunter2", "Z" * 43, "c-1"):
        assert secret not in json.dumps([first, second])


def test_a_line_knows_its_trace(lines: Callable[[], list[dict[str, str]]], spans: SpanCollector) -> None:
    with spanning("work"):
        structlog.stdlib.get_logger("test").info("inside")
    structlog.stdlib.get_logger("test").info("outside")
    inside, outside = lines()
    context = spans.finished[0].context
    assert context is not None
    assert int(inside["trace_id"], 16) == context.trace_id
    assert "trace_id" not in outside


def test_people_get_lines_of_their_own() -> None:
    with _logged("console") as stream:
        structlog.stdlib.get_logger("test").error("it.broke", exc_info=_raised(ValueError(KEY)))
    assert "it.broke" in stream.getvalue()
    assert "ValueError: dbk_abcdefgh_***" in stream.getvalue()
