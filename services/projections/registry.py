"""Every read model that there is, by name, and the role of the service that owns it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from services.domain.gap_rules import default_rules
from services.projections.alerts import AlertsProjection
from services.projections.catalogue import CatalogueProjection
from services.projections.erased_customers import ErasedCustomersProjection
from services.projections.gaps import GapsProjection
from services.projections.history import HistoryProjection
from services.projections.jobs import JobsProjection
from services.projections.scheduling import SchedulingProjection
from services.projections.submissions import SubmissionsProjection
from services.projections.workers import WorkersProjection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventstore.rebuild.rebuildable import Rebuildable
    from services.runtime.config import TimingConfig


@dataclass(frozen=True, slots=True)
class Owned:
    """A projection and the role that its rows are written by."""

    projection: Rebuildable
    role: str


_ROLES: Final = {
    "intake": "bolt_intake",
    "scheduler": "bolt_scheduler",
    "submitter": "bolt_submitter",
    "monitor": "bolt_monitor",
}


def registered(timing: TimingConfig) -> Mapping[str, Owned]:
    """Return all projections by name. Gaps depend on how long leases and pulses last."""
    lease, pulse = timedelta(seconds=timing.lease_seconds), timedelta(seconds=timing.pulse_seconds)
    projections: list[Rebuildable] = [
        AlertsProjection(),
        CatalogueProjection(),
        ErasedCustomersProjection(),
        GapsProjection(default_rules(lease, pulse)),
        HistoryProjection(),
        JobsProjection(),
        SchedulingProjection(),
        SubmissionsProjection(),
        WorkersProjection(),
    ]
    return {each.name: Owned(each, _ROLES[each.schema]) for each in projections}
