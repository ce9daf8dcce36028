"""Lists alerts, newest first, page by page: a page goes on from a position, so new alerts shift nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from services.monitor.views import alert_view
from services.projections.alerts import page_of_alerts
from services.runtime.arguments import page_size

if TYPE_CHECKING:
    from services.projections.reading import Reads
    from services.runtime.tokens import TokenSealer

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 500
_BEYOND_ALL: Final = 9_223_372_036_854_775_807


class AlertList:
    """Lists from the read model."""

    def __init__(self, reads: Reads, sealer: TokenSealer) -> None:
        self._reads = reads
        self._sealer = sealer

    async def page(self, request: pb.ListAlertsRequest) -> pb.ListAlertsResponse:
        """Return one page.

        Errors: InvalidArgument.
        """
        size = page_size(request.page_size, default=PAGE_DEFAULT, most=PAGE_MAX)
        cursor = self._sealer.read_page(request.page_token, query=request, customer_id="")
        before = cast("int", cursor[0]) if cursor else _BEYOND_ALL
        async with self._reads.of_all() as connection:
            rows = await page_of_alerts(
                connection, before=before, resolved=request.show_resolved, limit=size + 1
            )
        answer = pb.ListAlertsResponse(alerts=map(alert_view, rows[:size]))
        if len(rows) > size:
            answer.next_page_token = self._sealer.page_token(
                [rows[size - 1].position], query=request, customer_id=""
            )
        return answer
