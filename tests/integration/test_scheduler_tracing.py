"""One journey can be followed from the order to the message, as one trace or as linked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.runtime.telemetry import current_trace_parent, spanning
from tests.fix_scheduler import postgres_cluster, stage
from tests.fix_tracing import span_collector, spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from services.runtime.config import TraceMode
    from tests.fix_scheduler import Stage
    from tests.fix_tracing import SpanCollector

__all__ = ["postgres_cluster", "span_collector", "spans", "stage"]


async def journey(stage: Stage, spans: SpanCollector, mode: TraceMode) -> dict[str, ReadableSpan]:
    """Order, plan and dispatch; return the spans by name."""
    stage.use_trace_mode(mode)
    with spanning("order"):
        await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()
    return {span.name: span for span in spans.finished}


def context_of(span: ReadableSpan) -> SpanContext:
    """Return a span's own context."""
    context = span.get_span_context()
    assert context is not None
    return context


def trace_of(span: ReadableSpan) -> int:
    """Return the trace that a span belongs to."""
    return context_of(span).trace_id


async def test_in_parent_mode_a_job_is_one_trace(stage: Stage, spans: SpanCollector) -> None:
    found = await journey(stage, spans, "parent")

    legs = ["order", "scheduler.plan", "scheduler.dispatch", "send p3"]
    assert len({trace_of(found[name]) for name in legs}) == 1
    parents = [found[name].parent for name in legs[1:]]
    assert [parent.span_id if parent else None for parent in parents] == [
        context_of(found[name]).span_id for name in legs[:-1]
    ]


async def test_in_link_mode_each_leg_is_a_trace_linked_to_the_one_before(
    stage: Stage, spans: SpanCollector
) -> None:
    found = await journey(stage, spans, "link")

    plan, dispatch = found["scheduler.plan"], found["scheduler.dispatch"]
    assert len({trace_of(found["order"]), trace_of(plan), trace_of(dispatch)}) == 3
    assert [link.context.trace_id for link in plan.links] == [trace_of(found["order"])]
    assert [link.context.trace_id for link in dispatch.links] == [trace_of(plan)]


@pytest.mark.parametrize("mode", ["parent", "link"])
async def test_the_message_carries_the_sending_span(
    stage: Stage, spans: SpanCollector, mode: TraceMode
) -> None:
    """The worker goes on from the PRODUCER span, whatever the mode."""
    found = await journey(stage, spans, mode)
    (received,) = await stage.worker.messages()

    context = context_of(found["send p3"])
    assert received.trace_parent.split("-")[1:3] == [f"{context.trace_id:032x}", f"{context.span_id:016x}"]
    assert current_trace_parent() == ""
