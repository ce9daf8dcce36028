"""MonitorService: each method is one use case."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from directorybolt.monitor.v1 import audit_pb2, monitor_service_pb2_grpc, projections_pb2, state_as_of_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from services.monitor.alert_desk import AlertDesk
from services.monitor.views import alert_view, rule_view
from services.runtime.arguments import cleaned, named
from services.runtime.ledger import Ledger
from services.runtime.principal import current_principal
from services.runtime.server import Hosted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import grpc

    from eventstore.store import EventStore
    from services.domain.gap_rules import GapRule
    from services.monitor.alert_list import AlertList
    from services.monitor.audit import Audit
    from services.monitor.audit_export import AuditExport
    from services.monitor.audit_reads import AuditReads
    from services.monitor.examination import Examination
    from services.monitor.projection_desk import ProjectionDesk
    from services.monitor.state_as_of import StateAsOf
    from services.monitor.verification import Verification

    Context = grpc.aio.ServicerContext[Any, Any]

FULL_NAME: Final = "directorybolt.monitor.v1.MonitorService"
NOTE_CHARACTERS_MAX: Final = 500
BY_A_PERSON: Final = "person"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the methods are made of."""

    store: EventStore
    rules: Sequence[GapRule]
    examination: Examination
    alerts: AlertList
    audit: Audit
    state_as_of: StateAsOf
    projections: ProjectionDesk
    verification: Verification
    export: AuditExport
    audit_reads: AuditReads


class MonitorServicer(monitor_service_pb2_grpc.MonitorServiceServicer):
    """Says what is wrong, and what happened."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def GetHealth(self, request: pb.GetHealthRequest, context: Context) -> pb.GetHealthResponse:
        """Say how the mesh is."""
        del request, context
        return await self._parts.examination.run()

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        """List alerts."""
        del context
        return await self._parts.alerts.page(request)

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Mark an alert as seen."""
        del context
        alert_id = named(request.name, "alerts")
        note = cleaned(request.note, "note", most=NOTE_CHARACTERS_MAX)
        alert = await self._desk().acknowledge(alert_id, note)
        return pb.AcknowledgeAlertResponse(alert=alert_view(alert))

    async def ResolveAlert(
        self, request: pb.ResolveAlertRequest, context: Context
    ) -> pb.ResolveAlertResponse:
        """Close an alert by hand."""
        del context
        alert = await self._desk().resolve(named(request.name, "alerts"), BY_A_PERSON)
        return pb.ResolveAlertResponse(alert=alert_view(alert))

    async def ListGapRules(
        self, request: pb.ListGapRulesRequest, context: Context
    ) -> pb.ListGapRulesResponse:
        """List the gap rules in force."""
        del request, context
        return pb.ListGapRulesResponse(gap_rules=map(rule_view, self._parts.rules))

    async def ReadStream(self, request: pb.ReadStreamRequest, context: Context) -> pb.ReadStreamResponse:
        """Read one stream."""
        del context
        return await self._parts.audit.stream(request)

    async def ReadAll(
        self, request: pb.ReadAllRequest, context: Context
    ) -> AsyncGenerator[pb.ReadAllResponse]:
        """Read the log from a position, and follow it."""
        del context
        async with aclosing(self._parts.audit.all(request)) as answers:
            async for each in answers:
                yield each

    async def GetStateAsOf(
        self, request: state_as_of_pb2.GetStateAsOfRequest, context: Context
    ) -> state_as_of_pb2.GetStateAsOfResponse:
        """Explain a state."""
        del context
        answer = await self._parts.state_as_of.explain(request)
        count = len(answer.state.steps) + sum(len(each.steps) for each in answer.submissions)
        await self._parts.audit_reads.record("GetStateAsOf", request.name, count)
        return answer

    async def ListProjections(
        self, request: projections_pb2.ListProjectionsRequest, context: Context
    ) -> projections_pb2.ListProjectionsResponse:
        """List the read models."""
        del request, context
        return await self._parts.projections.list()

    async def RebuildProjection(
        self, request: projections_pb2.RebuildProjectionRequest, context: Context
    ) -> AsyncGenerator[projections_pb2.RebuildProjectionResponse]:
        """Build a read model beside the live one."""
        del context
        async with aclosing(self._parts.projections.rebuild(request)) as answers:
            async for each in answers:
                yield each

    async def DiffProjection(
        self, request: projections_pb2.DiffProjectionRequest, context: Context
    ) -> projections_pb2.DiffProjectionResponse:
        """Compare a read model with what was built beside it."""
        del context
        return await self._parts.projections.diff(request)

    async def VerifyLog(self, request: pb.VerifyLogRequest, context: Context) -> pb.VerifyLogResponse:
        """Recompute the hash chain of the last events."""
        del request, context
        return await self._parts.verification.run()

    async def VerifyWholeLog(
        self, request: audit_pb2.VerifyWholeLogRequest, context: Context
    ) -> AsyncGenerator[audit_pb2.VerifyWholeLogResponse]:
        """Verify the whole log."""
        del context
        async with aclosing(self._parts.verification.whole(request)) as answers:
            async for each in answers:
                yield each

    async def ExportLog(
        self, request: audit_pb2.ExportLogRequest, context: Context
    ) -> AsyncGenerator[audit_pb2.ExportLogResponse]:
        """Export events with their proof."""
        del context
        async with aclosing(self._parts.export.run(request)) as chunks:
            async for each in chunks:
                yield each

    def _desk(self) -> AlertDesk:
        """Return a desk that acts in the name of the caller."""
        return AlertDesk(Ledger(self._parts.store, current_principal().actor))


def hosted(parts: Parts) -> Hosted:
    """Return the service, ready to be put on a server."""
    servicer = MonitorServicer(parts)
    return Hosted(
        FULL_NAME,
        lambda server: monitor_service_pb2_grpc.add_MonitorServiceServicer_to_server(servicer, server),
    )
