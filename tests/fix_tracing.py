"""Spans that a test can look at and wait for: one collector for the whole run, emptied for each test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

PATIENCE_SECONDS = 10


class SpanCollector(SpanExporter):
    """Keeps the spans that have ended."""

    def __init__(self) -> None:
        self.finished: list[ReadableSpan] = []
        self._waiting: list[asyncio.Future[None]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them, and wake who waits."""
        self.finished.extend(spans)
        for each in self._waiting:
            if not each.done():
                each.get_loop().call_soon_threadsafe(each.set_result, None)
        self._waiting.clear()
        return SpanExportResult.SUCCESS

    async def reached(self, count: int) -> Sequence[ReadableSpan]:
        """Return the spans when there are so many; a server ends its own after the client has its answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.finished) < count:
                self._waiting.append(asyncio.get_running_loop().create_future())
                await self._waiting[-1]
        return list(self.finished)


@pytest.fixture(scope="session")
def span_collector() -> SpanCollector:
    """Collect every span of this process; OpenTelemetry takes one provider per process, for ever."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    collector = SpanCollector()
    provider.add_span_processor(SimpleSpanProcessor(collector))
    return collector


@pytest.fixture
def spans(span_collector: SpanCollector) -> Iterator[SpanCollector]:
    """Give the collector, empty."""
    span_collector.finished.clear()
    yield span_collector
    span_collector.finished.clear()
