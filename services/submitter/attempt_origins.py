"""Where an attempt comes from, as traces: the order that asked for it, and the attempt before it.

The message carries the span that sent it, and no more; who looks at one attempt of many wants the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from opentelemetry import trace

from services.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span

    from services.runtime.ledger import Ledger
    from services.submitter.claiming import Claim

_WORKERS = "worker/"


async def link_origins(span: Span, ledger: Ledger, claim: Claim) -> None:
    """Link the attempt's span to the trace that created the job, and to the attempt before.

    Errors: those of EventStore.read_stream.
    """
    for header in await _origins(ledger, claim):
        found = trace.get_current_span(telemetry.context_from({"traceparent": header})).get_span_context()
        if found.is_valid:
            span.add_link(found)


async def _origins(ledger: Ledger, claim: Claim) -> Sequence[str]:
    tenant = UUID(claim.state.customer_id)
    accepted = await ledger.history(UUID(claim.state.jobs[0]), tenant)
    past = await ledger.history(UUID(claim.state.submission_id), tenant)
    before = [
        each.trace_parent
        for each in past
        if each.version < claim.state.claim_version and each.actor.startswith(_WORKERS) and each.trace_parent
    ]
    return [*(each.trace_parent for each in accepted[:1]), *before[-1:]]
