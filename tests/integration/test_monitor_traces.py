"""An alert can be traced back to what went wrong: judge and notifier are legs of the cause's journey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from services.runtime.telemetry import ALERT_ID, GAP_RULE, spanning
from tests.fix_monitor import monitor_template, postgres_cluster, watch
from tests.fix_tracing import span_collector, spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from tests.fix_monitor import Watch
    from tests.fix_tracing import SpanCollector

__all__ = ["monitor_template", "postgres_cluster", "span_collector", "spans", "watch"]


def named(collector: SpanCollector, name: str) -> ReadableSpan:
    return next(each for each in collector.finished if each.name == name)


def links_of(span: ReadableSpan) -> list[int]:
    return [each.context.trace_id for each in span.links]


async def test_the_traces_of_judgement_and_message_are_linked_to_the_cause_and_name_the_rule(
    spans: SpanCollector, watch: Watch
) -> None:
    with spanning("the cause") as cause:
        submission_id = await watch.dead_letter()
    [alert] = await watch.raised(watch.judge())
    await watch.told(watch.notifier(), 1)

    judged, told = named(spans, "monitor.judge"), named(spans, "monitor.notify slack")
    assert links_of(judged) == [cause.get_span_context().trace_id]
    assert judged.attributes is not None
    assert judged.attributes[GAP_RULE] == "dead_letter"
    assert judged.attributes[ALERT_ID] == str(alert.alert_id)
    assert judged.attributes["directorybolt.gap.subject"] == f"submissions/{submission_id}"
    context = judged.get_span_context()
    assert context is not None
    assert links_of(told) == [context.trace_id]
    raised = (await watch.ledger.history(alert.alert_id))[0]
    assert trace.format_trace_id(context.trace_id) in raised.trace_parent
